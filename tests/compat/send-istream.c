/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Input streams that are sent. */

#include "compat-case.h"

static const char *result_name(enum ostream_send_istream_result result)
{
	switch (result) {
	case OSTREAM_SEND_ISTREAM_RESULT_FINISHED:
		return "FINISHED";
	case OSTREAM_SEND_ISTREAM_RESULT_WAIT_INPUT:
		return "WAIT_INPUT";
	case OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT:
		return "WAIT_OUTPUT";
	case OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT:
		return "ERROR_INPUT";
	case OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT:
		return "ERROR_OUTPUT";
	}
	return "?";
}

static void send_it(struct ostream *output, struct istream *input)
{
	const char *result = result_name(o_stream_send_istream(output, input));

	say("%s, input at %llu eof %d errno %s, output at %llu errno %s",
	    result, (unsigned long long)input->v_offset, input->eof,
	    errno_name(input->stream_errno), (unsigned long long)output->offset,
	    errno_name(output->stream_errno));
}

static void memory_to_memory(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	struct ostream *output = o_stream_create_buffer(buf);
	struct istream *input = i_stream_create_from_data("hello", 5);

	i_stream_skip(input, 1);
	send_it(output, input);
	send_it(output, input);
	say("%s", shown(buf->data, buf->used));
	i_stream_destroy(&input);
	o_stream_destroy(&output);
	buffer_free(&buf);
}

static void memory_to_full_memory(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	struct istream *input = i_stream_create_from_data("abcdef", 6);
	struct ostream *output = o_stream_create_buffer(buf);

	o_stream_set_max_buffer_size(output, 4);
	send_it(output, input);
	send_it(output, input);
	say("%s", shown(buf->data, buf->used));
	i_stream_destroy(&input);
	o_stream_destroy(&output);
	buffer_free(&buf);
}

static void to_a_pipe(void)
{
	struct istream *input;
	struct ostream *output;
	char *text = make_text(10000);
	int fds[2];

	write_file("f", text);
	make_pipe(fds);
	input = i_stream_create_file("f", BLOCK);
	output = o_stream_create_fd(fds[1], 10);
	for (int i = 0; i < 3; i++) {
		send_it(output, input);
		SHOWN(drained(fds));
	}
	NUM(o_stream_flush(output));
	SHOWN(drained(fds));
	i_stream_destroy(&input);
	o_stream_destroy(&output);
	free(text);
}

static void from_a_pipe(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	struct ostream *output = o_stream_create_buffer(buf);
	struct istream *input;
	int fds[2];

	make_pipe(fds);
	input = i_stream_create_fd(fds[0], BLOCK);
	send_it(output, input);
	NUM(write(fds[1], "abc", 3));
	send_it(output, input);
	NUM(write(fds[1], "def", 3));
	close(fds[1]);
	send_it(output, input);
	say("%s", shown(buf->data, buf->used));
	i_stream_destroy(&input);
	o_stream_destroy(&output);
	buffer_free(&buf);
}

static void nsend(void)
{
	struct ostream *output = o_stream_create_null();
	struct istream *input = i_stream_create_from_data("text", 4);

	o_stream_nsend_istream(output, input);
	NUM(output->offset);
	NUM(o_stream_flush(output));
	i_stream_destroy(&input);
	input = i_stream_create_error_str(EIO, "the input's error");
	o_stream_nsend_istream(output, input);
	CALL(o_stream_flush(output));
	say("errno %s", errno_name(output->stream_errno));
	NUM(strstr(o_stream_get_error(output), "the input's error") != NULL);
	i_stream_destroy(&input);
	o_stream_destroy(&output);
}

static void input_fails(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	struct ostream *output = o_stream_create_buffer(buf);
	struct istream *data = i_stream_create_from_data("abcdef", 6);
	struct istream *input =
		i_stream_create_failure_at(data, 4, EIO, "at four");

	send_it(output, input);
	say("%s", shown(buf->data, buf->used));
	i_stream_destroy(&input);
	i_stream_destroy(&data);
	o_stream_destroy(&output);
	buffer_free(&buf);
}

static void output_fails(void)
{
	struct ostream *end = o_stream_create_null();
	struct ostream *output = o_stream_create_failure_at(end, 4, "at four");
	struct istream *input = i_stream_create_from_data("abcdef", 6);

	send_it(output, input);
	send_it(output, input);
	i_stream_destroy(&input);
	o_stream_destroy(&output);
	o_stream_destroy(&end);
}

static void file_to_file(void)
{
	char *text = make_text(200000);
	struct istream *input;
	struct ostream *output;

	write_file("f", text);
	input = i_stream_create_file("f", BLOCK);
	output = o_stream_create_file("g", 0, 0600, 0);
	CALL(o_stream_send_str(output, "first "));
	send_it(output, input);
	CALL(o_stream_send_str(output, " last"));
	NUM(o_stream_finish(output));
	i_stream_destroy(&input);
	o_stream_destroy(&output);
	SHOWN(shown_file("f"));
	SHOWN(shown_file("g"));
	free(text);
}

static void a_limit_beyond_the_end(void)
{
	struct istream *file, *input;
	struct ostream *output;

	write_file("f", "0123456789");
	file = i_stream_create_file("f", BLOCK);
	i_stream_seek(file, 4);
	input = i_stream_create_limit(file, 100);
	output = o_stream_create_file("g", 0, 0600, 0);
	send_it(output, input);
	i_stream_destroy(&input);
	NUM(file->v_offset);
	input = i_stream_create_range(file, 2, 3);
	send_it(output, input);
	i_stream_destroy(&input);
	NUM(o_stream_finish(output));
	o_stream_destroy(&output);
	i_stream_destroy(&file);
	SHOWN(shown_file("g"));
}

static void within_one_file(void)
{
	static const struct {
		uoff_t from, size, to;
	} rows[] = { { 0, 50, 3 },
		     { 3, 50, 0 },
		     { 0, 20, 30 },
		     { 30, 20, 0 },
		     { 10, 10, 10 } };
	struct istream *file, *input;
	struct ostream *output;
	char *text = make_text(60);
	int fd;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_file("f", text);
		fd = open("f", O_RDWR);
		file = i_stream_create_fd(fd, BLOCK);
		input = i_stream_create_range(file, rows[i].from, rows[i].size);
		if (lseek(fd, (off_t)rows[i].to, SEEK_SET) < 0)
			exit(3);
		output = o_stream_create_fd_file(fd, rows[i].to, false);
		send_it(output, input);
		NUM(o_stream_finish(output));
		o_stream_destroy(&output);
		i_stream_destroy(&input);
		i_stream_destroy(&file);
		close(fd);
		SHOWN(shown_file("f"));
	}
	free(text);
}

const struct compat_case compat_send_istream[] = {
	{ "send-istream memory", memory_to_memory },
	{ "send-istream to full memory", memory_to_full_memory },
	{ "send-istream to a pipe", to_a_pipe },
	{ "send-istream from a pipe", from_a_pipe },
	{ "send-istream nsend", nsend },
	{ "send-istream input fails", input_fails },
	{ "send-istream output fails", output_fails },
	{ "send-istream file to file", file_to_file },
	{ "send-istream limit beyond the end", a_limit_beyond_the_end },
	{ "send-istream within one file", within_one_file },
	{ NULL, NULL }
};
