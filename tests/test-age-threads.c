/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* age on several threads: the file is the one that a single thread writes, whoever waits for
   the crew or is woken by it. What is read is in test-age-threads-input. */

#include "config.h"
#include "test-stream-common.h"

#include "age-crew.h"
#include "age-keys.h"
#include "ioloop.h"
#include "transform-age.h"
#include "transforms.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK AGE_CHUNK_SIZE
#define SEALED AGE_SEALED_CHUNK_SIZE
/* One recipient's header with the nonce. */
#define HEADER ((size_t)184)
/* More chunks than are done without threads and than a crew of two holds; a multiple of
   11/2. */
#define MANY (AGE_CREW_AFTER + 25)

/* Keys and nonces are always the same, so that files can be compared. */
static struct transform *encoder(unsigned int threads)
{
	return transform_create_age_threads_encoder(test_keys.recipients,
						    threads);
}

static struct transform *decoder(unsigned int threads)
{
	return transform_create_age_threads_decoder(test_keys.identities,
						    threads);
}

/*
 * Writing
 */

/* What comes out where the data is sent in pieces, and the parent takes `room` more
   bytes between them (0: all). */
static buffer_t *age_encrypt(struct transform *t, const unsigned char *data,
			     size_t size, size_t step, size_t room)
{
	struct test_sink *sink = test_sink_create(room == 0 ? SIZE_MAX : 0, 0);
	struct ostream *s = o_stream_create_transform(sink->stream, t);
	buffer_t *out = buffer_create_dynamic(default_pool, size + 1024);
	size_t sent;
	ssize_t ret;

	for (sent = 0; sent < size; sent += (size_t)ret) {
		ret = o_stream_send(s, data + sent, I_MIN(size - sent, step));
		assert_true(ret >= 0);
		test_sink_allow(sink, room);
	}
	while ((ret = o_stream_finish(s)) == 0)
		test_sink_allow(sink, room);
	assert_int_equal(ret, 1);
	assert_int_equal(s->offset, size);
	o_stream_destroy(&s);
	(void)o_stream_finish(sink->stream);
	buffer_append(out, sink->data->data, sink->data->used);
	test_sink_free(&sink);
	return out;
}

static void test_the_file_is_the_same(void **state ATTR_UNUSED)
{
	static const size_t chunks[] = { 0, 1, AGE_CREW_AFTER,
					 AGE_CREW_AFTER + 1, MANY };
	static const struct {
		size_t step, room;
	} ways[] = { { SIZE_MAX, 0 },
		     { 1000, 0 },
		     { CHUNK, 0 },
		     { CHUNK + 1, 70000 },
		     { 200000, 4096 } };
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK + 1);
	buffer_t *want, *got;
	size_t i, w, size;
	int more;

	for (i = 0; i < N_ELEMENTS(chunks); i++) {
		for (more = -1; more <= 1; more++) {
			if (chunks[i] == 0 && more < 0)
				continue;
			size = (size_t)((int)(chunks[i] * CHUNK) + more);
			want = age_encrypt(encoder(1), data, size, SIZE_MAX, 0);
			for (w = 0; w < N_ELEMENTS(ways); w++) {
				got = age_encrypt(encoder(2 + (unsigned int)w),
						  data, size, ways[w].step,
						  ways[w].room);
				assert_int_equal(got->used, want->used);
				assert_memory_equal(got->data, want->data,
						    want->used);
				buffer_free(&got);
			}
			buffer_free(&want);
		}
	}
	free(data);
}

/* A flush brings all chunks that can be sealed, wherever they are. */
static void test_flush_waits_for_the_crew(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK);
	struct transform *t[3] = { encoder(1), encoder(2),
				   transform_create_async(encoder(2)) };
	buffer_t *out[3];
	struct ostream *end, *s;
	size_t i, sent;

	for (i = 0; i < N_ELEMENTS(t); i++) {
		out[i] = buffer_create_dynamic(default_pool, 1024);
		end = o_stream_create_buffer(out[i]);
		s = o_stream_create_transform(end, t[i]);
		for (sent = 0; sent < MANY * CHUNK; sent += 11 * CHUNK / 2) {
			o_stream_nsend(s, data + sent, 11 * CHUNK / 2);
			assert_int_equal(o_stream_flush(s), 1);
			/* all but the last one, which may be full */
			assert_int_equal(out[i]->used,
					 HEADER +
						 (sent + 11 * CHUNK / 2 - 1) /
							 CHUNK * SEALED);
		}
		assert_int_equal(o_stream_finish(s), 1);
		o_stream_destroy(&s);
		o_stream_destroy(&end);
		assert_int_equal(out[i]->used, out[0]->used);
		assert_memory_equal(out[i]->data, out[0]->data, out[0]->used);
	}
	for (i = 0; i < N_ELEMENTS(t); i++)
		buffer_free(&out[i]);
	free(data);
}

