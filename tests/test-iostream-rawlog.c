/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "iostream-rawlog.h"
#include "test-stream-common.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define AUTOCLOSE IOSTREAM_RAWLOG_FLAG_AUTOCLOSE
#define BUFFERED IOSTREAM_RAWLOG_FLAG_BUFFERED
#define TIMESTAMP IOSTREAM_RAWLOG_FLAG_TIMESTAMP

/* Takes "SECONDS.MICROSECONDS " away from the beginning of each line. */
static void strip_stamps(buffer_t *log)
{
	size_t line = 0, pos;

	while (line < log->used) {
		for (pos = line; isdigit(log->data[pos]); pos++)
			;
		assert_true(pos > line);
		assert_int_equal(log->data[pos], '.');
		assert_int_equal(strspn((const char *)log->data + pos + 1,
					"0123456789"),
				 6);
		assert_int_equal(log->data[pos + 7], ' ');
		buffer_delete(log, line, pos + 8 - line);
		while (line < log->used && log->data[line] != '\n')
			line++;
		line++;
	}
}

static void log_is(buffer_t *log, const char *text, bool stamps)
{
	(void)buffer_c_str(log);
	if (stamps)
		strip_stamps(log);
	assert_string_equal(buffer_c_str(log), text);
}

static void file_is(const char *path, const char *text, bool stamps)
{
	buffer_t *log = test_read_file(path);

	log_is(log, text, stamps);
	buffer_free(&log);
}

/* Streams to be logged: input that comes byte by byte, output to a buffer. */
struct fixture {
	struct istream *input;
	struct ostream *output;
	buffer_t *sent, *log;
	struct ostream *log_output;
};

static void begin(struct fixture *f, const char *text, size_t step)
{
	f->input = test_trickle_create(text, strlen(text), step, false);
	f->sent = buffer_create_dynamic(default_pool, 100);
	f->output = o_stream_create_buffer(f->sent);
	f->log = buffer_create_dynamic(default_pool, 100);
	f->log_output = o_stream_create_buffer(f->log);
}

static void end(struct fixture *f)
{
	i_stream_destroy(&f->input);
	o_stream_destroy(&f->output);
	buffer_free(&f->sent);
	buffer_free(&f->log);
}

static void say(struct fixture *f, const char *text)
{
	assert_int_equal(o_stream_send_str(f->output, text), strlen(text));
}

static void hear_all(struct fixture *f, const char *text)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 100);

	assert_int_equal(test_read_all(f->input, out), 0);
	assert_string_equal(buffer_c_str(out), text);
	buffer_free(&out);
}

static const struct {
	enum iostream_rawlog_flags flags;
	const char *in_log, *out_log;
} forms[] = {
	{ 0, "one\ntwo\r\n\nthr", "one\ntwo\r\n\nthr" },
	{ BUFFERED, "one\ntwo\r\n\nthr\n", "one\ntwo\r\n\nthr\n" },
	{ TIMESTAMP, "one\ntwo\r\n\nthr", "one\ntwo\r\n\nthr" },
	{ BUFFERED | TIMESTAMP, "I: one\nI: two\r\nI: \nI> thr\n",
	  "O: one\nO: two\r\nO: \nO> thr\n" },
};

/* However the bytes come. */
static void test_forms(void **state ATTR_UNUSED)
{
	static const char text[] = "one\ntwo\r\n\nthr";
	struct istream *input;
	struct ostream *output;
	struct fixture f;
	unsigned int i;
	size_t step, pos;
	bool stamps;

	for (i = 0; i < N_ELEMENTS(forms); i++) {
		stamps = (forms[i].flags & TIMESTAMP) != 0;
		for (step = 1; step < sizeof(text); step++) {
			begin(&f, text, step);
			input = f.input;
			f.input = i_stream_create_rawlog_from_stream(
				input, f.log_output, forms[i].flags);
			i_stream_unref(&input);
			hear_all(&f, text);
			i_stream_destroy(&f.input);
			log_is(f.log, forms[i].in_log, stamps);
			end(&f);

			begin(&f, "", 1);
			output = f.output;
			f.output = o_stream_create_rawlog_from_stream(
				output, f.log_output, forms[i].flags);
			o_stream_unref(&output);
			for (pos = 0; pos < sizeof(text) - 1; pos += step)
				assert_true(
					o_stream_send(f.output, text + pos,
						      I_MIN(step,
							    sizeof(text) - 1 -
								    pos)) > 0);
			assert_int_equal(o_stream_finish(f.output), 1);
			o_stream_destroy(&f.output);
			assert_string_equal(buffer_c_str(f.sent), text);
			log_is(f.log, forms[i].out_log, stamps);
			end(&f);
		}
	}
}

