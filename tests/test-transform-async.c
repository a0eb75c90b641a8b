/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Transforms on a thread of their own. That the bytes and errors are those of the
   transform itself is shown by test-transforms; here it is about who waits for whom. */

#include "config.h"
#include "ioloop.h"
#include "macros.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 131072

/*
 * A codec that copies, and waits at a gate in each call
 */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool open;
	unsigned int inside; /* calls that have come to the gate */
	unsigned int let;    /* so many of them pass, also where it is shut */
	bool failed;         /* the codec has met its error */
};

static void gate_init(struct gate *gate)
{
	memset(gate, 0, sizeof(*gate));
	assert_int_equal(pthread_mutex_init(&gate->lock, NULL), 0);
	assert_int_equal(pthread_cond_init(&gate->moved, NULL), 0);
}

static void gate_free(struct gate *gate)
{
	(void)pthread_cond_destroy(&gate->moved);
	(void)pthread_mutex_destroy(&gate->lock);
}

static void gate_open(struct gate *gate)
{
	(void)pthread_mutex_lock(&gate->lock);
	gate->open = true;
	(void)pthread_cond_broadcast(&gate->moved);
	(void)pthread_mutex_unlock(&gate->lock);
}

static void gate_pass(struct gate *gate)
{
	unsigned int number;

	(void)pthread_mutex_lock(&gate->lock);
	number = ++gate->inside;
	(void)pthread_cond_broadcast(&gate->moved);
	while (!gate->open && number > gate->let)
		(void)pthread_cond_wait(&gate->moved, &gate->lock);
	(void)pthread_mutex_unlock(&gate->lock);
}

static void gate_let(struct gate *gate, unsigned int calls)
{
	(void)pthread_mutex_lock(&gate->lock);
	gate->let = calls;
	(void)pthread_cond_broadcast(&gate->moved);
	(void)pthread_mutex_unlock(&gate->lock);
}

static void gate_wait_for_calls(struct gate *gate, unsigned int calls)
{
	(void)pthread_mutex_lock(&gate->lock);
	while (gate->inside < calls)
		(void)pthread_cond_wait(&gate->moved, &gate->lock);
	(void)pthread_mutex_unlock(&gate->lock);
}

static void gate_wait_for_caller(struct gate *gate)
{
	gate_wait_for_calls(gate, 1);
}

static void gate_note_failure(struct gate *gate)
{
	(void)pthread_mutex_lock(&gate->lock);
	gate->failed = true;
	(void)pthread_cond_broadcast(&gate->moved);
	(void)pthread_mutex_unlock(&gate->lock);
}

static void gate_wait_for_failure(struct gate *gate)
{
	(void)pthread_mutex_lock(&gate->lock);
	while (!gate->failed)
		(void)pthread_cond_wait(&gate->moved, &gate->lock);
	gate->failed = false;
	(void)pthread_mutex_unlock(&gate->lock);
}

struct held_codec {
	struct transform transform;
	struct gate *gate;
	pthread_t caller; /* whose thread called process() */
	size_t fail_at;   /* SIZE_MAX: never */
	size_t done;
	bool mute; /* nothing comes out of it */
};

static struct held_codec *held_codec(struct transform *t)
{
	return container_of(t, struct held_codec, transform);
}

static enum transform_status
held_process(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct held_codec *held = held_codec(t);
	size_t size = I_MIN((size_t)(io->in_end - io->in),
			    (size_t)(io->out_end - io->out));

	if (t->error_errno != 0)
		return TRANSFORM_ERROR;
	gate_pass(held->gate);
	held->caller = pthread_self();
	size = I_MIN(size, held->fail_at - held->done);
	if (!held->mute) {
		memcpy(io->out, io->in, size);
		io->out += size;
	}
	io->in += size;
	held->done += size;
	if (held->done == held->fail_at) {
		(void)transform_error(t, EINVAL, "enough of it");
		gate_note_failure(held->gate);
		return TRANSFORM_ERROR;
	}
	if (io->in < io->in_end)
		return TRANSFORM_NEED_OUT;
	return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN : TRANSFORM_DONE;
}

static void held_reset(struct transform *t)
{
	held_codec(t)->done = 0;
}

static void held_free(struct transform *t)
{
	free(held_codec(t));
}

static const struct transform_class held_class = {
	.name = "held",
	.flags = TRANSFORM_TRAILER,
	.min_out = 1,
	.process = held_process,
	.free = held_free,
};

/* The same as a decoder: it copies, too. */
static enum transform_status
held_decode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	enum transform_status status = held_process(t, io, op);

	return status == TRANSFORM_DONE ? TRANSFORM_END : status;
}