/* Who writes little starts no thread; a long file has them until it ends. */
static void test_threads_come_late_and_go(void **state ATTR_UNUSED)
{
	unsigned int before = test_count_threads(), way;
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK);
	struct ostream *end, *s;

	for (way = 0; way < 3; way++) {
		end = o_stream_create_null();
		s = o_stream_create_transform(end, encoder(3));
		o_stream_nsend(s, data, (AGE_CREW_AFTER + 1) * CHUNK);
		assert_int_equal(test_count_threads(), before);
		o_stream_nsend(s, data, CHUNK);
		assert_int_equal(test_count_threads(), before + 3);
		o_stream_nsend(s, data, (way + 1) * 3 * CHUNK);
		if (way == 0) {
			assert_int_equal(o_stream_finish(s), 1);
			test_threads_are(before);
		} else {
			o_stream_abort(s);
		}
		o_stream_destroy(&s);
		o_stream_destroy(&end);
		test_threads_are(before);
	}
	free(data);
}

/* After a reset another file is written, by other keys if there were any. */
static void test_reset_at_work(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK);
	buffer_t *want =
		age_encrypt(encoder(1), data, MANY * CHUNK, SIZE_MAX, 0);
	buffer_t *out = buffer_create_dynamic(default_pool, want->used);
	struct transform *e = encoder(2), *d = decoder(2);
	size_t size;

	for (size = CHUNK; size < MANY * CHUNK; size += 5 * CHUNK + 1000) {
		(void)test_process(e, data, size, TRANSFORM_RUN, out, NULL);
		e->class_->reset(e);
		(void)test_process(d, want->data, size, TRANSFORM_RUN, out,
				   NULL);
		d->class_->reset(d);
	}
	buffer_set_used_size(out, 0);
	assert_int_equal(test_process(e, data, MANY * CHUNK, TRANSFORM_FINISH,
				      out, NULL),
			 TRANSFORM_DONE);
	assert_int_equal(out->used, want->used);
	assert_memory_equal(out->data, want->data, want->used);
	buffer_set_used_size(out, 0);
	assert_int_equal(test_process(d, want->data, want->used,
				      TRANSFORM_FINISH, out, NULL),
			 TRANSFORM_END);
	assert_int_equal(out->used, MANY * CHUNK);
	assert_memory_equal(out->data, data, MANY * CHUNK);
	transform_free(&d);
	transform_free(&e);
	buffer_free(&out);
	buffer_free(&want);
	free(data);
}

/* A crew below a codec's thread. */
static void test_with_async(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK + 5);
	buffer_t *want =
		age_encrypt(encoder(1), data, MANY * CHUNK + 5, SIZE_MAX, 0);
	buffer_t *got = age_encrypt(transform_create_async(encoder(2)), data,
				    MANY * CHUNK + 5, 50000, 60000);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);

	assert_int_equal(got->used, want->used);
	assert_memory_equal(got->data, want->data, want->used);
	assert_int_equal(test_decode_step(transform_create_async(decoder(2)),
					  got->data, got->used, 30000, true, 0,
					  out),
			 0);
	assert_int_equal(out->used, MANY * CHUNK + 5);
	assert_memory_equal(out->data, data, out->used);
	buffer_free(&out);
	buffer_free(&got);
	buffer_free(&want);
	free(data);
}

/*
 * In an event loop
 */

static int stop_loop(void *context)
{
	io_loop_stop(context);
	return 1;
}

/* Nobody flushes: the crew says that there is something. */
static void test_the_crew_wakes_the_loop(void **state ATTR_UNUSED)
{
	struct ioloop *loop = io_loop_create();
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK);
	buffer_t *file =
		age_encrypt(encoder(1), data, MANY * CHUNK, SIZE_MAX, 0);
	buffer_t *out = buffer_create_dynamic(default_pool, file->used);
	struct ostream *end, *s;
	unsigned int round, way;
	size_t want;

	/* now and then the crew is faster than we are, and nobody has to be woken */
	for (round = 0; round < 16; round++) {
		way = round % 2;
		buffer_set_used_size(out, 0);
		end = o_stream_create_buffer(out);
		s = o_stream_create_transform(
			end, way == 0 ? encoder(2) : decoder(2));
		o_stream_set_flush_callback(s, stop_loop, loop);
		if (way == 0)
			o_stream_nsend(s, data, MANY * CHUNK);
		else
			o_stream_nsend(s, file->data, file->used);
		if (o_stream_get_buffer_used_size(s) > 0)
			io_loop_run(loop);
		assert_int_equal(o_stream_get_buffer_used_size(s), 0);
		want = way == 0 ? HEADER + (MANY - 1) * SEALED : MANY * CHUNK;
		assert_int_equal(out->used, want);
		assert_memory_equal(out->data,
				    way == 0 ? file->data : (void *)data, want);
		assert_int_equal(o_stream_finish(s), 1);
		o_stream_destroy(&s);
		o_stream_destroy(&end);
	}
	io_loop_destroy(&loop);
	buffer_free(&out);
	buffer_free(&file);
	free(data);
}

/* A pipe that a crew reads from, without waiting for it in a read. */
struct reading {
	struct ioloop *loop;
	struct ostream *output;
	struct istream *input;
	buffer_t *got;
};

