/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Bytes and descriptors over a UNIX socket, both ways. */

#include "compat-case.h"

#include <sys/socket.h>

static int sockets[2];
static struct ostream *output;
static struct istream *input;

static void begin(void)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets) < 0)
		exit(3);
	output = o_stream_create_unix(sockets[0], 1024);
	input = i_stream_create_unix(sockets[1], 1024);
}

static void end(void)
{
	NUM(o_stream_finish(output));
	o_stream_destroy(&output);
	i_stream_destroy(&input);
	close(sockets[0]);
	close(sockets[1]);
}

/* A descriptor to send: of a file with this text. */
static int fd_of(const char *path, const char *text)
{
	write_file(path, text);
	return open(path, O_RDONLY);
}

/* What came, and what is in it. */
static void say_received(const char *when)
{
	int fd = i_stream_unix_get_read_fd(input);
	char text[64];
	ssize_t size;

	if (fd == -1) {
		say("%s: no descriptor", when);
		return;
	}
	size = pread(fd, text, sizeof(text), 0);
	say("%s: a descriptor of %s", when, shown(text, (size_t)size));
	close(fd);
}

static void bytes(void)
{
	begin();
	NUM(i_stream_read(input));
	CALL(o_stream_send_str(output, "hello"));
	NUM(i_stream_read(input));
	say_data("bytes", input);
	say_received("bytes");
	NUM(i_stream_read(input));
	end();
}

static void descriptor(void)
{
	int fd = fd_of("f", "the file");

	begin();
	i_stream_unix_set_read_fd(input);
	NUM(o_stream_unix_write_fd(output, fd));
	NUM(i_stream_read(input));
	say_received("before a byte");
	CALL(o_stream_send_str(output, "hello"));
	NUM(i_stream_read(input));
	say_data("sent", input);
	say_received("sent");
	say_received("once more");
	close(fd);
	end();
}

static void one_at_a_time(void)
{
	int first = fd_of("f", "first"), second = fd_of("g", "second");

	begin();
	i_stream_unix_set_read_fd(input);
	NUM(o_stream_unix_write_fd(output, first));
	NUM(o_stream_unix_write_fd(output, second));
	CALL(o_stream_send_str(output, "one"));
	NUM(o_stream_unix_write_fd(output, second));
	CALL(o_stream_send_str(output, "two"));
	NUM(i_stream_read(input));
	say_data("first", input);
	say_received("first");
	i_stream_unix_set_read_fd(input);
	NUM(i_stream_read(input));
	say_data("second", input);
	say_received("second");
	end();
}

static void not_asked_for(void)
{
	int fd = fd_of("f", "the file");

	begin();
	NUM(o_stream_unix_write_fd(output, fd));
	CALL(o_stream_send_str(output, "hello"));
	NUM(i_stream_read(input));
	say_received("not asked for");
	i_stream_unix_set_read_fd(input);
	i_stream_unix_unset_read_fd(input);
	NUM(o_stream_unix_write_fd(output, fd));
	CALL(o_stream_send_str(output, "more"));
	NUM(i_stream_read(input));
	say_received("taken back");
	say_rest("all", input);
	close(fd);
	end();
}

static void asked_for_in_vain(void)
{
	int fd = fd_of("f", "the file");

	begin();
	i_stream_unix_set_read_fd(input);
	CALL(o_stream_send_str(output, "hello"));
	NUM(i_stream_read(input));
	say_received("without");
	NUM(o_stream_unix_write_fd(output, fd));
	CALL(o_stream_send_str(output, "more"));
	NUM(i_stream_read(input));
	say_received("with");
	close(fd);
	end();
}

static void corked(void)
{
	int fd = fd_of("f", "the file");

	begin();
	i_stream_unix_set_read_fd(input);
	o_stream_cork(output);
	NUM(o_stream_unix_write_fd(output, fd));
	CALL(o_stream_send_str(output, "hel"));
	CALL(o_stream_send_str(output, "lo"));
	NUM(i_stream_read(input));
	o_stream_uncork(output);
	NUM(i_stream_read(input));
	say_data("uncorked", input);
	say_received("uncorked");
	close(fd);
	end();
}

static void peer_is_gone(void)
{
	int fd = fd_of("f", "the file");

	begin();
	close(sockets[1]);
	sockets[1] = -1;
	NUM(o_stream_unix_write_fd(output, fd));
	CALL(o_stream_send_str(output, "hello"));
	say_ostream("gone", output);
	o_stream_ignore_last_errors(output);
	o_stream_abort(output);
	o_stream_destroy(&output);
}

static void ends(void)
{
	begin();
	CALL(o_stream_send_str(output, "hello"));
	shutdown(sockets[0], SHUT_WR);
	i_stream_unix_set_read_fd(input);
	say_rest("ended", input);
	say_received("ended");
	end();
}

const struct compat_case compat_unix[] = {
	{ "unix bytes", bytes },
	{ "unix descriptor", descriptor },
	{ "unix one at a time", one_at_a_time },
	{ "unix not asked for", not_asked_for },
	{ "unix asked for in vain", asked_for_in_vain },
	{ "unix corked", corked },
	{ "unix peer is gone", peer_is_gone },
	{ "unix ends", ends },
	{ NULL, NULL }
};