static const struct transform_class held_decoder_class = {
	.name = "held",
	.flags = TRANSFORM_DECODER | TRANSFORM_UNFRAMED,
	.min_out = 1,
	.process = held_decode,
	.reset = held_reset,
	.free = held_free,
};

/* One that has threads of its own: they keep all that it is given, until it is called
   without input. */
static enum transform_status
crew_process(struct transform *t, struct transform_io *io, enum transform_op op)
{
	size_t size = (size_t)(io->in_end - io->in);

	gate_pass(held_codec(t)->gate);
	held_codec(t)->done = size == 0 ? 0 : held_codec(t)->done + size;
	io->in = io->in_end;
	return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN : TRANSFORM_DONE;
}

static size_t crew_get_pending(struct transform *t)
{
	return held_codec(t)->done;
}

static int crew_get_wake_fd(struct transform *t ATTR_UNUSED)
{
	return -1;
}

static const struct transform_class crew_class = {
	.name = "crew",
	.flags = TRANSFORM_TRAILER | TRANSFORM_DEFERS,
	.min_out = 1,
	.process = crew_process,
	.free = held_free,
	.get_pending = crew_get_pending,
	.get_wake_fd = crew_get_wake_fd,
};

static struct held_codec *held_new(struct gate *gate, size_t fail_at)
{
	struct held_codec *held = calloc(1, sizeof(*held));

	assert_non_null(held);
	held->transform.class_ = &held_class;
	held->gate = gate;
	held->fail_at = fail_at;
	return held;
}

static void *open_gate(void *context)
{
	gate_open(context);
	return NULL;
}

/*
 * Sending
 */

static void test_sends_return_while_the_codec_works(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 40 * BLOCK);
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf), *s;
	struct held_codec *held;
	struct gate gate;
	pthread_t opener;

	gate_init(&gate);
	held = held_new(&gate, SIZE_MAX);
	s = o_stream_create_transform(end,
				      transform_create_async(&held->transform));
	/* the codec has a block and cannot go on; four more wait */
	assert_int_equal(o_stream_send(s, data, BLOCK), BLOCK);
	gate_wait_for_caller(&gate);
	assert_int_equal(o_stream_send(s, data + BLOCK, 3 * BLOCK), 3 * BLOCK);
	assert_int_equal(o_stream_send(s, data + 4 * BLOCK, BLOCK), BLOCK);
	assert_int_equal(buf->used, 0);
	assert_int_equal(gate.inside, 1);
	/* what is more than that waits for the codec, and loses nothing */
	assert_int_equal(pthread_create(&opener, NULL, open_gate, &gate), 0);
	assert_int_equal(o_stream_send(s, data + 5 * BLOCK, 35 * BLOCK),
			 35 * BLOCK);
	assert_int_equal(o_stream_finish(s), 1);
	assert_int_equal(pthread_join(opener, NULL), 0);
	assert_false(pthread_equal(held->caller, pthread_self()));
	assert_int_equal(buf->used, 40 * BLOCK);
	assert_memory_equal(buf->data, data, 40 * BLOCK);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&buf);
	gate_free(&gate);
	free(data);
}

/* What the codec's own threads have is as little sent as what waits for the codec. */
static void test_what_the_codecs_threads_have_counts(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 3 * BLOCK);
	struct ostream *end = o_stream_create_null(), *s;
	struct held_codec *held;
	struct gate gate;

	gate_init(&gate);
	held = held_new(&gate, SIZE_MAX);
	held->transform.class_ = &crew_class;
	s = o_stream_create_transform(end,
				      transform_create_async(&held->transform));
	assert_int_equal(o_stream_send(s, data, 3 * BLOCK), 3 * BLOCK);
	gate_wait_for_calls(&gate, 1);
	assert_int_equal(o_stream_get_buffer_used_size(s), 3 * BLOCK);
	/* the first block is done with, and so is the second */
	gate_let(&gate, 1);
	gate_wait_for_calls(&gate, 2);
	assert_int_equal(o_stream_get_buffer_used_size(s), 3 * BLOCK);
	gate_let(&gate, 2);
	gate_wait_for_calls(&gate, 3);
	assert_int_equal(o_stream_get_buffer_used_size(s), 3 * BLOCK);
	gate_open(&gate);
	assert_int_equal(o_stream_finish(s), 1);
	assert_int_equal(o_stream_get_buffer_used_size(s), 0);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	gate_free(&gate);
	free(data);
}

