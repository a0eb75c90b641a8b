/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The payload of an age file, read: each chunk is verified before a byte of it is given
   out, and so is where the last one is. Where the windows are large enough a chunk goes
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

enum decoder_state {
	AGE_READ_HEADER,
	AGE_READ_NONCE,
	AGE_READ_CHUNKS
};

struct age_decoder {
	struct transform transform;
	struct transform_class class_; /* where there are threads */
	struct age_identities *identities;
	enum decoder_state state;
	struct age_header header;
	unsigned char file_key[AGE_FILE_KEY_SIZE];
	unsigned char nonce[AGE_NONCE_SIZE];
	size_t nonce_have;
	uoff_t payload_offset; /* where the chunks begin */
	struct age_aead aead;
	uint64_t counter;        /* of the chunk that comes out next */
	uint64_t begin;          /* of the chunk that reading began at */
	unsigned int threads;    /* below 2: none */
	struct wake_fd wake;     /* the owner's loop, for a crew */
	struct age_crew *crew;   /* NULL: not begun */
	struct age_chunk sealed; /* gathered */
	struct age_chunk plain;  /* verified, waiting for a window */
	bool last_opened;
};

static struct age_decoder *age_decoder(struct transform *t)
{
	return container_of(t, struct age_decoder, transform);
}

/* False: failed, or more input is needed. */
static bool decoder_read_header(struct age_decoder *age,
				struct transform_io *io)
{
	bool failed;

	io->in += age_header_feed(&age->header, &age->transform, io->in,
				  age_in_size(io), &failed);
	if (failed || age->header.state != AGE_HEADER_END)
		return false;
	if (age_header_unwrap(&age->header, age->identities, &age->transform,
			      age->file_key) < 0)
		return false;
	age->payload_offset = age->header.raw->used + AGE_NONCE_SIZE;
	age->state = AGE_READ_NONCE;
	return true;
}

static bool decoder_read_nonce(struct age_decoder *age, struct transform_io *io)
{
	size_t size = I_MIN(AGE_NONCE_SIZE - age->nonce_have, age_in_size(io));
	unsigned char key[AGE_AEAD_KEY_SIZE];

	memcpy(age->nonce + age->nonce_have, io->in, size);
	io->in += size;
	age->nonce_have += size;
	if (age->nonce_have < AGE_NONCE_SIZE)
		return false;
	age_payload_key(age->file_key, age->nonce, key);
	age_aead_set_key(&age->aead, key);
	sodium_memzero(key, sizeof(key));
	sodium_memzero(age->file_key, sizeof(age->file_key));
	age->state = AGE_READ_CHUNKS;
	return true;
}

/* Bytes that were taken, for the chunk that comes out next and those behind it. */
static size_t taken_ahead(const struct age_decoder *age)
{
	size_t count = age->crew == NULL ? 0 : age_crew_count(age->crew);

	return count * AGE_SEALED_CHUNK_SIZE + age->sealed.have;
}

/* Opens a sealed chunk: a full one is most likely not the last. */
static bool open_chunk(struct age_aead *aead, uint64_t counter,
		       const unsigned char *in, size_t size, unsigned char *out,
		       bool *last_r)
{
	*last_r = false;
	if (size == AGE_SEALED_CHUNK_SIZE &&
	    age_open_chunk(aead, counter, false, in, size, out))
		return true;
	*last_r = age_open_chunk(aead, counter, true, in, size, out);
	return *last_r;
}

static enum transform_status bad_chunk(struct age_decoder *age, bool cut)
{
	return transform_error(
		&age->transform, cut ? EPIPE : EINVAL,
		"payload: chunk %llu is %s", (unsigned long long)age->counter,
		cut ? "truncated or damaged" : "damaged (wrong tag)");
}

/* The sealed chunk at `in`: into the window where it has room and nothing is
   written there before it is verified, else into memory of our own. `cut`: it is
   the last and may have been longer. */
