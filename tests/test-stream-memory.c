/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Streams where memory ends, at each place where that is no panic: it is ENOMEM of the
   stream with a text that says so, what came before it is right, and a stream that can do
   without the memory does. */

#include "config.h"
#include "block-cache.h"
#include "iostream-rawlog.h"
#include "iostream-temp.h"
#include "stack-spec.h"
#include "temp-file.h"
#include "test-mem-faults.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE ((size_t)150000)
#define SINK_SIZE (3 * SIZE)
/* Longer than a line of a log may be. */
#define LONG_LINE ((size_t)10000)

/* Random, and its gzip. */
static unsigned char *plain;
static buffer_t *zipped;
/* Some, one of which is long; the last one has no end. */
static buffer_t *lines;

/* One time that a scene is played. */
struct play {
	unsigned int variant; /* of the scene */
	unsigned int fail_at;
	bool for_ever;
	buffer_t *got;
	unsigned int calls;
	int error; /* of the stream that failed */
	char text[256];
};

static void begin(struct play *p)
{
	block_cache_trim();
	test_mem_faults_begin(p->fail_at, p->for_ever);
}

static void end(struct play *p, int error, const char *text)
{
	p->calls = test_mem_faults_end();
	p->error = error;
	(void)snprintf(p->text, sizeof(p->text), "%s", text);
}

/*
 * Input
 */

static void take(struct istream *s, buffer_t *got, const unsigned char *data,
		 size_t size)
{
	buffer_append(got, data, size);
	i_stream_skip(s, size);
}

/* Ends the play. */
static void read_all(struct play *p, struct istream *s)
{
	const unsigned char *data;
	size_t size;
	int ret;

	while ((ret = i_stream_read_more(s, &data, &size)) >= 0)
		take(s, p->got, data, size);
	assert_int_equal(ret, -1);
	end(p, s->stream_errno, i_stream_get_error(s));
	i_stream_destroy(&s);
}

static struct istream *open_plain(void)
{
	return i_stream_create_file(test_path("plain"), 0);
}

static void play_file(struct play *p)
{
	begin(p);
	read_all(p, open_plain());
}

static void play_lines(struct play *p)
{
	struct istream *s = i_stream_create_file(test_path("lines"), 0);
	const char *line;

	begin(p);
	i_stream_set_return_partial_line(s, true);
	while ((line = i_stream_read_next_line(s)) != NULL) {
		buffer_append_str(p->got, line);
		buffer_append_c(p->got, '\n');
	}
	end(p, s->stream_errno, i_stream_get_error(s));
	i_stream_destroy(&s);
}

static struct istream *no_nuls(struct istream *input)
{
	return i_stream_create_nonuls(input, '-');
}

/* The codec needs more room at once than the reader has. */
static struct istream *small_encoder(struct istream *input)
{
	struct istream *s = i_stream_create_transform(
		input, transform_create_gzip_encoder(1));

	i_stream_set_max_buffer_size(s, 10);
	return s;
}

static void play_filter(struct play *p)
{
	static struct istream *(*const filters[])(struct istream *) = {
		no_nuls, small_encoder, i_stream_create_gzip
	};
	struct istream *source, *s;

	begin(p);
	source = p->variant < 2 ?
		i_stream_create_from_data(plain, SIZE) :
		i_stream_create_from_data(zipped->data, zipped->used);
	s = filters[p->variant](source);
	i_stream_unref(&source);
	read_all(p, s);
}

static void play_copy(struct play *p)
{
	begin(p);
	read_all(p, i_stream_create_copy_from_data(plain, SIZE));
}

/* Whoever produces has memory, or says that he has none. */
struct producer {
	struct istream *s;
	unsigned int count;
};

static bool produce(buffer_t *buf, void *context)
{
	struct producer *producer = context;

	if (!buffer_try_append(buf, plain, 1000)) {
		i_stream_callback_set_error(producer->s, ENOMEM,
					    "out of memory");
		return false;
	}
	return ++producer->count < 20;
}

static void play_callback(struct play *p)
{
	struct producer producer = { NULL, 0 };

	begin(p);
	producer.s = i_stream_create_callback(produce, &producer);
	read_all(p, producer.s);
}

static void play_concat(struct play *p)
{
	struct istream *inputs[] = { open_plain(), open_plain(), NULL }, *s;

	begin(p);
	s = i_stream_create_concat(inputs);
	i_stream_unref(&inputs[0]);
	i_stream_unref(&inputs[1]);
	read_all(p, s);
}

