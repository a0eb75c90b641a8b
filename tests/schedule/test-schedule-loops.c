/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Layers with threads of their own between two event loops, of which one writes into a pipe
   and the other reads from it, in one order after the other: neither sleeps while there is
   something for it to do. */

#include "config.h"
#include "ioloop.h"
#include "istream.h"
#include "ostream.h"
#include "schedule-streams.h"
#include "schedule.h"
#include "stack-spec.h"
#include "test-stream-common.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* One end, on a thread and with a loop of its own. */
struct end {
	struct stack_spec *spec;
	int fd;
	struct ioloop *loop;
	struct ostream *output;
	struct istream *input;
	struct io *io;
	size_t done; /* octets */
	uint32_t seed;
	/* Of who writes a piece after the other, each when the one before was read: where the
	   one that is under way ends, and a pipe by which the reader says so. */
	bool has_pieces;
	int answers;
	struct io *answer_io;
};

/* Of those pieces; read by who reads, when they were written. */
static size_t piece_end;
#define PIECES_SIZE ((size_t)200000)

static size_t some(struct end *end, size_t count)
{
	return (size_t)(test_random(&end->seed) >> 8) % count;
}

/* A stretch each time, as a program does that has others to serve. */
static int send_more(void *context)
{
	struct end *end = context;
	size_t step = 1 + some(end, 200000);
	ssize_t sent;
	int ret;

	step = I_MIN(step, SCHEDULE_DATA_SIZE - end->done);
	sent = o_stream_send(end->output, schedule_data + end->done, step);
	if (sent < 0)
		schedule_fail("sending: %s", o_stream_get_error(end->output));
	end->done += (size_t)sent;
	if (end->done < SCHEDULE_DATA_SIZE)
		return 0;
	ret = o_stream_finish(end->output);
	if (ret < 0)
		schedule_fail("finishing: %s", o_stream_get_error(end->output));
	if (ret > 0)
		io_loop_stop(end->loop);
	return ret;
}

/* All of the piece is to go out, whatever keeps it. */
static int send_piece(void *context)
{
	struct end *end = context;
	ssize_t sent = o_stream_send(end->output, schedule_data + end->done,
				     piece_end - end->done);
	int ret;

	if (sent < 0)
		schedule_fail("sending: %s", o_stream_get_error(end->output));
	end->done += (size_t)sent;
	if (end->done < piece_end)
		return 0;
	ret = end->done < PIECES_SIZE ? o_stream_flush(end->output) :
					o_stream_finish(end->output);
	if (ret < 0)
		schedule_fail("flushing: %s", o_stream_get_error(end->output));
	if (ret > 0 && end->done == PIECES_SIZE)
		io_loop_stop(end->loop);
	return ret;
}

static void next_piece(void *context)
{
	struct end *end = context;
	char answer;

	assert_int_equal(read(end->answers, &answer, 1), 1);
	piece_end += 1 + some(end, 30000);
	piece_end = I_MIN(piece_end, PIECES_SIZE);
	o_stream_set_flush_pending(end->output, true);
}

static void *write_all(void *context)
{
	struct end *end = context;
	struct ostream *pipe;

	end->loop = io_loop_create();
	pipe = o_stream_create_fd(end->fd, 4096);
	end->output =
		stack_spec_create_output(end->spec, &schedule_keys, pipe, NULL);
	o_stream_set_flush_callback(
		end->output, end->has_pieces ? send_piece : send_more, end);
	if (end->has_pieces)
		end->answer_io = io_add(end->answers, IO_READ, next_piece, end);
	else
		o_stream_set_flush_pending(end->output, true);
	io_loop_run(end->loop);
	io_remove(&end->answer_io);
	o_stream_destroy(&end->output);
	o_stream_destroy(&pipe);
	(void)close(end->fd);
	io_loop_destroy(&end->loop);
	return NULL;
}

