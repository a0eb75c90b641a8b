/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output to regular files. */

#include "compat-case.h"

#include <sys/stat.h>

static void creates_and_truncates(void)
{
	struct ostream *s = o_stream_create_file("f", 0, 0640, 0);
	struct stat st;

	umask(0);
	NUM(s->blocking);
	NUM(o_stream_get_fd(s) >= 0);
	CALL(o_stream_send_str(s, "long text"));
	SHOWN(shown_file("f"));
	STR(o_stream_get_name(s));
	o_stream_destroy(&s);
	s = o_stream_create_file("f", 0, 0600, 0);
	CALL(o_stream_send_str(s, "short"));
	NUM(o_stream_finish(s));
	o_stream_destroy(&s);
	SHOWN(shown_file("f"));
	s = o_stream_create_file("g", 0, 0604, 0);
	o_stream_destroy(&s);
	NUM(stat("g", &st) == 0 && (st.st_mode & 0777) == 0604);
}

static void appends(void)
{
	struct ostream *s;

	write_file("f", "12345");
	s = o_stream_create_file("f", 0, 0600, OSTREAM_CREATE_FILE_FLAG_APPEND);
	NUM(s->offset);
	CALL(o_stream_send_str(s, "67"));
	o_stream_destroy(&s);
	SHOWN(shown_file("f"));
	s = o_stream_create_file("f", 2, 0600, OSTREAM_CREATE_FILE_FLAG_APPEND);
	NUM(s->offset);
	CALL(o_stream_send_str(s, "xx"));
	NUM(s->offset);
	o_stream_destroy(&s);
	SHOWN(shown_file("f"));
}

static void from_an_offset(void)
{
	struct ostream *s;
	int fd;

	write_file("f", "0123456789");
	fd = open("f", O_RDWR);
	NUM(lseek(fd, 1, SEEK_SET));
	s = o_stream_create_fd_file(fd, 4, false);
	NUM(s->offset);
	CALL(o_stream_send_str(s, "ab"));
	NUM(s->offset);
	o_stream_destroy(&s);
	NUM(fcntl(fd, F_GETFD) >= 0);
	SHOWN(shown_file("f"));
	NUM(lseek(fd, 7, SEEK_SET));
	s = o_stream_create_fd_file_autoclose(&fd, UOFF_T_MAX);
	NUM(fd);
	NUM(s->offset);
	CALL(o_stream_send_str(s, "XY"));
	fd = o_stream_get_fd(s);
	o_stream_destroy(&s);
	NUM(fcntl(fd, F_GETFD));
	SHOWN(shown_file("f"));
}

static void an_fd_of_a_file(void)
{
	struct ostream *s;
	int fd;

	write_file("f", "0123456789");
	fd = open("f", O_RDWR);
	NUM(lseek(fd, 3, SEEK_SET));
	s = o_stream_create_fd(fd, 0);
	NUM(s->offset);
	CALL(o_stream_send_str(s, "ab"));
	NUM(s->offset);
	NUM(o_stream_get_max_buffer_size(s) > 0);
	o_stream_destroy(&s);
	SHOWN(shown_file("f"));
	s = o_stream_create_fd_autoclose(&fd, 0);
	NUM(fd);
	o_stream_destroy(&s);
}

static void corked(void)
{
	struct ostream *s = o_stream_create_file("f", 0, 0600, 0);

	o_stream_cork(s);
	CALL(o_stream_send_str(s, "abc"));
	SHOWN(shown_file("f"));
	NUM(o_stream_get_buffer_used_size(s));
	NUM(s->offset);
	o_stream_uncork(s);
	SHOWN(shown_file("f"));
	NUM(o_stream_get_buffer_used_size(s));
	o_stream_cork(s);
	CALL(o_stream_send_str(s, "def"));
	NUM(o_stream_flush(s));
	SHOWN(shown_file("f"));
	CALL(o_stream_send_str(s, "ghi"));
	o_stream_destroy(&s);
	SHOWN(shown_file("f"));
}

static void corked_much(void)
{
	struct ostream *s = o_stream_create_file("f", 0, 0600, 0);
	char *text = make_text(500000);

	o_stream_cork(s);
	for (int i = 0; i < 5000; i++)
		o_stream_nsend(s, text + i * 100, 100);
	NUM(s->offset);
	o_stream_nsend(s, text, 500000);
	NUM(o_stream_finish(s));
	o_stream_destroy(&s);
	SHOWN(shown_file("f"));
	free(text);
}