static void play_chain(struct play *p)
{
	struct istream *input = open_plain(), *s;
	struct istream_chain *chain;

	begin(p);
	s = i_stream_create_chain(&chain, 0);
	i_stream_chain_append(chain, input);
	i_stream_chain_append_eof(chain);
	i_stream_unref(&input);
	read_all(p, s);
}

static int open_temp(const char **path_r, void *context ATTR_UNUSED)
{
	*path_r = "/the/place";
	return temp_file_open(test_path("temp-"));
}

/* In memory, in a file, encrypted. */
static void play_seekable(struct play *p)
{
	struct istream *inputs[] = { open_plain(), NULL }, *s;

	begin(p);
	s = i_streams_merge(inputs, p->variant == 0 ? SIZE : 1000, open_temp,
			    NULL);
	i_stream_seekable_set_encrypted(s, p->variant == 2);
	i_stream_unref(&inputs[0]);
	read_all(p, s);
}

/* The second child holds what the first one has passed. */
static void play_tee(struct play *p)
{
	struct istream *input = open_plain(), *first, *second;
	const unsigned char *data;
	struct tee_istream *tee;
	size_t size;
	int ret;

	begin(p);
	i_stream_set_max_buffer_size(input, 50000);
	tee = tee_i_stream_create(input);
	first = tee_i_stream_create_child(tee);
	second = tee_i_stream_create_child(tee);
	i_stream_set_max_buffer_size(second, SIZE);
	i_stream_unref(&input);
	do {
		ret = i_stream_read_more(first, &data, &size);
		if (ret > 0)
			i_stream_skip(first, size);
		if (i_stream_read(second) < 0)
			break;
	} while (ret >= 0);
	data = i_stream_get_data(second, &size);
	buffer_append(p->got, data, size);
	/* each has an error of its own */
	if (first->stream_errno != 0 && second->stream_errno == 0)
		end(p, first->stream_errno, i_stream_get_error(first));
	else
		end(p, second->stream_errno, i_stream_get_error(second));
	i_stream_destroy(&first);
	i_stream_destroy(&second);
}

/* What channel 1 gets waits while channel 0 is read. */
static void play_multiplex(struct play *p)
{
	static const char packets[] = "\1\0\0\0\5hello\0\0\0\0\5world"
				      "\1\0\0\0\1!\0\0\0\0\1.";
	struct istream *source, *channels[2];

	begin(p);
	source = i_stream_create_from_data(packets, sizeof(packets) - 1);
	channels[0] = i_stream_create_multiplex(source, 0);
	channels[1] = i_stream_multiplex_add_channel(channels[0], 1);
	i_stream_unref(&source);
	read_all(p, channels[0]);
	if (p->error == 0)
		(void)test_read_all(channels[1], p->got);
	i_stream_destroy(&channels[1]);
}

/* It is as if it had not been asked. */
static void play_add_data(struct play *p)
{
	struct istream *s;
	int fds[2];
	bool added;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "world", 5), 5);
	assert_int_equal(close(fds[1]), 0);
	s = i_stream_create_fd_autoclose(&fds[0], 0);
	begin(p);
	added = i_stream_add_data(s, (const unsigned char *)"hello ", 6);
	if (!added) {
		assert_int_equal(i_stream_get_data_size(s), 0);
		assert_int_equal(s->stream_errno, ENOMEM);
	}
	read_all(p, s);
}

/*
 * Output
 */

/* One that needs no memory. */
static struct test_sink *new_sink(size_t step)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, step);

	buffer_append_zero(sink->data, SINK_SIZE);
	buffer_set_used_size(sink->data, 0);
	return sink;
}

/* Small sends and large ones; what is not taken is tried again. */
static void send_all(struct ostream *s, const unsigned char *data, size_t size)
{
	static const size_t parts[] = { 100, 20, 30000, 1 };
	unsigned int i = 0;
	size_t part;
	ssize_t ret;

	while (size > 0) {
		part = I_MIN(parts[i++ % N_ELEMENTS(parts)], size);
		ret = o_stream_send(s, data, part);
		if (ret < 0)
			return;
		/* nothing was taken: then it is no error to be met later */
		assert_true(ret > 0 || s->stream_errno == 0);
		data += ret;
		size -= (size_t)ret;
		if (o_stream_flush(s) < 0)
			return;
	}
}

/* Ends the play, and drops the stream. */
static void finish(struct play *p, struct ostream **s)
{
	int ret;

	while ((ret = o_stream_finish(*s)) == 0)
		;
	end(p, ret < 0 ? (*s)->stream_errno : 0, o_stream_get_error(*s));
	o_stream_abort(*s);
	o_stream_destroy(s);
}

