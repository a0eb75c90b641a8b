/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "message-id.h"
#include "endian-io.h"
#include "mem.h"
#include "panic.h"
#include "process-mark.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#define TEXT_CHARS (MESSAGE_ID_TEXT_SIZE - 1)

/* Crockford's: no i, l, o, u. */
static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

#define RANDOM_SIZE 8u
/* So many are had at once: each is a system call. */
#define RANDOM_COUNT 64u

struct message_id_generator {
	pthread_mutex_t mutex;
	struct message_id last;
	/* what is left of them is at the end; of another process they are used there */
	unsigned char random[RANDOM_COUNT][RANDOM_SIZE];
	unsigned int random_left;
	uint64_t random_mark;
};

struct message_id_generator *
message_id_generator_new(const struct message_id *last)
{
	struct message_id_generator *gen =
		i_new(struct message_id_generator, 1);

	if (sodium_init() < 0 || pthread_mutex_init(&gen->mutex, NULL) != 0)
		i_panic("message ids cannot be initialised");
	if (last != NULL)
		gen->last = *last;
	return gen;
}

void message_id_generator_free(struct message_id_generator **_gen)
{
	struct message_id_generator *gen = *_gen;

	if (gen == NULL)
		return;
	*_gen = NULL;
	(void)pthread_mutex_destroy(&gen->mutex);
	i_free(gen);
}

/* With the mutex. */
static void get_random(struct message_id_generator *gen,
		       unsigned char random_r[RANDOM_SIZE])
{
	uint64_t mark = process_mark();

	if (gen->random_left == 0 || gen->random_mark != mark) {
		randombytes_buf(gen->random, sizeof(gen->random));
		gen->random_left = RANDOM_COUNT;
		gen->random_mark = mark;
	}
	memcpy(random_r, gen->random[RANDOM_COUNT - gen->random_left],
	       RANDOM_SIZE);
	gen->random_left--;
}

void message_id_generate_at(struct message_id_generator *gen, uint64_t msecs,
			    struct message_id *id_r)
{
	/* time and sequence are one number: what follows the last used one
	   carries into the time when the sequence is used up */
	uint64_t stamp = msecs << 16, last;

	(void)pthread_mutex_lock(&gen->mutex);
	get_random(gen, id_r->bytes + 8);
	last = get_be64(gen->last.bytes);
	if (stamp <= last)
		stamp = last == UINT64_MAX ? last : last + 1;
	put_be64(id_r->bytes, stamp);
	gen->last = *id_r;
	(void)pthread_mutex_unlock(&gen->mutex);
}

void message_id_generate(struct message_id_generator *gen,
			 struct message_id *id_r)
{
	struct timespec ts = { 0, 0 };

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	message_id_generate_at(gen,
			       (uint64_t)ts.tv_sec * 1000 +
				       (uint64_t)ts.tv_nsec / 1000000,
			       id_r);
}

void message_id_generator_get_last(struct message_id_generator *gen,
				   struct message_id *id_r)
{
	(void)pthread_mutex_lock(&gen->mutex);
	*id_r = gen->last;
	(void)pthread_mutex_unlock(&gen->mutex);
}

/* The 130 bits of the text are the 128 of the id with two zeros before them. */
void message_id_to_text(const struct message_id *id,
			char text_r[MESSAGE_ID_TEXT_SIZE])
{
	unsigned int bits = 0, have = 2, byte = 0, i;

	for (i = 0; i < TEXT_CHARS; i++) {
		if (have < 5) {
			bits = bits << 8 | id->bytes[byte++];
			have += 8;
		}
		have -= 5;
		text_r[i] = alphabet[bits >> have & 31];
	}
	text_r[TEXT_CHARS] = '\0';
}

bool message_id_from_text(const char *text, struct message_id *id_r)
{
	unsigned int bits = 0, have = 0, byte = 0, i;
	struct message_id id;
	const char *pos;

	for (i = 0; i < TEXT_CHARS; i++) {
		if (text[i] == '\0')
			return false;
		pos = strchr(alphabet, text[i]);
		if (pos == NULL || (i == 0 && pos - alphabet > 7))
			return false;
		bits = bits << 5 | (unsigned int)(pos - alphabet);
		/* the first character has three bits that count */
		have += i == 0 ? 3 : 5;
		if (have >= 8) {
			have -= 8;
			id.bytes[byte++] = (unsigned char)(bits >> have);
		}
	}
	if (text[TEXT_CHARS] != '\0')
		return false;
	*id_r = id;
	return true;
}

int message_id_cmp(const struct message_id *a, const struct message_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

uint64_t message_id_get_msecs(const struct message_id *id)
{
	return get_be64(id->bytes) >> 16;
}
