/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The payload of an age file, written: chunks of 64 KiB, each sealed under its number
   and whether it is the last. Where the windows are large enough a chunk goes
   straight from one to the other, else through a buffer. */

#include "config.h"
#include "transform-age.h"
#include "age-chunks.h"
#include "age-header.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

struct age_encoder {
	struct transform transform;
	struct age_recipients *recipients;
	buffer_t *header;  /* with the nonce behind it; NULL: not begun */
	size_t header_pos; /* how much of it is out */
	struct age_aead aead;
	uint64_t counter;
	struct age_chunk chunk;
	bool last_sealed;
};

static struct age_encoder *age_encoder(struct transform *t)
{
	return container_of(t, struct age_encoder, transform);
}

/* All that has to be random comes out of one call: each is a system call. */
static bool encoder_begin(struct age_encoder *age)
{
	size_t size = AGE_FILE_KEY_SIZE + AGE_NONCE_SIZE +
		(size_t)age->recipients->count * AGE_KEY_SIZE;
	unsigned char key[AGE_AEAD_KEY_SIZE], *file_key, *nonce;
	const char *error = "out of memory";
	bool ok;

	file_key = try_malloc(size);
	if (file_key == NULL) {
		(void)transform_error(&age->transform, ENOMEM, "%s", error);
		return false;
	}
	nonce = file_key + AGE_FILE_KEY_SIZE;
	randombytes_buf(file_key, size);
	age->header = buffer_create_dynamic(default_pool, 256);
	ok = age_header_write(age->header, age->recipients, file_key,
			      nonce + AGE_NONCE_SIZE, &error) &&
		buffer_try_append(age->header, nonce, AGE_NONCE_SIZE);
	age_payload_key(file_key, nonce, key);
	age_aead_set_key(&age->aead, key);
	sodium_memzero(key, sizeof(key));
	sodium_memzero(file_key, size);
	i_free(file_key);
	if (!ok)
		(void)transform_error(&age->transform, EINVAL, "%s", error);
	return ok;
}

static bool encoder_drain_header(struct age_encoder *age,
				 struct transform_io *io)
{
	size_t size =
		I_MIN(age->header->used - age->header_pos, age_out_size(io));

	if (size == 0)
		return age->header_pos == age->header->used;
	memcpy(io->out, age->header->data + age->header_pos, size);
	io->out += size;
	age->header_pos += size;
	return age->header_pos == age->header->used;
}

/* Seals `size` bytes at `in`: into the window where it has room, else within the
   chunk's own memory (in which `in` then lies). */
static bool encoder_seal(struct age_encoder *age, struct transform_io *io,
			 const unsigned char *in, size_t size, bool last)
{
	bool direct = age_out_size(io) >= size + AGE_TAG_SIZE;
	unsigned char *out = direct ? io->out : age->chunk.data;

	if (!age_seal_chunk(&age->aead, age->counter++, last, in, size, out)) {
		(void)transform_error(&age->transform, ENOMEM, "out of memory");
		return false;
	}
	if (direct)
		io->out += size + AGE_TAG_SIZE;
	else
		age->chunk.out_end = size + AGE_TAG_SIZE;
	age->chunk.have = 0;
	age->last_sealed = last;
	return true;
}

/* Whether a full chunk can go from window to window; only one that is not the
   last may, unless the input is known to end there. */
static bool encoder_is_direct(const struct age_encoder *age,
			      const struct transform_io *io)
{
	return age->chunk.have == 0 && age_in_size(io) > AGE_CHUNK_SIZE &&
		age_out_size(io) >= AGE_SEALED_CHUNK_SIZE;
}

static enum transform_status
age_encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct age_encoder *age = age_encoder(t);

	if (age->header == NULL) {
		if (op != TRANSFORM_FINISH && age_in_size(io) == 0)
			return TRANSFORM_NEED_IN;
		if (!encoder_begin(age))
			return TRANSFORM_ERROR;
	}
	for (;;) {
		if (!encoder_drain_header(age, io) ||
		    !age_chunk_drain(&age->chunk, io))
			return TRANSFORM_NEED_OUT;
		if (age->last_sealed) {
			age_chunk_free(&age->chunk);
			return TRANSFORM_DONE;
		}
		if (encoder_is_direct(age, io)) {
			if (!encoder_seal(age, io, io->in, AGE_CHUNK_SIZE,
					  false))
				return TRANSFORM_ERROR;
			io->in += AGE_CHUNK_SIZE;
			continue;
		}
		if (!age_chunk_alloc(&age->chunk, t))
			return TRANSFORM_ERROR;
		if (age->chunk.have == AGE_CHUNK_SIZE && age_in_size(io) > 0) {
			if (!encoder_seal(age, io, age->chunk.data,
					  AGE_CHUNK_SIZE, false))
				return TRANSFORM_ERROR;
			continue;
		}
		age_chunk_gather(&age->chunk, io, AGE_CHUNK_SIZE);
		if (age_in_size(io) > 0)
			continue;
		if (op != TRANSFORM_FINISH)
			return TRANSFORM_NEED_IN;
		if (!encoder_seal(age, io, age->chunk.data, age->chunk.have,
				  true))
			return TRANSFORM_ERROR;
	}
}

/* Keys and nonces are never used twice: the next file gets its own. */
static void age_encoder_reset(struct transform *t)
{
	struct age_encoder *age = age_encoder(t);

	age_chunk_free(&age->chunk);
	buffer_free(&age->header);
	age->header_pos = 0;
	age->counter = 0;
	age->last_sealed = false;
	age_aead_clear(&age->aead);
}

static void age_encoder_free(struct transform *t)
{
	age_encoder_reset(t);
	age_recipients_unref(&age_encoder(t)->recipients);
	i_free(age_encoder(t));
}

static const struct transform_class age_encoder_class = {
	.name = "age",
	.flags = TRANSFORM_TRAILER | TRANSFORM_AUTHENTICATED,
	.min_out = 1,
	.good_in = AGE_CHUNK_SIZE,
	.good_out = AGE_SEALED_CHUNK_SIZE,
	.max_state = AGE_SEALED_CHUNK_SIZE + 4096,
	.process = age_encode,
	.reset = age_encoder_reset,
	.free = age_encoder_free,
};

struct transform *
transform_create_age_encoder(struct age_recipients *recipients)
{
	struct age_encoder *age;

	if (age_recipients_count(recipients) == 0)
		return transform_create_error(age_encoder_class.name,
					      age_encoder_class.flags, EINVAL,
					      "there is no recipient: nobody "
					      "could read it");
	age = i_new(struct age_encoder, 1);
	age->transform.class_ = &age_encoder_class;
	age_recipients_ref(recipients);
	age->recipients = recipients;
	return &age->transform;
}