static void test_long_line(void **state ATTR_UNUSED)
{
	struct istream *input;
	struct fixture f;
	char text[20002];

	memset(text, 'x', sizeof(text));
	text[20000] = '\n';
	text[20001] = '\0';
	begin(&f, text, 7000);
	input = f.input;
	f.input = i_stream_create_rawlog_from_stream(input, f.log_output,
						     BUFFERED | TIMESTAMP);
	i_stream_unref(&input);
	hear_all(&f, text);
	(void)buffer_c_str(f.log);
	strip_stamps(f.log);
	assert_int_equal(f.log->used, 20001 + 3 * 3 + 2);
	assert_memory_equal(f.log->data, "I> xxx", 6);
	assert_memory_equal(f.log->data + 3 + 8192, "\nI> xxx", 7);
	assert_memory_equal(f.log->data + 2 * (4 + 8192), "I: xxx", 6);
	end(&f);
}

/* Two directions in one log, in the order of what happened; and one that the caller
   keeps. */
static void test_pair(void **state ATTR_UNUSED)
{
	struct ostream *log;
	struct fixture f;

	begin(&f, "250 ok\r\n354 go\r\n", 8);
	log = f.log_output;
	o_stream_ref(log);
	iostream_rawlog_create_from_stream(log, &f.input, &f.output);
	say(&f, "MAIL FR");
	assert_int_equal(f.log->used, 0);
	say(&f, "OM:<>\r\nDATA\r\n");
	assert_int_equal(i_stream_read(f.input), 8);
	say(&f, ".\r\n");
	assert_int_equal(i_stream_read(f.input), 8);
	say(&f, "QUI");
	log_is(f.log,
	       "O: MAIL FROM:<>\r\nO: DATA\r\nI: 250 ok\r\nO: .\r\n"
	       "I: 354 go\r\n",
	       true);
	/* its end is the log's end */
	assert_int_equal(o_stream_finish(log), 1);
	say(&f, "T\r\n");
	assert_string_equal(buffer_c_str(f.sent),
			    "MAIL FROM:<>\r\nDATA\r\n.\r\nQUIT\r\n");
	o_stream_destroy(&log);
	end(&f);
}

/* What needs a trailer gets it when the last logged stream is gone. */
static void test_compressed_log(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 100);
	struct istream *data, *plain;
	struct ostream *gzip;
	struct fixture f;

	begin(&f, "hello\n", 100);
	gzip = o_stream_create_gzip(f.log_output, 6);
	o_stream_unref(&f.log_output);
	iostream_rawlog_create_from_stream(gzip, &f.input, &f.output);
	hear_all(&f, "hello\n");
	say(&f, "bye\n");
	i_stream_destroy(&f.input);
	o_stream_destroy(&f.output);
	data = i_stream_create_from_buffer(f.log);
	plain = i_stream_create_gzip(data);
	assert_int_equal(test_read_all(plain, out), 0);
	log_is(out, "I: hello\nO: bye\n", true);
	i_stream_destroy(&plain);
	i_stream_destroy(&data);
	buffer_free(&out);
	end(&f);
}

/* Each byte once, also those that a seek leaves out or comes back to. */
static void test_seeks(void **state ATTR_UNUSED)
{
	const unsigned char *data;
	struct istream *input;
	struct fixture f;
	size_t size;

	begin(&f, "0123456789", 3);
	input = f.input;
	f.input = i_stream_create_rawlog_from_stream(input, f.log_output, 0);
	i_stream_unref(&input);
	assert_false(f.input->readable_fd);
	assert_int_equal(i_stream_read_bytes(f.input, &data, &size, 5), 1);
	i_stream_seek(f.input, 1);
	assert_int_equal(i_stream_read_more(f.input, &data, &size), 1);
	assert_int_equal(data[0], '1');
	i_stream_seek(f.input, 8);
	assert_int_equal(i_stream_read_more(f.input, &data, &size), 1);
	assert_int_equal(data[0], '8');
	i_stream_seek(f.input, 0);
	hear_all(&f, "0123456789");
	log_is(f.log, "0123456789", false);
	end(&f);
}

