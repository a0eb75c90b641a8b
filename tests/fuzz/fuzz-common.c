/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "fuzz-common.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static bool tracing;

int LLVMFuzzerInitialize(int *argc ATTR_UNUSED, char ***argv ATTR_UNUSED)
{
	/* or it exits, and says less */
	(void)setenv("CMOCKA_TEST_ABORT", "1", 1);
	tracing = getenv("FUZZ_TRACE") != NULL;
	fuzz_setup();
	if (getenv("FUZZ_SEEDS") != NULL)
		fuzz_seeds();
	return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	fuzz_one(data, size);
	return 0;
}

void fuzz_trace(const char *fmt, ...)
{
	va_list args;

	if (!tracing)
		return;
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fputc('\n', stderr);
}

/*
 * Seeds
 */

void fuzz_seed(const void *data, size_t size)
{
	static unsigned int number;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/seed-%u", getenv("FUZZ_SEEDS"),
		       number++);
	test_write_file(path, data, size);
}

void fuzz_seed_with(const void *choices, size_t choices_size, const void *data,
		    size_t size)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 1024);

	buffer_append(buf, choices, choices_size);
	buffer_append(buf, data, size);
	fuzz_seed(buf->data, buf->used);
	buffer_free(&buf);
}

void fuzz_seed_files(const void *choices, size_t choices_size, const char *name)
{
	const char *path = test_data_path(name);
	const struct dirent *entry;
	DIR *dir = opendir(path);
	char file[1024];
	buffer_t *buf;

	if (dir == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_type != DT_REG)
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s", path,
			       entry->d_name);
		buf = test_read_file(file);
		fuzz_seed_with(choices, choices_size, buf->data, buf->used);
		buffer_free(&buf);
	}
	(void)closedir(dir);
}

void fuzz_keys(void)
{
	assert_int_equal(test_fixed_keys_setup(NULL), 0);
}

/*
 * Choices
 */

size_t fuzz_left(const struct fuzz_input *in)
{
	return (size_t)(in->end - in->data);
}

unsigned int fuzz_byte(struct fuzz_input *in)
{
	return in->data < in->end ? *in->data++ : 0;
}

unsigned int fuzz_below(struct fuzz_input *in, unsigned int limit)
{
	unsigned int n = fuzz_byte(in);

	if (limit > 256)
		n = n << 8 | fuzz_byte(in);
	return n % limit;
}

const unsigned char *fuzz_take(struct fuzz_input *in, size_t *size)
{
	const unsigned char *data = in->data;

	*size = I_MIN(*size, fuzz_left(in));
	in->data += *size;
	return data;
}

/*
 * Streams
 */

/* How many of these bytes: mostly few, now and then many. */
static size_t choose_size(struct fuzz_input *choices, size_t max)
{
	unsigned int n = fuzz_byte(choices);
	size_t size = n < 0xe0 ? n + 1 : (size_t)(n - 0xdf) * 2048;

	return I_MIN(size, max);
}

/* Until nothing is left in the streams. -1: an error. */
static int flush_all(struct ostream *output, struct test_sink *sink,
		     size_t room, int (*flush)(struct ostream *))
{
	unsigned int left;
	int ret;

	for (left = 1000000; (ret = flush(output)) == 0; left--) {
		assert_true(left > 0);
		test_sink_allow(sink, room);
	}
	return ret;
}

int fuzz_send(struct ostream *output, struct test_sink *sink,
	      const unsigned char *data, size_t size,
	      struct fuzz_input *choices)
{
	size_t done = 0, piece, room;
	unsigned int what;
	/* long data by single bytes would take too much time */
	size_t least = size / 1024;
	ssize_t ret;

	while (done < size) {
		what = fuzz_byte(choices);
		if ((what & 1) != 0)
			o_stream_cork(output);
		piece = choose_size(choices, SIZE_MAX) + least;
		piece = I_MIN(piece, size - done);
		ret = o_stream_send(output, data + done, piece);
		if (ret < 0)
			return output->stream_errno;
		assert_true((size_t)ret <= piece);
		done += (size_t)ret;
		assert_int_equal(output->offset, done);
		room = choose_size(choices, SIZE_MAX) + least;
		if ((size_t)ret < piece)
			test_sink_allow(sink, room);
		if ((what & 2) != 0)
			o_stream_uncork(output);
		if ((what & 0x1c) == 0x1c &&
		    flush_all(output, sink, room, o_stream_flush) < 0)
			return output->stream_errno;
		if ((what & 0xe0) == 0xe0 && o_stream_check(output) < 0)
			return output->stream_errno;
	}
	return 0;
}

int fuzz_finish(struct ostream *output, struct test_sink *sink, size_t room)
{
	return flush_all(output, sink, room, o_stream_finish) < 0 ?
		output->stream_errno :
		0;
}

int fuzz_read(struct istream *input, buffer_t *out, struct fuzz_input *choices)
{
	unsigned int left = 10000000;
	const unsigned char *data;
	size_t size, before, least;
	ssize_t ret;

	do {
		assert_true(--left > 0);
		before = i_stream_get_data_size(input);
		ret = i_stream_read(input);
		data = i_stream_get_data(input, &size);
		if (ret > 0)
			assert_int_equal(size, before + (size_t)ret);
		else
			assert_int_equal(size, before);
		if (ret == 0)
			assert_false(input->blocking);
		least = I_MIN(size, out->used / 256);
		if (ret != -1)
			size = choose_size(choices, size - least) + least;
		if (size == 0)
			continue;
		buffer_append(out, data, size);
		i_stream_skip(input, size);
	} while (ret != -1);
	assert_true(input->eof);
	if (input->stream_errno != 0)
		assert_true(strlen(i_stream_get_error(input)) > 0);
	return input->stream_errno;
}

void fuzz_same(const buffer_t *a, const void *data, size_t size,
	       const char *what)
{
	if (a->used != size)
		fail_msg("%s: %zu bytes, not %zu", what, a->used, size);
	if (size > 0 && memcmp(a->data, data, size) != 0)
		fail_msg("%s: other bytes", what);
}