static enum transform_status decoder_open(struct age_decoder *age,
					  struct transform_io *io,
					  const unsigned char *in, size_t size,
					  bool cut)
{
	size_t plain = size - AGE_TAG_SIZE;
	bool direct = AGE_AEAD_VERIFIES_FIRST && age_out_size(io) >= plain;

	if (!direct && !age_chunk_alloc(&age->plain, &age->transform))
		return TRANSFORM_ERROR;
	if (!open_chunk(&age->aead, age->counter, in, size,
			direct ? io->out : age->plain.data, &age->last_opened))
		return bad_chunk(age, cut);
	if (direct) {
		io->out += plain;
	} else {
		age->plain.out_end = plain;
		age->plain.dirty = I_MAX(age->plain.dirty, plain);
	}
	age->counter++;
	return TRANSFORM_NEED_OUT;
}

static enum transform_status decoder_open_gathered(struct age_decoder *age,
						   struct transform_io *io,
						   bool cut)
{
	size_t size = age->sealed.have;
	enum transform_status status;

	age->sealed.have = 0;
	status = decoder_open(age, io, age->sealed.data, size, cut);
	/* a chunk is damaged where it begins, and cut where it ends */
	if (status == TRANSFORM_ERROR && !cut)
		age->transform.error_left = size;
	return status;
}

/* The input is over: what was gathered is the last chunk, or cut. */
static enum transform_status decoder_finish(struct age_decoder *age,
					    struct transform_io *io)
{
	struct transform *t = &age->transform;

	if (age->sealed.have == 0)
		return transform_error(t, EPIPE,
				       "payload: truncated before the last "
				       "chunk");
	if (age->sealed.have < AGE_TAG_SIZE)
		return bad_chunk(age, true);
	if (age->sealed.have == AGE_TAG_SIZE && age->counter > 0)
		return transform_error(t, EINVAL,
				       "payload: the last chunk is empty");
	return decoder_open_gathered(age, io, true);
}

/* The next chunk: from the window where it is whole there. */
static enum transform_status next_chunk(struct age_decoder *age,
					struct transform_io *io,
					enum transform_op op)
{
	enum transform_status status;

	if (age->sealed.have == 0 && age_in_size(io) >= AGE_SEALED_CHUNK_SIZE) {
		status = decoder_open(age, io, io->in, AGE_SEALED_CHUNK_SIZE,
				      false);
		if (status != TRANSFORM_ERROR)
			io->in += AGE_SEALED_CHUNK_SIZE;
		return status;
	}
	if (!age_chunk_alloc(&age->sealed, &age->transform))
		return TRANSFORM_ERROR;
	age_chunk_gather(&age->sealed, io, AGE_SEALED_CHUNK_SIZE);
	if (age->sealed.have == AGE_SEALED_CHUNK_SIZE)
		return decoder_open_gathered(age, io, false);
	return op == TRANSFORM_FINISH ? decoder_finish(age, io) :
					TRANSFORM_NEED_IN;
}

/*
 * The crew: all full chunks; what is behind them is opened here
 */

static size_t open_job(struct age_aead *aead, struct age_job *job,
		       unsigned char *out)
{
	job->ok = open_chunk(aead, job->counter, job->chunk.data,
			     job->chunk.have, out, &job->last);
	return job->ok ? job->chunk.have - AGE_TAG_SIZE : 0;
}

/* Once there was work enough for it, and another chunk is there to begin with. */
static bool decoder_wants_crew(const struct age_decoder *age,
			       const struct transform_io *io)
{
	return age->threads > 1 && age->crew == NULL &&
		age->counter - age->begin >= AGE_CREW_AFTER &&
		age->sealed.have + age_in_size(io) >= AGE_SEALED_CHUNK_SIZE;
}

/* Gives it what fills a chunk, as long as it has a free slot. What is left of the
   input then waits for one. */
static bool decoder_feed_crew(struct age_decoder *age, struct transform_io *io)
{
	for (;;) {
		if (age->sealed.have == AGE_SEALED_CHUNK_SIZE) {
			if (age_crew_is_full(age->crew))
				return true;
			age_crew_give(age->crew, &age->sealed,
				      age->counter + age_crew_count(age->crew));
		}
		if (age_in_size(io) == 0)
			return true;
		if (!age_chunk_alloc(&age->sealed, &age->transform))
			return false;
		age_chunk_gather(&age->sealed, io, AGE_SEALED_CHUNK_SIZE);
	}
}

/* NEED_IN: all input was taken; with FINISH also that the crew has none of it. It
   waits where it could not go on else: for a slot, for the end, and where it is
   asked without input for a chunk at least. */