/* The second one is the slow one. */
static struct ostream *tee_of(struct ostream *output)
{
	struct ostream *outputs[] = { o_stream_create_null(), output, NULL };
	struct ostream *s = o_stream_create_tee(outputs);

	o_stream_unref(&outputs[0]);
	return s;
}

static void play_output(struct play *p)
{
	struct test_sink *sink = new_sink(1000);
	struct ostream *s;

	begin(p);
	s = p->variant == 2 ? tee_of(sink->stream) :
			      o_stream_create_hex(sink->stream);
	if (p->variant == 1)
		o_stream_cork(s);
	send_all(s, plain, SIZE);
	finish(p, &s);
	buffer_append_buf(p->got, sink->data, 0, SIZE_MAX);
	test_sink_free(&sink);
}

/* Each channel may lack memory of its own. */
static void play_channels(struct play *p)
{
	struct test_sink *sink = new_sink(1000);
	struct ostream *channels[2];

	begin(p);
	channels[0] = o_stream_create_multiplex(
		sink->stream, 0,
		p->variant == 0 ? OSTREAM_MULTIPLEX_FORMAT_PACKET :
				  OSTREAM_MULTIPLEX_FORMAT_STREAM);
	channels[1] = o_stream_multiplex_add_channel(channels[0], 1);
	o_stream_cork(channels[1]);
	send_all(channels[1], plain, 50000);
	if (o_stream_finish(channels[1]) >= 0) {
		send_all(channels[0], plain, 50000);
		finish(p, &channels[0]);
	} else {
		o_stream_abort(channels[0]);
		o_stream_destroy(&channels[0]);
		end(p, channels[1]->stream_errno,
		    o_stream_get_error(channels[1]));
	}
	o_stream_abort(channels[1]);
	o_stream_destroy(&channels[1]);
	buffer_append_buf(p->got, sink->data, 0, SIZE_MAX);
	test_sink_free(&sink);
}

static void play_file_output(struct play *p)
{
	const char *path = test_path("output");
	struct ostream *s = o_stream_create_file(path, 0, 0600, 0);
	buffer_t *got;

	begin(p);
	o_stream_cork(s);
	send_all(s, plain, SIZE);
	finish(p, &s);
	got = test_read_file(path);
	buffer_append_buf(p->got, got, 0, SIZE_MAX);
	buffer_free(&got);
	assert_int_equal(unlink(path), 0);
}

static void play_buffer_output(struct play *p)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *s = o_stream_create_buffer(buf);

	begin(p);
	send_all(s, plain, SIZE);
	finish(p, &s);
	buffer_append_buf(p->got, buf, 0, SIZE_MAX);
	buffer_free(&buf);
}

/* In memory, in a file, encrypted, and where the disk is full: then what is in the file
   comes back, if there is memory for it. */
static void play_temp(struct play *p)
{
	struct ostream *s;

	test_faults_begin();
	if (p->variant == 3) {
		test_faults.fail_at[TEST_OP_WRITE] = 2;
		test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
		test_faults.fail_after = true;
	}
	begin(p);
	s = iostream_temp_create_sized(
		test_path("temp-"),
		p->variant == 2 ? IOSTREAM_TEMP_FLAG_ENCRYPTED : 0, NULL,
		p->variant == 0 ? SIZE_MAX : 1000);
	send_all(s, plain, SIZE);
	read_all(p, iostream_temp_finish(&s, 0));
	test_faults_end();
}

/* What is logged comes through whatever becomes of the log, which ends where it cannot
   be written. */
static void play_log(struct play *p)
{
	struct test_sink *sink = new_sink(0);
	struct istream *source, *s;

	o_stream_ref(sink->stream);
	source = i_stream_create_from_data(lines->data, lines->used);
	begin(p);
	s = i_stream_create_rawlog_from_stream(
		source, sink->stream,
		p->variant == 0 ? 0 : IOSTREAM_RAWLOG_FLAG_BUFFERED);
	i_stream_unref(&source);
	read_all(p, s);
	assert_int_equal(p->error, 0);
	assert_true(p->got->used > LONG_LINE);
	buffer_append_buf(p->got, sink->data, 0, SIZE_MAX);
	test_sink_free(&sink);
}

static void play_stack_spec(struct play *p)
{
	struct stack_spec *spec;
	char *error = NULL, *text;

	begin(p);
	spec = stack_spec_parse("dot | gzip:9", &error);
	if (spec == NULL) {
		end(p, errno, error);
		free(error);
		return;
	}
	end(p, 0, "");
	text = stack_spec_format(spec, STACK_SPEC_WHOLE);
	buffer_append_str(p->got, text);
	free(text);
	stack_spec_free(&spec);
}

/*
 * All of them
 */

