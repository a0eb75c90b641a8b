/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Logs of what passes. Their times are taken out. */

#include "compat-case.h"

#include <ctype.h>
#include <dirent.h>

static struct istream *input;
static struct ostream *output;
static buffer_t *sent;

static void begin(void)
{
	static const char text[] = "one\ntwo\r\n\nthr";
	struct istream *data = i_stream_create_from_data(text, strlen(text));

	input = i_stream_create_limit(data, 100);
	i_stream_unref(&data);
	sent = buffer_create_dynamic(default_pool, 100);
	output = o_stream_create_buffer(sent);
	o_stream_set_no_error_handling(output, true);
}

static void end(void)
{
	i_stream_destroy(&input);
	o_stream_destroy(&output);
	say("sent %s", shown(sent->data, sent->used));
	buffer_free(&sent);
}

/* "1234567890.123456" becomes "T". */
static const char *unstamped(const void *_text, size_t size)
{
	static char out[4096];
	const char *text = _text;
	size_t pos = 0, used = 0, i;

	while (pos < size) {
		for (i = pos; i < size && isdigit((unsigned char)text[i]); i++)
			;
		if (i - pos >= 9 && i + 7 <= size && text[i] == '.') {
			out[used++] = 'T';
			pos = i + 7;
		} else {
			out[used++] = text[pos++];
		}
	}
	return shown(out, used);
}

static void say_log(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY);
	ssize_t size;

	if (fd < 0) {
		say("%s: %s", path, errno_name(errno));
		return;
	}
	size = read(fd, text, sizeof(text));
	close(fd);
	say("%s: %s", path, size < 0 ? "?" : unstamped(text, (size_t)size));
}

static void talk(void)
{
	say_rest("heard", input);
	NUM(o_stream_send_str(output, "HELO\r\nMA"));
	NUM(o_stream_send_str(output, "IL\r\n"));
	NUM(o_stream_send_str(output, "DA"));
	NUM(o_stream_flush(output));
}

static void prefix(void)
{
	begin();
	NUM(iostream_rawlog_create_prefix("log", &input, &output));
	talk();
	end();
	say_log("log.in");
	say_log("log.out");
}

static void prefix_of_nothing(void)
{
	begin();
	say_istream("before", input);
	CALL(iostream_rawlog_create_prefix("none/log", &input, &output));
	say_rest("heard", input);
	end();
}

static void directory(void)
{
	struct dirent *entry;
	int ins = 0, outs = 0;
	DIR *dir;

	begin();
	NUM(iostream_rawlog_create(".", &input, &output));
	talk();
	end();
	dir = opendir(".");
	while ((entry = readdir(dir)) != NULL) {
		const char *end = strrchr(entry->d_name, '.');

		ins += end != NULL && strcmp(end, ".in") == 0;
		outs += end != NULL && strcmp(end, ".out") == 0;
	}
	closedir(dir);
	say("%d .in, %d .out", ins, outs);
}

static void one_path(void)
{
	begin();
	NUM(iostream_rawlog_create_path("log", &input, &output));
	talk();
	end();
	say_log("log");
}

static void one_stream(void)
{
	buffer_t *log = buffer_create_dynamic(default_pool, 100);
	struct ostream *log_output = o_stream_create_buffer(log);

	begin();
	iostream_rawlog_create_from_stream(log_output, &input, &output);
	talk();
	end();
	SHOWN(unstamped(log->data, log->used));
	buffer_free(&log);
}

static void with_flags(enum iostream_rawlog_flags flags, const char *path)
{
	struct istream *logged_in;
	struct ostream *logged_out;
	int in_fd = open("in", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int out_fd = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	begin();
	say("flags %d", flags);
	logged_in = i_stream_create_rawlog(input, path, in_fd, flags);
	logged_out = o_stream_create_rawlog(output, path, out_fd, flags);
	i_stream_unref(&input);
	o_stream_unref(&output);
	input = logged_in;
	output = logged_out;
	talk();
	end();
	NUM(close(in_fd));
	NUM(close(out_fd));
	say_log("in");
	say_log("out");
}

static void flags(void)
{
	with_flags(0, "log");
	with_flags(IOSTREAM_RAWLOG_FLAG_BUFFERED, "log");
	with_flags(IOSTREAM_RAWLOG_FLAG_TIMESTAMP, "log");
	with_flags(IOSTREAM_RAWLOG_FLAG_BUFFERED |
			   IOSTREAM_RAWLOG_FLAG_TIMESTAMP,
		   "log");
	with_flags(IOSTREAM_RAWLOG_FLAG_AUTOCLOSE, "log");
}

static void bytewise(void)
{
	static const char text[] = "a line\nand ";
	struct istream *logged;
	int log_fd = open("in", O_WRONLY | O_CREAT, 0600);
	int fds[2];

	make_pipe(fds);
	input = i_stream_create_fd(fds[0], BLOCK);
	logged = i_stream_create_rawlog(input, "in", log_fd,
					IOSTREAM_RAWLOG_FLAG_BUFFERED |
						IOSTREAM_RAWLOG_FLAG_TIMESTAMP |
						IOSTREAM_RAWLOG_FLAG_AUTOCLOSE);
	i_stream_unref(&input);
	for (size_t i = 0; i < strlen(text); i++) {
		if (write(fds[1], text + i, 1) != 1)
			exit(3);
		if (i_stream_read(logged) != 1)
			say("not read");
	}
	say_data("read", logged);
	i_stream_destroy(&logged);
	say_log("in");
}

const struct compat_case compat_iostream_rawlog[] = {
	{ "iostream-rawlog prefix", prefix },
	{ "iostream-rawlog prefix of nothing", prefix_of_nothing },
	{ "iostream-rawlog directory", directory },
	{ "iostream-rawlog path", one_path },
	{ "iostream-rawlog stream", one_stream },
	{ "iostream-rawlog flags", flags },
	{ "iostream-rawlog bytewise", bytewise },
	{ NULL, NULL }
};