static void test_flush_waits_for_the_codec(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf), *s;
	struct gate gate;
	pthread_t opener;

	gate_init(&gate);
	s = o_stream_create_transform(
		end,
		transform_create_async(&held_new(&gate, SIZE_MAX)->transform));
	assert_int_equal(o_stream_send(s, "hello", 5), 5);
	assert_int_equal(buf->used, 0);
	assert_int_equal(pthread_create(&opener, NULL, open_gate, &gate), 0);
	assert_int_equal(o_stream_flush(s), 1);
	assert_int_equal(buf->used, 5);
	assert_int_equal(pthread_join(opener, NULL), 0);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&buf);
	gate_free(&gate);
}

/* All bytes before the error reach the parent, wherever in a block it is. */
static void test_errors_come_behind_the_bytes(void **state ATTR_UNUSED)
{
	static const size_t places[] = { 0,         1,         BLOCK - 1,
					 BLOCK,     BLOCK + 1, 7 * BLOCK + 5,
					 10 * BLOCK };
	unsigned char *data = test_data(TEST_DATA_RANDOM, 20 * BLOCK);
	struct ostream *end, *s;
	struct gate gate;
	char place[100];
	buffer_t *buf;
	size_t i;

	for (i = 0; i < N_ELEMENTS(places); i++) {
		gate_init(&gate);
		gate_open(&gate);
		buf = buffer_create_dynamic(default_pool, 0);
		end = o_stream_create_buffer(buf);
		s = o_stream_create_transform(
			end,
			transform_create_async(
				&held_new(&gate, places[i])->transform));
		o_stream_nsend(s, data, 20 * BLOCK);
		assert_int_equal(o_stream_finish(s), -1);
		assert_int_equal(s->stream_errno, EINVAL);
		/* what waits behind the place is not counted */
		(void)snprintf(place, sizeof(place),
			       "enough of it (at byte %zu of the input, byte "
			       "%zu of the output)",
			       places[i], places[i]);
		assert_non_null(strstr(o_stream_get_error(s), place));
		assert_int_equal(buf->used, places[i]);
		assert_memory_equal(buf->data, data, places[i]);
		o_stream_destroy(&s);
		o_stream_destroy(&end);
		buffer_free(&buf);
		gate_free(&gate);
	}
	free(data);
}

/* Whatever the codec is doing: at work, with more behind it, or at rest. */
static void test_abort_at_any_moment(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0, 10, BLOCK, 4 * BLOCK };
	unsigned char *data = test_data(TEST_DATA_RANDOM, 4 * BLOCK);
	struct ostream *end, *s;
	struct gate gate;
	pthread_t opener;
	buffer_t *buf;
	size_t i;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		gate_init(&gate);
		buf = buffer_create_dynamic(default_pool, 0);
		end = o_stream_create_buffer(buf);
		s = o_stream_create_transform(
			end,
			transform_create_async(
				&held_new(&gate, SIZE_MAX)->transform));
		if (sizes[i] > 0)
			assert_int_equal(o_stream_send(s, data, sizes[i]),
					 sizes[i]);
		if (sizes[i] >= BLOCK)
			gate_wait_for_caller(&gate);
		assert_int_equal(
			pthread_create(&opener, NULL, open_gate, &gate), 0);
		o_stream_abort(s);
		o_stream_destroy(&s);
		assert_int_equal(pthread_join(opener, NULL), 0);
		/* not even the blocks that had come out */
		assert_int_equal(buf->used, 0);
		o_stream_destroy(&end);
		buffer_free(&buf);
		gate_free(&gate);
	}
	free(data);
}

/*
 * Reading
 */

/* A reader is given what can be decoded, and does not wait for a writer who may be
   waiting for an answer: blocking or not. */
static void test_reading_does_not_wait_for_more(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *s = o_stream_create_gzip(end, 6);
	struct istream *pipe_input, *input;
	const unsigned char *data;
	unsigned int nonblock;
	size_t size, flushed;
	int fds[2], ret;

	o_stream_nsend_str(s, "a question");
	assert_int_equal(o_stream_flush(s), 1);
	flushed = buf->used;
	assert_int_equal(o_stream_finish(s), 1);
	for (nonblock = 0; nonblock < 2; nonblock++) {
		assert_int_equal(pipe(fds), 0);
		if (nonblock == 1)
			assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
		pipe_input = i_stream_create_fd_autoclose(&fds[0], 0);
		input = i_stream_create_transform(
			pipe_input,
			transform_create_async(
				transform_create_gzip_decoder()));
		assert_int_equal(write(fds[1], buf->data, flushed), flushed);
		ret = i_stream_read_more(input, &data, &size);
		assert_int_equal(ret, 1);
		assert_int_equal(size, 10);
		assert_memory_equal(data, "a question", 10);
		i_stream_skip(input, size);
		if (nonblock == 1)
			assert_int_equal(
				i_stream_read_more(input, &data, &size), 0);
		size = buf->used - flushed;
		assert_int_equal(write(fds[1],
				       (const char *)buf->data + flushed, size),
				 size);
		assert_int_equal(close(fds[1]), 0);
		assert_int_equal(i_stream_read_more(input, &data, &size), -1);
		assert_int_equal(input->stream_errno, 0);
		assert_true(input->eof);
		i_stream_destroy(&input);
		i_stream_destroy(&pipe_input);
	}
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&buf);
}