static enum transform_status decode_by_crew(struct age_decoder *age,
					    struct transform_io *io,
					    enum transform_op op)
{
	bool asked = op == TRANSFORM_FINISH ||
		(op == TRANSFORM_RUN && age_in_size(io) == 0);
	struct age_job *job;
	bool wait;

	while (!age->last_opened) {
		if (!decoder_feed_crew(age, io))
			return TRANSFORM_ERROR;
		wait = (asked || age_in_size(io) > 0) && age_out_size(io) > 0;
		job = age_crew_first(age->crew, wait);
		if (job == NULL)
			break;
		/* what the crew made of the chunks behind it is of no use */
		if (!job->ok) {
			age->transform.error_left = taken_ahead(age);
			return bad_chunk(age, false);
		}
		if (!age_chunk_drain(&job->chunk, io))
			return TRANSFORM_NEED_OUT;
		age->counter++;
		age->last_opened = job->last;
		age_crew_drop(age->crew);
		asked = op == TRANSFORM_FINISH;
	}
	if (!age->last_opened &&
	    (age_in_size(io) > 0 ||
	     (op == TRANSFORM_FINISH && age_crew_count(age->crew) > 0)))
		return TRANSFORM_NEED_OUT;
	return TRANSFORM_NEED_IN;
}

/*
 * Both
 */

static void drop_chunks(struct age_decoder *age)
{
	age_crew_stop(&age->crew);
	age_chunk_free(&age->sealed);
	age_chunk_free(&age->plain);
}

/* The last chunk is out. What else the input window has is left there. */
static enum transform_status decode_end(struct age_decoder *age)
{
	size_t behind = taken_ahead(age);

	drop_chunks(age);
	if (behind == 0)
		return TRANSFORM_END;
	age->transform.error_left = behind;
	return transform_error(&age->transform, EINVAL, "data after the end");
}

static enum transform_status decode_chunks(struct age_decoder *age,
					   struct transform_io *io,
					   enum transform_op op)
{
	enum transform_status status;

	for (;;) {
		if (!age_chunk_drain(&age->plain, io))
			return TRANSFORM_NEED_OUT;
		if (age->last_opened)
			return decode_end(age);
		if (decoder_wants_crew(age, io)) {
			age->crew = age_crew_start(&age->transform,
						   age->threads, age->aead.key,
						   open_job, &age->wake);
			if (age->crew == NULL)
				return TRANSFORM_ERROR;
		}
		if (age->crew != NULL) {
			if (op == TRANSFORM_POLL)
				age_crew_clear_wake(age->crew, &age->wake);
			status = decode_by_crew(age, io, op);
			if (age->last_opened)
				continue;
			if (status != TRANSFORM_NEED_IN ||
			    op != TRANSFORM_FINISH)
				return status;
		}
		status = next_chunk(age, io, op);
		if (status != TRANSFORM_NEED_OUT)
			return status;
	}
}

static enum transform_status
age_decode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct age_decoder *age = age_decoder(t);
	bool more = true;

	if (wake_fd_is_parents(&age->wake))
		return transform_error_forked(t);
	if (age->state == AGE_READ_HEADER)
		more = decoder_read_header(age, io);
	if (more && age->state == AGE_READ_NONCE)
		more = decoder_read_nonce(age, io);
	if (t->error_errno != 0)
		return TRANSFORM_ERROR;
	if (more)
		return decode_chunks(age, io, op);
	if (op != TRANSFORM_FINISH)
		return TRANSFORM_NEED_IN;
	return transform_error(t, EPIPE, "header: the file %s",
			       age->header.raw->used == 0 ? "is empty" :
							    "ends within it");
}

/*
 * Random access: all chunks but the last have the same size
 */

struct age_layout {
	uint64_t chunks;   /* how many there are */
	uoff_t plain_size; /* what they claim to hold together */
};

static int age_layout(struct age_decoder *age, uoff_t encoded_size,
		      struct age_layout *layout)
{
	uoff_t payload, last;