static void read_more(void *context)
{
	struct end *end = context;
	const unsigned char *read;
	size_t size;
	ssize_t ret = i_stream_read(end->input);

	read = i_stream_get_data(end->input, &size);
	/* a part of it may be left for the next time */
	if (size > 1 && ret >= 0 && some(end, 4) == 0) {
		size = 1 + some(end, size - 1);
		ret = 1;
	}
	if (ret > 0)
		i_stream_set_input_pending(end->input, true);
	if (size > 0 &&
	    (end->done + size > SCHEDULE_DATA_SIZE ||
	     memcmp(read, schedule_data + end->done, size) != 0))
		schedule_fail("other bytes are read");
	end->done += size;
	i_stream_skip(end->input, size);
	if (end->has_pieces && size > 0 && end->done == piece_end &&
	    piece_end < PIECES_SIZE)
		assert_int_equal(write(end->answers, "", 1), 1);
	if (ret != -1)
		return;
	if (end->input->stream_errno != 0 ||
	    end->done != (end->has_pieces ? PIECES_SIZE : SCHEDULE_DATA_SIZE))
		schedule_fail("reading ends at %zu: %s", end->done,
			      i_stream_get_error(end->input));
	io_loop_stop(end->loop);
}

static void *read_all(void *context)
{
	struct end *end = context;
	struct istream *pipe;

	end->loop = io_loop_create();
	pipe = i_stream_create_fd(end->fd, 16384);
	end->input =
		stack_spec_create_input(end->spec, &schedule_keys, pipe, NULL);
	end->io = io_add_istream(end->input, read_more, end);
	io_loop_run(end->loop);
	io_remove(&end->io);
	i_stream_destroy(&end->input);
	i_stream_destroy(&pipe);
	(void)close(end->fd);
	io_loop_destroy(&end->loop);
	return NULL;
}

static void run_ends(uint32_t number, char *spec, bool has_pieces)
{
	struct end ends[2] = { { .seed = (number + 1) * 2654435761u | 1 },
			       { .seed = (number + 1) * 40503u | 1 } };
	pthread_t threads[2];
	int fds[2], answers[2];
	unsigned int i;

	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(pipe2(answers, O_NONBLOCK | O_CLOEXEC), 0);
	for (i = 0; i < 2; i++) {
		ends[i].spec = test_stack_parse(spec);
		ends[i].fd = fds[i];
		ends[i].has_pieces = has_pieces;
		ends[i].answers = answers[1 - i];
	}
	piece_end = 0;
	/* the first piece is nobody's answer */
	assert_int_equal(write(answers[1], "", 1), 1);
	schedule_begin(number);
	assert_int_equal(pthread_create(&threads[0], NULL, read_all, &ends[0]),
			 0);
	assert_int_equal(pthread_create(&threads[1], NULL, write_all, &ends[1]),
			 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	schedule_end();
	for (i = 0; i < 2; i++) {
		stack_spec_free(&ends[i].spec);
		assert_int_equal(close(answers[i]), 0);
	}
}

static void run_scene(uint32_t number, void *context)
{
	run_ends(number, context, false);
}

static void run_pieces(uint32_t number, void *context)
{
	run_ends(number, context, true);
}

/* What was flushed comes out at the other end, where nothing follows it by which a loop
   would be woken. */
static void test_each_piece_arrives(void **state ATTR_UNUSED)
{
	static char specs[][50] = { "lz4:async=yes", "gzip:1,async=yes",
				    "zlib:1,async=yes | lz4:async=yes" };
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(specs); i++)
		schedule_each(16, run_pieces, specs[i]);
}

static void test_nobody_sleeps(void **state ATTR_UNUSED)
{
	static char specs[][50] = {
		"lz4:async=yes", "age:threads=3",
		"gzip:1,async=yes | age:threads=2,async=yes"
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(specs); i++)
		schedule_each(16, run_scene, specs[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_sleeps),
		cmocka_unit_test(test_each_piece_arrives),
	};

	return cmocka_run_group_tests_name("schedule-loops", tests,
					   schedule_streams_setup,
					   schedule_streams_teardown);
}
