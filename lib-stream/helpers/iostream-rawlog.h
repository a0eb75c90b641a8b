/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_IOSTREAM_RAWLOG_H
#define BOBBIN_IOSTREAM_RAWLOG_H

/* Logs of what passes through a pair of streams, byte for byte, for whoever has to
   find out what two programs said to each other. What is logged is what was read
   (once, also where the stream is seeked back) and what was accepted for sending. A
   log that cannot be written any more ends, and the stream goes on without it: a log
   has to be watched by other means. Logs hold what passes in clear: passwords, mail. */

#include "types.h"

BOBBIN_BEGIN_DECLS

struct istream;
struct ostream;

enum iostream_rawlog_flags {
	/* The log's fd is closed with the stream. */
	IOSTREAM_RAWLOG_FLAG_AUTOCLOSE = 0x01,
	/* Whole lines are written, when they have come to their end: for a log of
	   several streams. A line of more than 8 KiB, and one that has not ended with
	   the stream, is cut into lines of the log. */
	IOSTREAM_RAWLOG_FLAG_BUFFERED = 0x02,
	/* "SECONDS.MICROSECONDS " of the wall clock before each line; with BUFFERED
	   also "I: " (what was read) or "O: " (what was sent), or "I> " and "O> "
	   where the line goes on behind this piece. */
	IOSTREAM_RAWLOG_FLAG_TIMESTAMP = 0x04
};

/* Puts a logging stream on *input and on *output, in place of the reference that is
   there: it is the new streams' then. The logs are new files in this directory (which
   has to be there), whose names are the time, the process, something random, and .in
   or .out. 0, or -1 with errno, and nothing has changed. */
int iostream_rawlog_create(const char *dir, struct istream **input,
			   struct ostream **output);
/* The same with the files PREFIX.in and PREFIX.out, which are appended to. */
int iostream_rawlog_create_prefix(const char *prefix, struct istream **input,
				  struct ostream **output);
/* The same with one file, which is appended to, BUFFERED and with TIMESTAMP. */
int iostream_rawlog_create_path(const char *path, struct istream **input,
				struct ostream **output);
/* The same with a stream, whose reference becomes the two streams'. Its errors end the
   log; it may be finished or closed before them, and is finished with the last one
   where nobody else refers to it. */
void iostream_rawlog_create_from_stream(struct ostream *rawlog_output,
					struct istream **input,
					struct ostream **output);

/* All of input, which is logged to rawlog_fd; rawlog_path is for names. Several logs
   may have one fd. A reference on input is taken. */
struct istream *i_stream_create_rawlog(struct istream *input,
				       const char *rawlog_path, int rawlog_fd,
				       enum iostream_rawlog_flags flags);
/* The same with the log as a stream, whose reference becomes this one's. */
struct istream *
i_stream_create_rawlog_from_stream(struct istream *input,
				   struct ostream *rawlog_output,
				   enum iostream_rawlog_flags flags);
/* As i_stream_create_rawlog() and i_stream_create_rawlog_from_stream(), for what is sent:
   all that output takes is logged. A reference on output is taken. */
struct ostream *o_stream_create_rawlog(struct ostream *output,
				       const char *rawlog_path, int rawlog_fd,
				       enum iostream_rawlog_flags flags);
struct ostream *
o_stream_create_rawlog_from_stream(struct ostream *output,
				   struct ostream *rawlog_output,
				   enum iostream_rawlog_flags flags);

BOBBIN_END_DECLS

#endif