/* Only what the parent took. */
static void test_short_send(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(5, 0);
	buffer_t *log = buffer_create_dynamic(default_pool, 100);
	struct ostream *output = o_stream_create_rawlog_from_stream(
		sink->stream, o_stream_create_buffer(log), 0);
	struct const_iovec iov[] = { { "abc", 3 }, { "def", 3 }, { "ghi", 3 } };

	assert_int_equal(o_stream_sendv(output, iov, 3), 5);
	assert_string_equal(buffer_c_str(log), "abcde");
	o_stream_destroy(&output);
	test_sink_free(&sink);
	buffer_free(&log);
}

/*
 * Files
 */

static void test_one_fd(void **state ATTR_UNUSED)
{
	struct istream *input;
	struct ostream *output;
	struct fixture f;
	unsigned int i;
	int fd;

	for (i = 0; i < 2; i++) {
		test_write_file(test_path("log"), "", 0);
		fd = open(test_path("log"), O_WRONLY);
		assert_true(fd >= 0);
		begin(&f, "in\n", 10);
		o_stream_destroy(&f.log_output);
		test_faults_begin();
		/* both to one fd; it is one of them's to close */
		input = i_stream_create_rawlog(f.input, "log", fd, 0);
		output = o_stream_create_rawlog(f.output, "log", fd,
						i == 0 ? 0 : AUTOCLOSE);
		assert_int_equal(o_stream_send_str(output, "out 1\n"), 6);
		assert_int_equal(i_stream_read(input), 3);
		assert_int_equal(o_stream_send_str(output, "out 2\n"), 6);
		i_stream_destroy(&input);
		o_stream_destroy(&output);
		assert_int_equal(test_faults.calls[TEST_OP_CLOSE], i);
		test_faults_end();
		file_is(test_path("log"), "out 1\nin\nout 2\n", false);
		if (i == 0)
			assert_int_equal(close(fd), 0);
		end(&f);
	}
}