static void seeks(void)
{
	struct ostream *s = o_stream_create_file("f", 0, 0600, 0);

	CALL(o_stream_send_str(s, "0123456789"));
	CALL(o_stream_seek(s, 2));
	NUM(s->offset);
	CALL(o_stream_send_str(s, "ab"));
	SHOWN(shown_file("f"));
	o_stream_cork(s);
	CALL(o_stream_send_str(s, "cd"));
	CALL(o_stream_seek(s, 12));
	CALL(o_stream_send_str(s, "z"));
	NUM(o_stream_finish(s));
	NUM(s->offset);
	o_stream_destroy(&s);
	SHOWN(shown_file("f"));
}

/* 10 bytes are written, 20 are buffered. */
static void pwrites_while_corked(void)
{
	struct ostream *s = o_stream_create_file("f", 0, 0600, 0);

	for (uoff_t at = 0; at < 34; at += 3) {
		CALL(o_stream_seek(s, 0));
		CALL(o_stream_send_str(s, "aaaaaaaaaa"));
		o_stream_cork(s);
		CALL(o_stream_send_str(s, "bbbbbbbbbbbbbbbbbbbb"));
		say("at %llu", (unsigned long long)at);
		CALL(o_stream_pwrite(s, "CDEFGH", 6, at));
		NUM(s->offset);
		o_stream_uncork(s);
		NUM(o_stream_flush(s));
		SHOWN(shown_file("f"));
		NUM(truncate("f", 0));
	}
	o_stream_destroy(&s);
}

static void many_vectors(void)
{
	static struct const_iovec iov[3000];
	struct ostream *s = o_stream_create_file("f", 0, 0600, 0);
	char *text = make_text(3000);

	for (int i = 0; i < 3000; i++) {
		iov[i].iov_base = text + i;
		iov[i].iov_len = 1;
	}
	CALL(o_stream_sendv(s, iov, 3000));
	NUM(o_stream_finish(s));
	o_stream_destroy(&s);
	SHOWN(shown_file("f"));
	free(text);
}

static void no_seeking_elsewhere(void)
{
	struct ostream *end = o_stream_create_null();
	struct ostream *s = o_stream_create_failure_at(end, 100, "no");
	int fds[2];

	CALL(o_stream_pwrite(s, "x", 1, 0));
	say("errno %s", errno_name(s->stream_errno));
	o_stream_destroy(&s);
	s = o_stream_create_failure_at(end, 100, "no");
	CALL(o_stream_seek(s, 0));
	say("errno %s", errno_name(s->stream_errno));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	make_pipe(fds);
	s = o_stream_create_fd(fds[1], 0);
	CALL(o_stream_pwrite(s, "x", 1, 0));
	say("errno %s", errno_name(s->stream_errno));
	o_stream_destroy(&s);
	s = o_stream_create_fd(fds[1], 0);
	CALL(o_stream_seek(s, 0));
	say("errno %s", errno_name(s->stream_errno));
	o_stream_destroy(&s);
}

static void a_full_disk(void)
{
	int fd = open("/dev/full", O_WRONLY);
	struct ostream *s = o_stream_create_fd_autoclose(&fd, 0);

	o_stream_nsend_str(s, "x");
	say("errno %s", errno_name(s->stream_errno));
	CALL(o_stream_finish(s));
	CALL(o_stream_finish(s));
	say_ostream("named by nobody", s);
	o_stream_destroy(&s);
}

const struct compat_case compat_ostream_file[] = {
	{ "ostream-file creates and truncates", creates_and_truncates },
	{ "ostream-file appends", appends },
	{ "ostream-file from an offset", from_an_offset },
	{ "ostream-file an fd of a file", an_fd_of_a_file },
	{ "ostream-file corked", corked },
	{ "ostream-file corked much", corked_much },
	{ "ostream-file seeks", seeks },
	{ "ostream-file pwrites while corked", pwrites_while_corked },
	{ "ostream-file many vectors", many_vectors },
	{ "ostream-file no seeking elsewhere", no_seeking_elsewhere },
	{ "ostream-file full disk", a_full_disk },
	{ NULL, NULL }
};
