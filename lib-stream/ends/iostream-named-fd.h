/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_IOSTREAM_NAMED_FD_H
#define BOBBIN_IOSTREAM_NAMED_FD_H

/* Descriptors that are open already and have paths: /dev/stdin, /dev/stdout,
   /dev/fd/N, /proc/self/fd/N, and symbolic links to these. open() would begin
   at the first byte of the file behind one, and realpath() would give that
   file's name: who names a descriptor means neither. Not installed. */

#include "types.h"

struct istream;
struct ostream;

/* Whether the path is the name of a descriptor. *fd_r gets its number, which need
   not be an open one; -1: it is another process's. */
bool path_names_fd(const char *path, int *fd_r);

/* A stream over a duplicate of the descriptor that the path names: it goes on
   where that one stands, and leaves it behind what was written, or read. NULL
   where path names none. One that is not open, or not for that, is EBADF; what
   is another process's is opened, and a file behind it appended to. */
struct ostream *o_stream_create_named_fd(const char *path);
struct istream *i_stream_create_named_fd(const char *path);

#endif