static const struct scene {
	const char *name;
	void (*play)(struct play *p);
	unsigned int variant;
	bool heals; /* it does without */
} scenes[] = {
	{ "file", play_file, 0, false },
	{ "lines", play_lines, 0, false },
	{ "nonuls", play_filter, 0, false },
	{ "gzip encoder, a small buffer", play_filter, 1, false },
	{ "gzip", play_filter, 2, false },
	{ "a copy of data", play_copy, 0, false },
	{ "callback", play_callback, 0, false },
	{ "concat", play_concat, 0, false },
	{ "chain", play_chain, 0, false },
	{ "seekable", play_seekable, 0, false },
	{ "seekable, a file", play_seekable, 1, false },
	{ "seekable, encrypted", play_seekable, 2, false },
	{ "tee", play_tee, 0, false },
	{ "multiplex", play_multiplex, 0, false },
	{ "added data", play_add_data, 0, false },
	{ "hex output", play_output, 0, false },
	{ "hex output, corked", play_output, 1, false },
	{ "tee output", play_output, 2, false },
	{ "packets output", play_channels, 0, false },
	{ "stream output", play_channels, 1, false },
	{ "file output", play_file_output, 0, false },
	{ "buffer output", play_buffer_output, 0, false },
	{ "temp", play_temp, 0, false },
	{ "temp, a file", play_temp, 1, true },
	{ "temp, encrypted", play_temp, 2, true },
	{ "temp, a full disk", play_temp, 3, false },
	{ "log", play_log, 0, true },
	{ "log of lines", play_log, 1, true },
	{ "stack spec", play_stack_spec, 0, false },
};

static void judge(const struct scene *scene, const struct play *p,
		  const buffer_t *whole)
{
	size_t size = p->got->used;
	bool may_end = p->error != 0 || scene->play == play_log;

	if (p->error != 0 &&
	    (p->error != ENOMEM || strstr(p->text, "emory") == NULL))
		fail_msg("%s: call %u: %s, %s", scene->name, p->fail_at,
			 strerror(p->error), p->text);
	if (size > whole->used || (!may_end && size < whole->used) ||
	    (size > 0 && memcmp(p->got->data, whole->data, size) != 0))
		fail_msg("%s: call %u: %s, and not what it has to be",
			 scene->name, p->fail_at,
			 p->error == 0 ? "goes well" : p->text);
}

static void play(const struct scene *scene, struct play *p, unsigned int n,
		 bool for_ever)
{
	p->variant = scene->variant;
	p->fail_at = n;
	p->for_ever = for_ever;
	buffer_set_used_size(p->got, 0);
	scene->play(p);
}

static void test_each_scene(void **state ATTR_UNUSED)
{
	struct play p = { .got = buffer_create_dynamic(default_pool, 1) };
	buffer_t *whole = buffer_create_dynamic(default_pool, 1);
	const struct scene *scene;
	unsigned int n, hit, failures;
	int for_ever;

	/* what the test keeps is not to be missing */
	buffer_append_zero(p.got, SINK_SIZE);
	for (scene = scenes; scene < scenes + N_ELEMENTS(scenes); scene++) {
		failures = 0;
		play(scene, &p, 0, false);
		assert_int_equal(p.error, 0);
		buffer_set_used_size(whole, 0);
		buffer_append_buf(whole, p.got, 0, SIZE_MAX);
		for (for_ever = 0; for_ever < 2; for_ever++) {
			TEST_EACH_CALL(n, hit) {
				play(scene, &p, n, for_ever != 0);
				hit = p.calls;
				judge(scene, &p, whole);
				failures += p.error != 0 ? 1 : 0;
			}
		}
		if (failures == 0 && !scene->heals)
			fail_msg("%s: nothing ever failed", scene->name);
	}
	buffer_free(&whole);
	buffer_free(&p.got);
}

static int setup(void **state ATTR_UNUSED)
{
	plain = test_data(TEST_DATA_RANDOM, SIZE);
	zipped = test_encode(transform_create_gzip_encoder(1), plain, SIZE);
	test_write_file(test_path("plain"), plain, SIZE);
	lines = buffer_create_dynamic(default_pool, LONG_LINE);
	buffer_append_str(lines, "short\nand ");
	while (lines->used < LONG_LINE)
		buffer_append_str(lines, "longer ");
	buffer_append_str(lines, "\nthe last one");
	test_write_file(test_path("lines"), lines->data, lines->used);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	free(plain);
	buffer_free(&zipped);
	buffer_free(&lines);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_scene),
	};

	return cmocka_run_group_tests_name("stream-memory", tests, setup,
					   teardown);
}