/* What follows a member is looked at on the thread: the same answers come of it. */
static void test_members(void **state ATTR_UNUSED)
{
	static const struct {
		const char *behind;
		size_t size;
		int error;
	} rows[] = { { "", 0, 0 },
		     { "garbage", 7, EINVAL },
		     { "\x1f", 1, EPIPE } };
	buffer_t *one = buffer_create_dynamic(default_pool, 0);
	buffer_t *file = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(one);
	struct ostream *s = o_stream_create_gzip(end, 6);
	struct istream *data, *input;
	const unsigned char *got;
	size_t i, size;

	o_stream_nsend_str(s, "hello");
	assert_int_equal(o_stream_finish(s), 1);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		buffer_set_used_size(file, 0);
		buffer_append(file, one->data, one->used);
		buffer_append(file, one->data, one->used);
		buffer_append(file, rows[i].behind, rows[i].size);
		data = i_stream_create_from_buffer(file);
		input = i_stream_create_transform(
			data,
			transform_create_async(
				transform_create_gzip_decoder()));
		while (i_stream_read(input) > 0)
			;
		got = i_stream_get_data(input, &size);
		assert_int_equal(size, 10);
		assert_memory_equal(got, "hellohello", 10);
		assert_int_equal(input->stream_errno, rows[i].error);
		i_stream_destroy(&input);
		i_stream_destroy(&data);
	}
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&file);
	buffer_free(&one);
}

static buffer_t *gzipped(const void *data, size_t size)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *s = o_stream_create_gzip(end, 1);

	o_stream_nsend(s, data, size);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	return buf;
}

/* How many bytes come out of the file's first `cut` bytes, before EIO. */
static size_t bytes_before_error(const buffer_t *file, uoff_t cut, bool async)
{
	struct transform *t = transform_create_gzip_decoder();
	struct istream *data = i_stream_create_from_buffer(file);
	struct istream *cutter =
		i_stream_create_failure_at(data, cut, EIO, "broken");
	struct istream *input = i_stream_create_transform(
		cutter, async ? transform_create_async(t) : t);
	const unsigned char *got;
	size_t size, total = 0;

	while (i_stream_read_more(input, &got, &size) > 0) {
		total += size;
		i_stream_skip(input, size);
	}
	assert_int_equal(input->stream_errno, EIO);
	i_stream_destroy(&input);
	i_stream_destroy(&cutter);
	i_stream_destroy(&data);
	return total;
}

static void test_bytes_before_the_parents_error(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 6 * BLOCK);
	buffer_t *file = gzipped(data, 6 * BLOCK);
	static const uoff_t cuts[] = { 20, 1000, 70000, 200000, 300001 };
	size_t i;

	for (i = 0; i < N_ELEMENTS(cuts); i++)
		assert_int_equal(bytes_before_error(file, cuts[i], true),
				 bytes_before_error(file, cuts[i], false));
	buffer_free(&file);
	free(data);
}

/* What the thread met while it was ahead of the reader does not count where the
   reader goes back. */
static void test_seeking_back_forgets_an_error(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 4 * BLOCK);
	struct istream *mem = i_stream_create_from_data(data, 4 * BLOCK);
	struct held_codec *held;
	struct istream *input;
	const unsigned char *got;
	struct gate gate;
	size_t size;

	gate_init(&gate);
	gate_open(&gate);
	held = held_new(&gate, 2 * BLOCK);
	held->transform.class_ = &held_decoder_class;
	input = i_stream_create_transform(
		mem, transform_create_async(&held->transform));
	while (input->v_offset < 2 * BLOCK) {
		assert_int_equal(i_stream_read_more(input, &got, &size), 1);
		i_stream_skip(input, size);
	}
	/* its third block is with the thread since the first read */
	gate_wait_for_failure(&gate);
	i_stream_seek(input, 0);
	assert_int_equal(i_stream_read_more(input, &got, &size), 1);
	assert_memory_equal(got, data, size);
	i_stream_destroy(&input);
	i_stream_destroy(&mem);
	gate_free(&gate);
	free(data);
}