	if (age->state != AGE_READ_CHUNKS)
		return 0;
	if (encoded_size < age->payload_offset + AGE_TAG_SIZE) {
		(void)transform_error(&age->transform, EPIPE,
				      "payload: truncated");
		return -1;
	}
	payload = encoded_size - age->payload_offset;
	layout->chunks = (payload - 1) / AGE_SEALED_CHUNK_SIZE + 1;
	last = payload - (layout->chunks - 1) * AGE_SEALED_CHUNK_SIZE;
	if (last < AGE_TAG_SIZE ||
	    (last == AGE_TAG_SIZE && layout->chunks > 1)) {
		(void)transform_error(&age->transform, EPIPE,
				      "payload: the last chunk is truncated");
		return -1;
	}
	layout->plain_size = payload - layout->chunks * AGE_TAG_SIZE;
	return 1;
}

static void go_to_chunk(struct age_decoder *age, uint64_t chunk,
			struct transform_point *point)
{
	drop_chunks(age);
	age->counter = age->begin = chunk;
	age->last_opened = false;
	point->encoded_offset =
		age->payload_offset + chunk * AGE_SEALED_CHUNK_SIZE;
	point->plain_offset = chunk * AGE_CHUNK_SIZE;
}

static int age_locate(struct transform *t, uoff_t plain_offset,
		      uoff_t encoded_size, struct transform_point *point)
{
	struct age_decoder *age = age_decoder(t);
	struct age_layout layout;
	uint64_t chunk = plain_offset / AGE_CHUNK_SIZE;
	int ret;

	ret = age_layout(age, encoded_size, &layout);
	if (ret > 0)
		go_to_chunk(age, I_MIN(chunk, layout.chunks - 1), point);
	return ret;
}

static int age_vouch(struct transform *t, uoff_t encoded_size,
		     struct transform_point *point)
{
	struct age_decoder *age = age_decoder(t);
	struct age_layout layout;
	int ret;

	ret = age_layout(age, encoded_size, &layout);
	if (ret > 0) {
		go_to_chunk(age, layout.chunks - 1, point);
		point->plain_offset = layout.plain_size;
	}
	return ret;
}

static void age_decoder_reset(struct transform *t)
{
	struct age_decoder *age = age_decoder(t);

	drop_chunks(age);
	age_header_free(&age->header);
	age_header_init(&age->header);
	age->state = AGE_READ_HEADER;
	age->nonce_have = 0;
	age->counter = age->begin = 0;
	age->last_opened = false;
	age_aead_clear(&age->aead);
	sodium_memzero(age->file_key, sizeof(age->file_key));
}

static void age_decoder_free(struct transform *t)
{
	struct age_decoder *age = age_decoder(t);

	age_decoder_reset(t);
	wake_fd_free(&age->wake);
	age_header_free(&age->header);
	age_identities_unref(&age->identities);
	i_free(age);
}

static size_t decoder_get_pending(struct transform *t)
{
	return age_crew_pending(age_decoder(t)->crew);
}

static int decoder_get_wake_fd(struct transform *t)
{
	struct age_decoder *age = age_decoder(t);

	return age_crew_get_wake_fd(age->crew, &age->wake);
}

static const struct transform_class age_decoder_class = {
	.name = "age",
	.flags = TRANSFORM_DECODER | TRANSFORM_AUTHENTICATED | TRANSFORM_EXACT,
	.min_out = 1,
	.good_in = AGE_SEALED_CHUNK_SIZE,
	.good_out = AGE_CHUNK_SIZE,
	.max_state = 2 * AGE_SEALED_CHUNK_SIZE + AGE_HEADER_MAX + 4096,
	.process = age_decode,
	.reset = age_decoder_reset,
	.free = age_decoder_free,
	.locate = age_locate,
	.vouch = age_vouch,
};

struct transform *
transform_create_age_threads_decoder(struct age_identities *identities,
				     unsigned int threads)
{
	const struct transform_class *class_ = &age_decoder_class;
	struct age_decoder *age;

	if (threads > AGE_THREADS_MAX)
		return age_create_threads_error(class_, threads);
	age = i_new(struct age_decoder, 1);
	age->transform.class_ = class_;
	age->threads = threads;
	if (threads > 1) {
		age_crew_class(&age->class_, class_, threads);
		age->class_.get_pending = decoder_get_pending;
		age->class_.get_wake_fd = decoder_get_wake_fd;
		age->transform.class_ = &age->class_;
	}
	age_identities_ref(identities);
	age->identities = identities;
	age_header_init(&age->header);
	return &age->transform;
}

struct transform *
transform_create_age_decoder(struct age_identities *identities)
{
	return transform_create_age_threads_decoder(identities, 1);
}
