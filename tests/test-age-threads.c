/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* age on several threads: the file is the one that a single thread writes, and what is
   read is verified and ordered as by a single thread. */

#include "config.h"
#include "test-stream-common.h"

#include "age-crew.h"
#include "age-keys.h"
#include "ioloop.h"
#include "transform-age.h"
#include "transforms.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
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
static buffer_t *encrypt(struct transform *t, const unsigned char *data,
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
			want = encrypt(encoder(1), data, size, SIZE_MAX, 0);
			for (w = 0; w < N_ELEMENTS(ways); w++) {
				got = encrypt(encoder(2 + (unsigned int)w),
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
	buffer_t *want = encrypt(encoder(1), data, MANY * CHUNK, SIZE_MAX, 0);
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

/*
 * Reading
 */

/* The same bytes, errno and words as with one thread, in every way of reading. */
static void decode_as_alone(const void *file, size_t size,
			    const unsigned char *data, size_t wanted, int error)
{
	static const size_t steps[] = { 65536, 1000, 300000 };
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	char text[sizeof(test_stream_error)], *at;
	unsigned int i;
	int ret;

	assert_int_equal(test_decode(decoder(1), file, size, out), error);
	assert_int_equal(out->used, wanted);
	/* the offsets in the input tell how far ahead it was read */
	at = strstr(test_stream_error, " (at byte");
	memcpy(text, test_stream_error, sizeof(text));
	if (at != NULL)
		text[at - test_stream_error] = '\0';
	for (i = 0; i < 2 * N_ELEMENTS(steps); i++) {
		ret = i < N_ELEMENTS(steps) ?
			test_decode_step(decoder(2), file, size, steps[i],
					 i == 1, 0, out) :
			test_decode_push(decoder(2), file, size,
					 steps[i - N_ELEMENTS(steps)], out);
		if (ret != error || out->used != wanted)
			fail_msg("way %u: errno %d, not %d; %zu bytes, not "
				 "%zu: %s",
				 i, ret, error, out->used, wanted,
				 test_stream_error);
		if (i < N_ELEMENTS(steps))
			assert_memory_equal(test_stream_error, text,
					    strlen(text));
		assert_memory_equal(out->data, data, wanted);
	}
	buffer_free(&out);
}

static void test_what_is_read_is_the_same(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0,
					1,
					CHUNK,
					AGE_CREW_AFTER * CHUNK,
					(AGE_CREW_AFTER + 1) * CHUNK - 1,
					(AGE_CREW_AFTER + 1) * CHUNK + 1,
					MANY * CHUNK - 1,
					MANY * CHUNK,
					MANY * CHUNK + 1 };
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK + 1);
	buffer_t *file;
	size_t i;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		file = encrypt(encoder(2), data, sizes[i], SIZE_MAX, 0);
		decode_as_alone(file->data, file->used, data, sizes[i], 0);
		buffer_free(&file);
	}
	free(data);
}

/* Back from it, with what the crew had read ahead: as if it were read anew. */
static void test_seeking_back_from_a_damaged_chunk(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK), *byte;
	buffer_t *file = encrypt(encoder(1), data, MANY * CHUNK, SIZE_MAX, 0);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	struct istream *source =
		i_stream_create_from_data(file->data, file->used);
	struct istream *input = i_stream_create_transform(source, decoder(2));

	byte = (unsigned char *)file->data + HEADER + (MANY - 9) * SEALED;
	*byte ^= 4;
	assert_int_equal(test_read_all(input, out), EINVAL);
	assert_int_equal(out->used, (MANY - 9) * CHUNK);
	*byte ^= 4;
	input->stream_errno = 0;
	i_stream_seek(input, 5);
	buffer_set_used_size(out, 0);
	assert_int_equal(test_read_all(input, out), 0);
	assert_int_equal(out->used, MANY * CHUNK - 5);
	assert_memory_equal(out->data, data + 5, out->used);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&out);
	buffer_free(&file);
	free(data);
}

/* Wherever in what the crew has at once: all before it comes, and nothing else. */
static void test_a_damaged_chunk(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK), *byte;
	buffer_t *file = encrypt(encoder(1), data, MANY * CHUNK, SIZE_MAX, 0);
	size_t chunk;

	for (chunk = AGE_CREW_AFTER - 1; chunk < MANY; chunk++) {
		byte = (unsigned char *)file->data + HEADER + chunk * SEALED +
			chunk * 1000;
		*byte ^= 4;
		decode_as_alone(file->data, file->used, data, chunk * CHUNK,
				EINVAL);
		*byte ^= 4;
	}
	buffer_free(&file);
	free(data);
}