/* A decoder needs no finish: what it was given arrives all the same. */
static void test_destroy_of_a_pushed_decoder(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 3 * BLOCK);
	buffer_t *file = gzipped(data, 3 * BLOCK);
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *s = o_stream_create_transform(
		end, transform_create_async(transform_create_gzip_decoder()));

	assert_int_equal(o_stream_send(s, file->data, file->used), file->used);
	o_stream_destroy(&s);
	assert_int_equal(buf->used, 3 * BLOCK);
	assert_memory_equal(buf->data, data, 3 * BLOCK);
	o_stream_destroy(&end);
	buffer_free(&buf);
	buffer_free(&file);
	free(data);
}

/* What a dot's end leaves is the next reader's: no thread may have it. */
static void test_a_decoder_that_stops_stays(void **state ATTR_UNUSED)
{
	struct transform *t = transform_create_dot_decoder(0);

	assert_ptr_equal(transform_create_async(t), t);
	transform_free(&t);
	t = transform_create_gzip_encoder(77);
	assert_ptr_equal(transform_create_async(t), t);
	transform_free(&t);
}

/*
 * In an event loop
 */

/* Passes all on, and counts how often it was polled. */
struct counted {
	struct transform transform;
	struct transform_class class_;
	struct transform *inner;
	unsigned int polls;
};

static struct counted *counted(struct transform *t)
{
	return container_of(t, struct counted, transform);
}

static enum transform_status counted_process(struct transform *t,
					     struct transform_io *io,
					     enum transform_op op)
{
	struct transform *inner = counted(t)->inner;
	enum transform_status status = inner->class_->process(inner, io, op);

	if (op == TRANSFORM_POLL)
		counted(t)->polls++;
	if (status == TRANSFORM_ERROR)
		(void)transform_error(t, inner->error_errno, "%s",
				      inner->error);
	return status;
}

static size_t counted_get_pending(struct transform *t)
{
	return counted(t)->inner->class_->get_pending(counted(t)->inner);
}

static int counted_get_wake_fd(struct transform *t)
{
	return counted(t)->inner->class_->get_wake_fd(counted(t)->inner);
}

static void counted_free(struct transform *t)
{
	transform_free(&counted(t)->inner);
	free(counted(t));
}

static struct counted *counted_new(struct transform *inner)
{
	struct counted *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->inner = inner;
	c->class_ = *inner->class_;
	c->class_.process = counted_process;
	c->class_.free = counted_free;
	c->class_.get_pending = counted_get_pending;
	c->class_.get_wake_fd = counted_get_wake_fd;
	c->transform.class_ = &c->class_;
	return c;
}

struct waiting {
	struct ioloop *loop;
	struct gate gate;
	struct held_codec *held;
	struct counted *codec;
	struct ostream *s;
	struct istream *input;
	unsigned int calls;
	bool destroy;
	buffer_t *got;
};

static void waiting_init(struct waiting *w, size_t fail_at, bool decodes)
{
	memset(w, 0, sizeof(*w));
	gate_init(&w->gate);
	w->loop = io_loop_create();
	w->held = held_new(&w->gate, fail_at);
	if (decodes)
		w->held->transform.class_ = &held_decoder_class;
	w->codec = counted_new(transform_create_async(&w->held->transform));
	w->got = buffer_create_dynamic(default_pool, 1024);
}

static void waiting_free(struct waiting *w)
{
	io_loop_destroy(&w->loop);
	buffer_free(&w->got);
	gate_free(&w->gate);
}

static void nothing(void *context ATTR_UNUSED)
{
}

/* So many turns of the loop, whether anything happens or not. */
static void turn(struct waiting *w, unsigned int turns)
{
	struct timeout *to = timeout_add_to(w->loop, 0, nothing, NULL);

	while (turns-- > 0)
		io_loop_handler_run(w->loop);
	timeout_remove(&to);
}

static int all_went_out(void *context)
{
	struct waiting *w = context;

	w->calls++;
	io_loop_stop(w->loop);
	if (w->destroy) {
		o_stream_abort(w->s);
		o_stream_destroy(&w->s);
	}
	return 1;
}

/* Nobody sends, nobody flushes, and the parent has always room: the thread alone says
   that there is something. And where it has nothing to say the loop sleeps. */
