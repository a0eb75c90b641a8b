/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The payload of an age file, written: chunks of 64 KiB, each sealed under its number
   and whether it is the last. Where the windows are large enough a chunk goes
   straight from one to the other, else through a buffer.
   With threads, a long file goes through a crew. */

#include "config.h"
#include "transform-age.h"
#include "age-crew.h"
#include "age-header.h"
#include "macros.h"
#include "mem.h"
#include "transform-step.h"

#include <errno.h>
#include <string.h>

struct age_encoder {
	struct transform transform;
	struct transform_class class_; /* where there are threads */
	struct age_recipients *recipients;
	buffer_t *header;  /* with the nonce behind it; NULL: not begun */
	size_t header_pos; /* how much of it is out */
	struct age_aead aead;
	uint64_t counter;
	struct age_chunk chunk;
	unsigned int threads;  /* below 2: none */
	struct wake_fd wake;   /* the owner's loop, for a crew */
	struct age_crew *crew; /* NULL: not begun */
	bool last_sealed;
};

static struct age_encoder *age_encoder(struct transform *t)
{
	return container_of(t, struct age_encoder, transform);
}

static bool no_memory(struct age_encoder *age)
{
	(void)transform_error(&age->transform, ENOMEM, "out of memory");
	return false;
}

/* All that has to be random comes out of one call: each is a system call. */
static bool encoder_begin(struct age_encoder *age)
{
	size_t size = AGE_FILE_KEY_SIZE + AGE_NONCE_SIZE +
		(size_t)age->recipients->count * AGE_KEY_SIZE;
	unsigned char key[AGE_AEAD_KEY_SIZE], *file_key, *nonce;
	bool ok;

	file_key = try_malloc(size);
	if (file_key == NULL)
		return no_memory(age);
	nonce = file_key + AGE_FILE_KEY_SIZE;
	randombytes_buf(file_key, size);
	age->header = buffer_create_dynamic(default_pool, 256);
	ok = age_header_write(age->header, age->recipients, file_key,
			      nonce + AGE_NONCE_SIZE, &age->transform) &&
		(buffer_try_append(age->header, nonce, AGE_NONCE_SIZE) ||
		 no_memory(age));
	age_payload_key(file_key, nonce, key);
	age_aead_set_key(&age->aead, key);
	sodium_memzero(key, sizeof(key));
	sodium_memzero(file_key, size);
	i_free(file_key);
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

	if (!age_seal_chunk(&age->aead, age->counter++, last, in, size, out))
		return no_memory(age);
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

/*
 * The crew: all chunks but the last, which is sealed here when the crew is done
 */

static size_t seal_job(struct age_aead *aead, struct age_job *job,
		       unsigned char *out)
{
	size_t size = job->chunk.have;

	job->last = false;
	job->ok = age_seal_chunk(aead, job->counter, false, job->chunk.data,
				 size, out);
	return job->ok ? size + AGE_TAG_SIZE : 0;
}

/* Once there was work enough for it, and another chunk is there to begin with. */
static bool encoder_wants_crew(const struct age_encoder *age,
			       const struct transform_io *io)
{
	return age->threads > 1 && age->crew == NULL &&
		age->counter >= AGE_CREW_AFTER &&
		age->chunk.have + age_in_size(io) > AGE_CHUNK_SIZE;
}

/* Gives it what fills a chunk and is not the last, as long as it has a free slot.
   What is left of the input then waits for one. */
static bool encoder_feed_crew(struct age_encoder *age, struct transform_io *io)
{
	while (age_in_size(io) > 0) {
		if (age->chunk.have == AGE_CHUNK_SIZE) {
			if (age_crew_is_full(age->crew))
				return true;
			age_crew_give(age->crew, &age->chunk, age->counter++);
		}
		if (!age_chunk_alloc(&age->chunk, &age->transform))
			return false;
		age_chunk_gather(&age->chunk, io, AGE_CHUNK_SIZE);
	}
	return true;
}

/* NEED_IN: all input was taken; with FINISH also that the crew has none of it. It
   waits where it could not go on else: for a slot, for the end, and where it is
   asked without input for a chunk at least. */
static enum transform_status encode_by_crew(struct age_encoder *age,
					    struct transform_io *io,
					    enum transform_op op)
{
	bool asked = op == TRANSFORM_FINISH ||
		(op == TRANSFORM_RUN && age_in_size(io) == 0);
	struct age_job *job;
	bool wait;

	for (;;) {
		if (!encoder_feed_crew(age, io))
			return TRANSFORM_ERROR;
		wait = (asked || age_in_size(io) > 0) && age_out_size(io) > 0;
		job = age_crew_first(age->crew, wait);
		if (job == NULL)
			break;
		if (!job->ok)
			return transform_error(&age->transform, ENOMEM,
					       "out of memory");
		if (!age_chunk_drain(&job->chunk, io))
			return TRANSFORM_NEED_OUT;
		age_crew_drop(age->crew);
		asked = op == TRANSFORM_FINISH;
	}
	if (age_in_size(io) > 0 ||
	    (op == TRANSFORM_FINISH && age_crew_count(age->crew) > 0))
		return TRANSFORM_NEED_OUT;
	return TRANSFORM_NEED_IN;
}

/*
 * Both
 */

/* A step without the crew: a chunk, or all that there is of one. NEED_OUT: there may
   be something to be put out. */
static enum transform_status encode_chunk(struct age_encoder *age,
					  struct transform_io *io,
					  enum transform_op op)
{
	bool last;

	if (encoder_is_direct(age, io)) {
		if (!encoder_seal(age, io, io->in, AGE_CHUNK_SIZE, false))
			return TRANSFORM_ERROR;
		io->in += AGE_CHUNK_SIZE;
		return TRANSFORM_NEED_OUT;
	}
	if (!age_chunk_alloc(&age->chunk, &age->transform))
		return TRANSFORM_ERROR;
	age_chunk_gather(&age->chunk, io, AGE_CHUNK_SIZE);
	last = age_in_size(io) == 0;
	if (last && op != TRANSFORM_FINISH)
		return TRANSFORM_NEED_IN;
	if (!encoder_seal(age, io, age->chunk.data, age->chunk.have, last))
		return TRANSFORM_ERROR;
	return TRANSFORM_NEED_OUT;
}

static void encoder_drop_chunks(struct age_encoder *age)
{
	age_crew_stop(&age->crew);
	age_chunk_free(&age->chunk);
}

static enum transform_status encode_chunks(struct age_encoder *age,
					   struct transform_io *io,
					   enum transform_op op)
{
	enum transform_status status;

	for (;;) {
		if (!encoder_drain_header(age, io) ||
		    !age_chunk_drain(&age->chunk, io))
			return TRANSFORM_NEED_OUT;
		if (age->last_sealed) {
			encoder_drop_chunks(age);
			return TRANSFORM_DONE;
		}
		if (encoder_wants_crew(age, io)) {
			age->crew = age_crew_start(&age->transform,
						   age->threads, age->aead.key,
						   seal_job, &age->wake);
			if (age->crew == NULL)
				return TRANSFORM_ERROR;
		}
		if (age->crew != NULL) {
			if (op == TRANSFORM_POLL)
				age_crew_clear_wake(age->crew, &age->wake);
			status = encode_by_crew(age, io, op);
			if (status != TRANSFORM_NEED_IN ||
			    op != TRANSFORM_FINISH)
				return status;
		}
		status = encode_chunk(age, io, op);
		if (status != TRANSFORM_NEED_OUT)
			return status;
	}
}

static enum transform_status
age_encode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct age_encoder *age = age_encoder(t);

	if (wake_fd_is_parents(&age->wake))
		return transform_error_forked(t);
	if (age->header == NULL) {
		if (op != TRANSFORM_FINISH && age_in_size(io) == 0)
			return TRANSFORM_NEED_IN;
		if (!encoder_begin(age))
			return TRANSFORM_ERROR;
	}
	return encode_chunks(age, io, op);
}