static void test_chunks_in_another_order(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK);
	buffer_t *file = encrypt(encoder(1), data, MANY * CHUNK, SIZE_MAX, 0);
	unsigned char *first = (unsigned char *)file->data + HEADER +
		(AGE_CREW_AFTER + 2) * SEALED;
	unsigned char *saved = malloc(SEALED);

	assert_non_null(saved);
	memcpy(saved, first, SEALED);
	memmove(first, first + SEALED, SEALED);
	memcpy(first + SEALED, saved, SEALED);
	decode_as_alone(file->data, file->used, data,
			(AGE_CREW_AFTER + 2) * CHUNK, EINVAL);
	free(saved);
	buffer_free(&file);
	free(data);
}

static void test_cut_at_every_slot(void **state ATTR_UNUSED)
{
	static const size_t behind[] = { 0, 1, 15, 16, 17, SEALED - 1 };
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK + 9);
	buffer_t *file =
		encrypt(encoder(1), data, MANY * CHUNK + 9, SIZE_MAX, 0);
	size_t chunk, i;

	/* each slot of the ring, but not with all that may be behind */
	for (chunk = AGE_CREW_AFTER; chunk <= MANY; chunk++) {
		for (i = chunk % 2; i < N_ELEMENTS(behind);
		     i += chunk < MANY ? 2 : 1) {
			if (chunk == MANY && behind[i] > 17)
				continue;
			decode_as_alone(file->data,
					HEADER + chunk * SEALED + behind[i],
					data, chunk * CHUNK,
					behind[i] == 16 ? EINVAL : EPIPE);
		}
	}
	buffer_free(&file);
	free(data);
}

/* The last chunk is full, and bytes follow: as many as a crew reads ahead, or one. */
static void test_data_behind_a_full_last_chunk(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK);
	buffer_t *file =
		encrypt(encoder(2), data, (MANY - 5) * CHUNK, SIZE_MAX, 0);
	size_t used = file->used;
	unsigned char *more = malloc(5 * SEALED);

	assert_non_null(more);
	memcpy(more, (unsigned char *)file->data + HEADER, 5 * SEALED);
	buffer_append_c(file, 'x');
	decode_as_alone(file->data, file->used, data, (MANY - 5) * CHUNK,
			EINVAL);
	buffer_set_used_size(file, used);
	buffer_append(file, more, 5 * SEALED);
	free(more);
	decode_as_alone(file->data, file->used, data, (MANY - 5) * CHUNK,
			EINVAL);
	assert_non_null(strstr(test_stream_error, "data after the end"));
	buffer_free(&file);
	free(data);
}

static void test_random_access(void **state ATTR_UNUSED)
{
	const size_t size = 2 * MANY * CHUNK + 100;
	unsigned char *data = test_data(TEST_DATA_RANDOM, size);
	buffer_t *file = encrypt(encoder(2), data, size, SIZE_MAX, 0);
	struct istream *source =
		i_stream_create_from_data(file->data, file->used);
	struct istream *input = i_stream_create_transform(source, decoder(2));
	const unsigned char *got;
	uint32_t seed = 4711;
	uoff_t offset, total;
	size_t have, left;
	int i;

	for (i = 0; i < 60; i++) {
		offset = test_random(&seed) % size;
		i_stream_seek(input, offset);
		/* some long enough for a crew, some not */
		left = test_random(&seed) % (MANY * CHUNK);
		while (left > 0 &&
		       i_stream_read_more(input, &got, &have) == 1) {
			assert_true(have <= size - offset);
			assert_memory_equal(got, data + offset, have);
			have = I_MIN(have, left);
			offset += have;
			left -= have;
			i_stream_skip(input, have);
		}
		assert_true(left == 0 || offset == size);
		assert_int_equal(input->stream_errno, 0);
		if (i % 8 == 0) {
			assert_int_equal(i_stream_get_size(input, true, &total),
					 1);
			assert_int_equal(total, size);
		}
	}
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&file);
	free(data);
}

/* A crew below a codec's thread. */
static void test_with_async(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, MANY * CHUNK + 5);
	buffer_t *want =
		encrypt(encoder(1), data, MANY * CHUNK + 5, SIZE_MAX, 0);
	buffer_t *got = encrypt(transform_create_async(encoder(2)), data,
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
	buffer_t *file = encrypt(encoder(1), data, MANY * CHUNK, SIZE_MAX, 0);
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
		encrypt(encoder(1), data, MANY * CHUNK + 10, SIZE_MAX, 0);
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
	buffer_t *file = encrypt(encoder(1), data, MANY * CHUNK, SIZE_MAX, 0);
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
		encrypt(encoder(2), data, MANY * CHUNK + 77, SIZE_MAX, 0);
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
		cmocka_unit_test(test_what_is_read_is_the_same),
		cmocka_unit_test(test_a_damaged_chunk),
		cmocka_unit_test(test_seeking_back_from_a_damaged_chunk),
		cmocka_unit_test(test_chunks_in_another_order),
		cmocka_unit_test(test_cut_at_every_slot),
		cmocka_unit_test(test_data_behind_a_full_last_chunk),
		cmocka_unit_test(test_random_access),
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