static void test_the_thread_wakes_the_loop(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct waiting w;

	waiting_init(&w, SIZE_MAX, false);
	w.s = o_stream_create_transform(end, &w.codec->transform);
	o_stream_set_flush_callback(w.s, all_went_out, &w);
	assert_int_equal(o_stream_send(w.s, "hel", 3), 3);
	assert_int_equal(o_stream_send(w.s, "lo", 2), 2);
	assert_int_equal(w.codec->polls, 0);
	turn(&w, 50);
	gate_wait_for_caller(&w.gate);
	/* both sends are with the thread, as one */
	assert_int_equal(w.gate.inside, 1);
	assert_int_equal(w.codec->polls, 1);
	assert_int_equal(w.calls, 0);
	gate_open(&w.gate);
	io_loop_run(w.loop);
	assert_int_equal(w.calls, 1);
	assert_int_equal(buf->used, 5);
	assert_memory_equal(buf->data, "hello", 5);
	/* at most: output, still busy, at rest */
	turn(&w, 50);
	assert_true(w.codec->polls <= 6);
	assert_int_equal(w.calls, 1);
	assert_int_equal(o_stream_finish(w.s), 1);
	o_stream_destroy(&w.s);
	o_stream_destroy(&end);
	waiting_free(&w);
	buffer_free(&buf);
}

/* Also where nothing comes of what it was given: then nothing is on its way. */
static void test_the_thread_says_that_it_is_at_rest(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct waiting w;

	waiting_init(&w, SIZE_MAX, false);
	w.held->mute = true;
	w.s = o_stream_create_transform(end, &w.codec->transform);
	o_stream_set_flush_callback(w.s, all_went_out, &w);
	assert_int_equal(o_stream_send(w.s, "hello", 5), 5);
	turn(&w, 50);
	gate_wait_for_caller(&w.gate);
	assert_int_equal(w.calls, 0);
	gate_open(&w.gate);
	io_loop_run(w.loop);
	assert_int_equal(w.calls, 1);
	assert_int_equal(buf->used, 0);
	assert_int_equal(o_stream_finish(w.s), 1);
	o_stream_destroy(&w.s);
	o_stream_destroy(&end);
	waiting_free(&w);
	buffer_free(&buf);
}

static void test_the_loop_hears_of_an_error(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct waiting w;

	waiting_init(&w, 3, false);
	w.s = o_stream_create_transform(end, &w.codec->transform);
	o_stream_set_flush_callback(w.s, all_went_out, &w);
	assert_int_equal(o_stream_send(w.s, "hello", 5), 5);
	gate_open(&w.gate);
	io_loop_run(w.loop);
	assert_int_equal(w.s->stream_errno, EINVAL);
	assert_int_equal(buf->used, 3);
	turn(&w, 50);
	assert_int_equal(w.calls, 1);
	assert_true(w.codec->polls <= 6);
	o_stream_abort(w.s);
	o_stream_destroy(&w.s);
	o_stream_destroy(&end);
	waiting_free(&w);
	buffer_free(&buf);
}

static void test_the_callback_may_destroy(void **state ATTR_UNUSED)
{
	struct ostream *end = o_stream_create_null();
	struct waiting w;

	waiting_init(&w, SIZE_MAX, false);
	w.destroy = true;
	w.s = o_stream_create_transform(end, &w.codec->transform);
	o_stream_set_flush_callback(w.s, all_went_out, &w);
	assert_int_equal(o_stream_send(w.s, "hello", 5), 5);
	gate_open(&w.gate);
	io_loop_run(w.loop);
	assert_null(w.s);
	o_stream_destroy(&end);
	waiting_free(&w);
}

static void test_another_loop(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ioloop *first;
	struct waiting w;

	first = io_loop_create();
	waiting_init(&w, SIZE_MAX, false);
	gate_open(&w.gate);
	io_loop_set_current(first);
	w.s = o_stream_create_transform(end, &w.codec->transform);
	o_stream_set_flush_callback(w.s, all_went_out, &w);
	assert_int_equal(o_stream_send(w.s, "hello", 5), 5);
	o_stream_switch_ioloop_to(w.s, w.loop);
	io_loop_run(w.loop);
	assert_int_equal(w.calls, 1);
	assert_int_equal(buf->used, 5);
	assert_int_equal(o_stream_finish(w.s), 1);
	o_stream_destroy(&w.s);
	o_stream_destroy(&end);
	io_loop_set_current(w.loop);
	waiting_free(&w);
	io_loop_destroy(&first);
	buffer_free(&buf);
}

