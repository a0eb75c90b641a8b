/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Layers with threads of their own, in one order after the other: what was sent comes out,
   and whoever gives up, on either side, waits for nobody for ever. */

#include "config.h"
#include "ostream.h"
#include "schedule-streams.h"
#include "schedule.h"
#include "stack-spec.h"
#include "test-stream-common.h"

#include <errno.h>
#include <stdlib.h>

enum giving_up {
	NOBODY,
	WRITER,
	READER
};

struct scene {
	const char *spec;
	enum giving_up who;
	size_t cut; /* so many bytes are missing */
};

static uint32_t seed;

static size_t some(size_t count)
{
	return (size_t)(test_random(&seed) >> 8) % count;
}

static void send_some(struct ostream *s, struct test_sink *sink, size_t size)
{
	size_t sent = 0, step;
	ssize_t ret;

	while (sent < size) {
		step = 1 + some(90000);
		step = I_MIN(step, size - sent);
		ret = o_stream_send(s, schedule_data + sent, step);
		if (ret < 0)
			schedule_fail("sending: %s", o_stream_get_error(s));
		sent += (size_t)ret;
		if ((size_t)ret < step || some(8) == 0)
			test_sink_allow(sink, some(60000));
		if (some(16) == 0 && o_stream_flush(s) < 0)
			schedule_fail("flushing: %s", o_stream_get_error(s));
	}
}

static void finish(struct ostream *s, struct test_sink *sink)
{
	int ret;

	while ((ret = o_stream_finish(s)) == 0)
		test_sink_allow(sink, 1 + some(60000));
	if (ret < 0)
		schedule_fail("finishing: %s", o_stream_get_error(s));
}

static void write_all(const struct scene *scene, struct stack_spec *spec,
		      struct test_sink *sink)
{
	struct ostream *s = stack_spec_create_output(spec, &schedule_keys,
						     sink->stream, NULL);

	if (scene->who == WRITER) {
		send_some(s, sink, some(SCHEDULE_DATA_SIZE));
		o_stream_abort(s);
	} else {
		send_some(s, sink, SCHEDULE_DATA_SIZE);
		finish(s, sink);
	}
	o_stream_destroy(&s);
}

static void read_all(const struct scene *scene, struct stack_spec *spec,
		     const struct test_sink *sink)
{
	struct istream *source = test_trickle_create(
		sink->data->data, sink->data->used - scene->cut,
		1000 + some(70000), some(2) == 0);
	struct istream *s =
		stack_spec_create_input(spec, &schedule_keys, source, NULL);
	size_t end = scene->who == READER ? some(SCHEDULE_DATA_SIZE) : SIZE_MAX;
	const unsigned char *read;
	size_t size, pos = 0;
	ssize_t ret;

	while (pos < end && (ret = i_stream_read(s)) != -1) {
		read = i_stream_get_data(s, &size);
		if (pos + size > SCHEDULE_DATA_SIZE ||
		    (size > 0 && memcmp(read, schedule_data + pos, size) != 0))
			schedule_fail("other bytes are read");
		pos += size;
		i_stream_skip(s, size);
	}
	if (scene->who == NOBODY && scene->cut == 0 &&
	    (s->stream_errno != 0 || pos != SCHEDULE_DATA_SIZE))
		schedule_fail("reading ends at %zu: %s", pos,
			      i_stream_get_error(s));
	if (scene->cut > 0 && s->stream_errno != EPIPE)
		schedule_fail("what is cut is read");
	i_stream_destroy(&s);
	i_stream_destroy(&source);
}

static void run_scene(uint32_t number, void *context)
{
	const struct scene *scene = context;
	struct stack_spec *spec = test_stack_parse(scene->spec);
	struct test_sink *sink;

	seed = (number + 1) * 2654435761u | 1;
	schedule_begin(number);
	sink = test_sink_create(some(100000), 0);
	write_all(scene, spec, sink);
	if (scene->who != WRITER)
		read_all(scene, spec, sink);
	test_sink_free(&sink);
	schedule_end();
	stack_spec_free(&spec);
}

static void run_scenes(enum giving_up who, size_t cut, unsigned int usual)
{
	static const char *const specs[] = {
		"lz4:async=yes", "age:threads=3",
		"gzip:1,async=yes | age:threads=2,async=yes"
	};
	struct scene scene = { .who = who, .cut = cut };
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(specs); i++) {
		scene.spec = specs[i];
		schedule_each(usual, run_scene, &scene);
	}
}

static void test_all_comes_out(void **state ATTR_UNUSED)
{
	run_scenes(NOBODY, 0, 16);
}

static void test_who_gives_up(void **state ATTR_UNUSED)
{
	run_scenes(WRITER, 0, 16);
	run_scenes(READER, 0, 16);
}

static void test_what_is_cut(void **state ATTR_UNUSED)
{
	run_scenes(NOBODY, 1, 8);
	run_scenes(NOBODY, SCHEDULE_DATA_SIZE / 10, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_comes_out),
		cmocka_unit_test(test_who_gives_up),
		cmocka_unit_test(test_what_is_cut),
	};

	return cmocka_run_group_tests_name("schedule-streams", tests,
					   schedule_streams_setup,
					   schedule_streams_teardown);
}