static void test_prefix_and_path(void **state ATTR_UNUSED)
{
	struct fixture f;
	struct stat st;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		begin(&f, "in\n", 10);
		o_stream_destroy(&f.log_output);
		assert_int_equal(iostream_rawlog_create_prefix(
					 test_path("pre"), &f.input, &f.output),
				 0);
		assert_int_equal(iostream_rawlog_create_path(test_path("both"),
							     &f.input,
							     &f.output),
				 0);
		say(&f, "out\n");
		hear_all(&f, "in\n");
		end(&f);
	}
	/* the second time behind what was there */
	file_is(test_path("pre.in"), "in\nin\n", true);
	file_is(test_path("pre.out"), "out\nout\n", true);
	file_is(test_path("both"), "O: out\nI: in\nO: out\nI: in\n", true);
	assert_int_equal(stat(test_path("both"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* YYYYMMDD-HHMMSS.PID.RANDOM and what comes behind that. */
static void must_be_log_name(const char *name)
{
	static const char digits[] = "0123456789";

	assert_int_equal(strspn(name, digits), 8);
	assert_int_equal(name[8], '-');
	assert_int_equal(strspn(name + 9, digits), 6);
	assert_int_equal(name[15], '.');
	assert_int_equal(strtol(name + 16, NULL, 10), getpid());
	name += 16 + strspn(name + 16, digits);
	assert_int_equal(strspn(name + 1, "0123456789abcdef"), 8);
}

static void test_directory(void **state ATTR_UNUSED)
{
	unsigned int ins = 0, outs = 0, i;
	struct dirent *entry;
	struct fixture f;
	const char *dot;
	DIR *dir;

	assert_int_equal(mkdir(test_path("logs"), 0700), 0);
	for (i = 0; i < 2; i++) {
		begin(&f, "in\n", 10);
		o_stream_destroy(&f.log_output);
		assert_int_equal(iostream_rawlog_create(test_path("logs"),
							&f.input, &f.output),
				 0);
		end(&f);
	}
	dir = opendir(test_path("logs"));
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			must_be_log_name(entry->d_name);
		dot = strrchr(entry->d_name, '.');
		ins += dot != NULL && strcmp(dot, ".in") == 0 ? 1 : 0;
		outs += dot != NULL && strcmp(dot, ".out") == 0 ? 1 : 0;
	}
	(void)closedir(dir);
	assert_int_equal(ins, 2);
	assert_int_equal(outs, 2);
}

static void test_files_that_fail(void **state ATTR_UNUSED)
{
	struct istream *input;
	struct ostream *output;
	struct fixture f;
	unsigned int i;

	begin(&f, "in\n", 10);
	o_stream_destroy(&f.log_output);
	input = f.input;
	output = f.output;
	assert_int_equal(iostream_rawlog_create(test_path("nowhere"), &f.input,
						&f.output),
			 -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(iostream_rawlog_create_path(test_path("nowhere/log"),
						     &f.input, &f.output),
			 -1);
	assert_int_equal(errno, ENOENT);
	for (i = 1; i <= 2; i++) {
		test_faults_begin();
		test_faults.fail_at[TEST_OP_OPEN] = i;
		test_faults.fail_errno[TEST_OP_OPEN] = EMFILE;
		assert_int_equal(
			iostream_rawlog_create_prefix(test_path("fail"),
						      &f.input, &f.output),
			-1);
		assert_int_equal(errno, EMFILE);
		assert_int_equal(test_faults.calls[TEST_OP_CLOSE], i - 1);
		test_faults_end();
	}
	/* nothing has changed: what was made for it is gone */
	assert_int_equal(access(test_path("fail.in"), F_OK), -1);
	test_write_file(test_path("half.in"), "old\n", 4);
	assert_int_equal(mkdir(test_path("half.out"), 0700), 0);
	assert_int_equal(iostream_rawlog_create_prefix(test_path("half"),
						       &f.input, &f.output),
			 -1);
	assert_int_equal(errno, EISDIR);
	file_is(test_path("half.in"), "old\n", false);
	assert_ptr_equal(f.input, input);
	assert_ptr_equal(f.output, output);

	/* a full disk: the log ends, and the streams go on */
	test_faults_begin();
	assert_int_equal(iostream_rawlog_create_path(test_path("full"),
						     &f.input, &f.output),
			 0);
	say(&f, "one\n");
	test_faults.fail_at[TEST_OP_WRITE] =
		test_faults.calls[TEST_OP_WRITE] + 1;
	test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
	say(&f, "two\n");
	say(&f, "three\n");
	hear_all(&f, "in\n");
	assert_int_equal(o_stream_finish(f.output), 1);
	assert_string_equal(buffer_c_str(f.sent), "one\ntwo\nthree\n");
	end(&f);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 1);
	test_faults_end();
	file_is(test_path("full"), "O: one\n", true);
}

/* A close is for what is logged, too; a destroy is not. */
static void test_closes(void **state ATTR_UNUSED)
{
	struct istream *input;
	struct ostream *output;
	unsigned int close;
	struct fixture f;

	for (close = 0; close < 2; close++) {
		begin(&f, "in\n", 10);
		o_stream_ref(f.log_output);
		input = i_stream_create_rawlog_from_stream(f.input,
							   f.log_output, 0);
		output = o_stream_create_rawlog_from_stream(f.output,
							    f.log_output, 0);
		if (close == 1) {
			i_stream_close(input);
			o_stream_close(output);
		}
		i_stream_destroy(&input);
		o_stream_destroy(&output);
		assert_int_equal(f.input->closed, close);
		assert_int_equal(f.output->closed, close);
		f.log_output = NULL;
		end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_pair),
		cmocka_unit_test(test_compressed_log),
		cmocka_unit_test(test_seeks),
		cmocka_unit_test(test_short_send),
		cmocka_unit_test(test_one_fd),
		cmocka_unit_test(test_prefix_and_path),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_files_that_fail),
		cmocka_unit_test(test_closes),
	};

	return cmocka_run_group_tests_name("iostream-rawlog", tests, NULL,
					   NULL);
}
