/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_COMPAT_CASE_H
#define BOBBIN_COMPAT_CASE_H

/* Programs that are written for Dovecot's documented names and are compiled
   twice: for libdovecot (COMPAT_DOVECOT) and for Bobbin. The include lines are
   all that differs; what the two print is compared by tests/compat.sh. */

#ifdef COMPAT_DOVECOT
#include "config.h"
#include "lib.h"
#include "buffer.h"
#include "hash-method.h"
#include "ioloop.h"
#include "iostream-proxy.h"
#include "iostream-pump.h"
#include "iostream-rawlog.h"
#include "iostream-temp.h"
#include "istream.h"
#include "istream-base64.h"
#include "istream-callback.h"
#include "istream-chain.h"
#include "istream-concat.h"
#include "istream-crlf.h"
#include "istream-dot.h"
#include "istream-failure-at.h"
#include "istream-hash.h"
#include "istream-multiplex.h"
#include "istream-nonuls.h"
#include "istream-qp.h"
#include "istream-rawlog.h"
#include "istream-seekable.h"
#include "istream-sized.h"
#include "istream-tee.h"
#include "istream-timeout.h"
#include "istream-try.h"
#include "istream-unix.h"
#include "istream-zlib.h"
#include "ostream.h"
#include "ostream-dot.h"
#include "ostream-failure-at.h"
#include "ostream-hash.h"
#include "ostream-multiplex.h"
#include "ostream-null.h"
#include "ostream-rawlog.h"
#include "ostream-unix.h"
#include "ostream-zlib.h"

#if DOVECOT_VERSION_MAJOR == 2 && DOVECOT_VERSION_MINOR < 4
/* 2.3 has a bool where 2.4 has flags: whether the last line end is given */
#define ISTREAM_DOT_TRIM_TRAIL 0x01
#define i_stream_create_dot(input, flags) \
	i_stream_create_dot(input, ((flags)&ISTREAM_DOT_TRIM_TRAIL) == 0)
/* 2.3 knows packets only */
#define o_stream_create_multiplex(parent, bufsize, format) \
	o_stream_create_multiplex(parent, bufsize)
#endif
#else
#include <bobbin/buffer.h>
#include <bobbin/hash-method.h>
#include <bobbin/ioloop.h>
#include <bobbin/iostream-proxy.h>
#include <bobbin/iostream-pump.h>
#include <bobbin/iostream-rawlog.h>
#include <bobbin/iostream-temp.h>
#include <bobbin/istream.h>
#include <bobbin/ostream.h>

#include <string.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A buffer for input streams, in bytes. Unlike an output stream's it has to be
   given. */
#define BLOCK 8192

/* One case runs in a process and an empty directory of its own; what it says,
   and how it ended (a panic's text, too), is its part of the transcript. */
struct compat_case {
	const char *name;
	void (*run)(void);
};
/* Of each source, ended by a NULL name. */
extern const struct compat_case compat_ostream_life[];
extern const struct compat_case compat_ostream_errors[];
extern const struct compat_case compat_ostream_buffer[];
extern const struct compat_case compat_ostream_file[];
extern const struct compat_case compat_ostream_pipe[];
extern const struct compat_case compat_ostream_callback[];
extern const struct compat_case compat_ostream_filters[];
extern const struct compat_case compat_istream_read[];
extern const struct compat_case compat_istream_seek[];
extern const struct compat_case compat_istream_lines[];
extern const struct compat_case compat_istream_filters[];
extern const struct compat_case compat_send_istream[];
extern const struct compat_case compat_compression[];
extern const struct compat_case compat_multiplex[];
extern const struct compat_case compat_pump[];
extern const struct compat_case compat_iostream_temp[];
extern const struct compat_case compat_iostream_rawlog[];
extern const struct compat_case compat_istream_seekable[];
extern const struct compat_case compat_istream_timeout[];
extern const struct compat_case compat_istream_parts[];
extern const struct compat_case compat_istream_several[];
extern const struct compat_case compat_unix[];

/* A line of the transcript. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The name of an errno, "0" for none. */
const char *errno_name(int error);
/* Bytes as C would write them; valid for the next eight calls. Long ones are
   shown by their size and a checksum. NULL is (null). */
const char *shown(const void *data, size_t size);
const char *shown_str(const char *str);
/* All of a file, shown. */
const char *shown_file(const char *path);
void write_file(const char *path, const char *text);
/* Text of this size that never repeats soon; free() it. */
char *make_text(size_t size);

/* A non-blocking pipe (fds[1] is written to) of 4096 bytes. */
void make_pipe(int fds[2]);
/* Fills a pipe until it is full, but for `room` bytes (room <= 4096). */
void fill_pipe(int fds[2], size_t room);
/* Reads what is in the pipe without waiting, shown, without the fill_pipe()
   bytes. */
const char *drained(int fds[2]);

/* "EXPR = VALUE" */
#define NUM(expr) say("%s = %lld", #expr, (long long)(expr))
#define STR(expr) say("%s = %s", #expr, shown_str(expr))
/* The same for what is shown already. */
#define SHOWN(expr) say("%s = %s", #expr, expr)
/* A call that may fail: its answer, and errno where that is -1. */
#define CALL(expr) compat_call(#expr, (long long)(expr))
void compat_call(const char *expr, long long ret);
/* What may be seen of a stream from outside. */
void say_ostream(const char *when, struct ostream *stream);
void say_istream(const char *when, struct istream *stream);
/* What is buffered. */
void say_data(const char *when, struct istream *stream);
/* Reads and skips until the end, an error or "not now"; what came, shown. */
void say_rest(const char *when, struct istream *stream);

#endif