static int finish_output(void *context)
{
	struct reading *r = context;
	int ret = o_stream_finish(r->output);

	if (ret != 0)
		o_stream_destroy(&r->output);
	return ret;
}

static void read_some(void *context)
{
	struct reading *r = context;
	const unsigned char *data;
	size_t size;

	while (i_stream_read_more(r->input, &data, &size) > 0) {
		buffer_append(r->got, data, size);
		i_stream_skip(r->input, size);
	}
	if (r->input->eof)
		io_loop_stop(r->loop);
}

static void test_the_crew_wakes_a_reader(void **state ATTR_UNUSED)
{
	struct reading r = { .loop = io_loop_create() };
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK + 10);
	buffer_t *file =
		age_encrypt(encoder(1), data, MANY * CHUNK + 10, SIZE_MAX, 0);
	struct istream *pipe_input;
	struct io *io;
	int fds[2], i;

	assert_int_equal(pipe(fds), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
	r.got = buffer_create_dynamic(default_pool, MANY * CHUNK);
	pipe_input = i_stream_create_fd_autoclose(&fds[0], 0);
	r.output = o_stream_create_fd_autoclose(&fds[1], SIZE_MAX);
	r.input = i_stream_create_transform(pipe_input, decoder(2));
	io = io_add_istream(r.input, read_some, &r);
	/* all of it goes into the buffer; the loop moves it into the pipe */
	o_stream_nsend(r.output, file->data, file->used);
	o_stream_set_flush_callback(r.output, finish_output, &r);
	io_loop_run(r.loop);
	assert_null(r.output);
	assert_int_equal(r.input->stream_errno, 0);
	assert_int_equal(r.got->used, MANY * CHUNK + 10);
	assert_memory_equal(r.got->data, data, r.got->used);
	io_remove(&io);
	i_stream_destroy(&r.input);
	i_stream_destroy(&pipe_input);
	io_loop_destroy(&r.loop);
	buffer_free(&r.got);
	buffer_free(&file);
	free(data);
}

/*
 * Failures
 */

static void test_no_thread_to_be_had(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK);
	buffer_t *file =
		age_encrypt(encoder(1), data, MANY * CHUNK, SIZE_MAX, 0);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	struct transform *e = encoder(2);

	if (test_threads_fail()) {
		assert_int_equal(test_decode(decoder(2), file->data, file->used,
					     out),
				 ENOMEM);
		assert_non_null(
			strstr(test_stream_error, "cannot start a thread"));
		/* what was good before comes all the same */
		assert_int_equal(out->used, AGE_CREW_AFTER * CHUNK);
		assert_int_equal(test_process(e, data, MANY * CHUNK,
					      TRANSFORM_FINISH, out, NULL),
				 TRANSFORM_ERROR);
		assert_int_equal(e->error_errno, ENOMEM);
		test_threads_again();
	}
	transform_free(&e);
	buffer_free(&out);
	buffer_free(&file);
	free(data);
}

static void test_too_many_threads(void **state ATTR_UNUSED)
{
	struct transform *t[2] = { encoder(65), decoder(65) };
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(t); i++) {
		assert_int_equal(test_process(t[i], NULL, 0, TRANSFORM_RUN, out,
					      NULL),
				 TRANSFORM_ERROR);
		assert_int_equal(t[i]->error_errno, EINVAL);
		assert_string_equal(t[i]->error,
				    "65 threads are too many: the most are "
				    "64");
		transform_free(&t[i]);
	}
	buffer_free(&out);
}

static void test_the_age_command(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_TEXT, MANY * CHUNK + 77);
	buffer_t *file =
		age_encrypt(encoder(2), data, MANY * CHUNK + 77, SIZE_MAX, 0);
	buffer_t *plain;

	if (!test_have_program("age")) {
		buffer_free(&file);
		free(data);
		skip();
	}
	test_write_file(test_path("x.age"), file->data, file->used);
	assert_int_equal(test_command("age -d -i %s %s >%s", test_path("key"),
				      test_path("x.age"), test_path("x")),
			 0);
	plain = test_read_file(test_path("x"));
	assert_int_equal(plain->used, MANY * CHUNK + 77);
	assert_memory_equal(plain->data, data, plain->used);
	buffer_free(&plain);
	buffer_free(&file);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_file_is_the_same),
		cmocka_unit_test(test_flush_waits_for_the_crew),
		cmocka_unit_test(test_threads_come_late_and_go),
		cmocka_unit_test(test_reset_at_work),
		cmocka_unit_test(test_with_async),
		cmocka_unit_test(test_the_crew_wakes_the_loop),
		cmocka_unit_test(test_the_crew_wakes_a_reader),
		cmocka_unit_test(test_no_thread_to_be_had),
		cmocka_unit_test(test_too_many_threads),
		cmocka_unit_test(test_the_age_command),
	};

	return cmocka_run_group_tests_name("age-threads", tests,
					   test_fixed_keys_setup,
					   test_keys_teardown);
}