/* What is with the thread is used space. */
static void test_used_size(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 3 * BLOCK + 100);
	struct ostream *end = o_stream_create_null(), *s;
	struct gate gate;

	gate_init(&gate);
	s = o_stream_create_transform(
		end,
		transform_create_async(&held_new(&gate, SIZE_MAX)->transform));
	assert_int_equal(o_stream_get_buffer_used_size(s), 0);
	assert_int_equal(o_stream_send(s, data, 100), 100);
	assert_int_equal(o_stream_get_buffer_used_size(s), 100);
	assert_int_equal(o_stream_send(s, data, 3 * BLOCK), 3 * BLOCK);
	gate_wait_for_caller(&gate);
	assert_int_equal(o_stream_get_buffer_used_size(s), 3 * BLOCK + 100);
	gate_open(&gate);
	assert_int_equal(o_stream_flush(s), 1);
	assert_int_equal(o_stream_get_buffer_used_size(s), 0);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	gate_free(&gate);
	free(data);
}

#define PRESSURE_SIZE ((size_t)60 * BLOCK)
#define PRESSURE_LIMIT ((size_t)2 * BLOCK)

struct pressure {
	struct ioloop *loop;
	struct ostream *s;
	const unsigned char *data;
	size_t sent, used_max;
	unsigned int calls;
	int fd;
	buffer_t *got;
};

/* Sends until much waits, and goes on when the stream says so. */
static int send_more(void *context)
{
	struct pressure *p = context;
	size_t size, used;

	p->calls++;
	for (;;) {
		used = o_stream_get_buffer_used_size(p->s);
		p->used_max = I_MAX(p->used_max, used);
		if (p->sent == PRESSURE_SIZE || used >= PRESSURE_LIMIT)
			break;
		size = I_MIN((size_t)10000, PRESSURE_SIZE - p->sent);
		assert_int_equal(o_stream_send(p->s, p->data + p->sent, size),
				 size);
		p->sent += size;
	}
	return p->sent < PRESSURE_SIZE ? 1 : o_stream_finish(p->s);
}

static void take_some(void *context)
{
	struct pressure *p = context;
	unsigned char bytes[30000];
	ssize_t ret = read(p->fd, bytes, sizeof(bytes));

	assert_true(ret > 0);
	buffer_append(p->got, bytes, (size_t)ret);
	if (p->got->used == PRESSURE_SIZE)
		io_loop_stop(p->loop);
}

/* A slow reader: the memory is bounded by who looks at the used size, as with a codec
   that has no thread; and everything arrives by callbacks alone. */
static void test_backpressure(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, PRESSURE_SIZE);
	struct pressure p = { .data = data };
	struct ostream *end;
	struct gate gate;
	struct io *io;
	int fds[2], i;

	gate_init(&gate);
	gate_open(&gate);
	p.loop = io_loop_create();
	p.got = buffer_create_dynamic(default_pool, PRESSURE_SIZE);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
	p.fd = fds[0];
	end = o_stream_create_fd_autoclose(&fds[1], SIZE_MAX);
	p.s = o_stream_create_transform(
		end,
		transform_create_async(&held_new(&gate, SIZE_MAX)->transform));
	o_stream_set_max_buffer_size(p.s, SIZE_MAX);
	o_stream_set_flush_callback(p.s, send_more, &p);
	io = io_add(p.fd, IO_READ, take_some, &p);
	(void)send_more(&p);
	io_loop_run(p.loop);
	assert_memory_equal(p.got->data, data, PRESSURE_SIZE);
	assert_true(p.used_max >= PRESSURE_LIMIT);
	/* the block that the worker is at may count twice, as what it was and as
	   what came out of it */
	assert_true(p.used_max < PRESSURE_LIMIT + 10000 + BLOCK);
	assert_int_equal(o_stream_finish(p.s), 1);
	io_remove(&io);
	o_stream_destroy(&p.s);
	o_stream_destroy(&end);
	assert_int_equal(close(p.fd), 0);
	io_loop_destroy(&p.loop);
	buffer_free(&p.got);
	gate_free(&gate);
	free(data);
}

static void read_some(void *context)
{
	struct waiting *w = context;
	const unsigned char *data;
	size_t size;

	w->calls++;
	while (i_stream_read_more(w->input, &data, &size) > 0) {
		buffer_append(w->got, data, size);
		i_stream_skip(w->input, size);
	}
	if (w->got->used == 8)
		io_loop_stop(w->loop);
}