/* Keys and nonces are never used twice: the next file gets its own. */
static void age_encoder_reset(struct transform *t)
{
	struct age_encoder *age = age_encoder(t);

	encoder_drop_chunks(age);
	buffer_free(&age->header);
	age->header_pos = 0;
	age->counter = 0;
	age->last_sealed = false;
	age_aead_clear(&age->aead);
}

static void age_encoder_free(struct transform *t)
{
	age_encoder_reset(t);
	wake_fd_free(&age_encoder(t)->wake);
	age_recipients_unref(&age_encoder(t)->recipients);
	i_free(age_encoder(t));
}

static size_t encoder_get_pending(struct transform *t)
{
	return age_crew_pending(age_encoder(t)->crew);
}

static int encoder_get_wake_fd(struct transform *t)
{
	struct age_encoder *age = age_encoder(t);

	return age_crew_get_wake_fd(age->crew, &age->wake);
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
transform_create_age_threads_encoder(struct age_recipients *recipients,
				     unsigned int threads)
{
	const struct transform_class *class_ = &age_encoder_class;
	struct age_encoder *age;

	if (age_recipients_count(recipients) == 0)
		return transform_create_error(class_->name, class_->flags,
					      EINVAL,
					      "there is no recipient: nobody "
					      "could read it");
	if (threads > AGE_THREADS_MAX)
		return age_create_threads_error(class_, threads);
	age = i_new(struct age_encoder, 1);
	age->transform.class_ = class_;
	age->threads = threads;
	if (threads > 1) {
		age_crew_class(&age->class_, class_, threads);
		age->class_.get_pending = encoder_get_pending;
		age->class_.get_wake_fd = encoder_get_wake_fd;
		age->transform.class_ = &age->class_;
	}
	age_recipients_ref(recipients);
	age->recipients = recipients;
	return &age->transform;
}

struct transform *
transform_create_age_encoder(struct age_recipients *recipients)
{
	return transform_create_age_threads_encoder(recipients, 1);
}