/* A reader does not wait for the thread in its read, but in the loop. */
static void test_the_thread_wakes_a_reader(void **state ATTR_UNUSED)
{
	struct istream *pipe_input;
	struct waiting w;
	struct io *io;
	int fds[2];

	waiting_init(&w, SIZE_MAX, true);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	pipe_input = i_stream_create_fd_autoclose(&fds[0], 0);
	w.input = i_stream_create_transform(pipe_input, &w.codec->transform);
	assert_false(w.input->blocking);
	io = io_add_istream(w.input, read_some, &w);
	assert_int_equal(write(fds[1], "question", 8), 8);
	turn(&w, 50);
	gate_wait_for_caller(&w.gate);
	assert_int_equal(w.got->used, 0);
	/* for the pipe, and for what was gathered */
	assert_true(w.calls <= 2);
	assert_true(w.codec->polls <= 2);
	gate_open(&w.gate);
	io_loop_run(w.loop);
	assert_memory_equal(w.got->data, "question", 8);
	turn(&w, 50);
	assert_true(w.calls <= 5);
	assert_true(w.codec->polls <= 8);
	io_remove(&io);
	i_stream_destroy(&w.input);
	i_stream_destroy(&pipe_input);
	assert_int_equal(close(fds[1]), 0);
	waiting_free(&w);
}

/*
 * Many
 */

static void *round_trip(void *context)
{
	unsigned char *data = context;
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end, *packed, *s;
	struct istream *in, *unpacked, *input;
	size_t done = 0, size;
	const unsigned char *got;
	unsigned int i;

	for (i = 0; i < 5; i++) {
		buffer_set_used_size(buf, 0);
		end = o_stream_create_buffer(buf);
		packed = o_stream_create_transform(
			end,
			transform_create_async(
				transform_create_gzip_encoder(1)));
		s = o_stream_create_transform(
			packed,
			transform_create_async(
				transform_create_lz4_encoder(1)));
		for (done = 0; done < 10 * BLOCK; done += 1000 + i)
			o_stream_nsend(s, data + done,
				       I_MIN(1000 + i, 10 * BLOCK - done));
		if (o_stream_finish(s) != 1)
			return context;
		o_stream_destroy(&s);
		o_stream_destroy(&packed);
		o_stream_destroy(&end);
		in = i_stream_create_from_buffer(buf);
		unpacked = i_stream_create_transform(
			in,
			transform_create_async(
				transform_create_gzip_decoder()));
		input = i_stream_create_transform(
			unpacked,
			transform_create_async(transform_create_lz4_decoder()));
		for (done = 0; i_stream_read_more(input, &got, &size) > 0;
		     done += size) {
			if (memcmp(got, data + done, size) != 0)
				return context;
			i_stream_skip(input, size);
		}
		if (done != 10 * BLOCK || input->stream_errno != 0)
			return context;
		i_stream_destroy(&input);
		i_stream_destroy(&unpacked);
		i_stream_destroy(&in);
	}
	buffer_free(&buf);
	return NULL;
}

static void test_many_streams_in_many_threads(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_TEXT, 10 * BLOCK);
	pthread_t threads[6];
	void *failed;
	size_t i;

	for (i = 0; i < N_ELEMENTS(threads); i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, round_trip, data), 0);
	for (i = 0; i < N_ELEMENTS(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sends_return_while_the_codec_works),
		cmocka_unit_test(test_what_the_codecs_threads_have_counts),
		cmocka_unit_test(test_flush_waits_for_the_codec),
		cmocka_unit_test(test_errors_come_behind_the_bytes),
		cmocka_unit_test(test_abort_at_any_moment),
		cmocka_unit_test(test_reading_does_not_wait_for_more),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_bytes_before_the_parents_error),
		cmocka_unit_test(test_seeking_back_forgets_an_error),
		cmocka_unit_test(test_destroy_of_a_pushed_decoder),
		cmocka_unit_test(test_a_decoder_that_stops_stays),
		cmocka_unit_test(test_the_thread_wakes_the_loop),
		cmocka_unit_test(test_the_thread_says_that_it_is_at_rest),
		cmocka_unit_test(test_the_loop_hears_of_an_error),
		cmocka_unit_test(test_the_callback_may_destroy),
		cmocka_unit_test(test_another_loop),
		cmocka_unit_test(test_used_size),
		cmocka_unit_test(test_backpressure),
		cmocka_unit_test(test_the_thread_wakes_a_reader),
		cmocka_unit_test(test_many_streams_in_many_threads),
	};

	return cmocka_run_group_tests_name("transform-async", tests, NULL,
					   NULL);
}
