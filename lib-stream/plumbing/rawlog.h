/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_RAWLOG_H
#define BOBBIN_RAWLOG_H

/* The log that a logging stream writes. Not installed. */

#include "buffer.h"
#include "helpers/iostream-rawlog.h"

struct rawlog {
	struct ostream *output; /* NULL: the log has ended */
	int close_fd;
	enum iostream_rawlog_flags flags;
	char direction;
	buffer_t *line; /* BUFFERED: what has come of a line */
	bool in_line;   /* not BUFFERED: a line was begun */
};

/* The output's reference becomes the log's. direction: 'I' or 'O'. */
void rawlog_init(struct rawlog *log, struct ostream *output,
		 enum iostream_rawlog_flags flags, char direction);
/* An output stream for rawlog_init(), to an fd of the caller's. */
struct ostream *rawlog_fd_output(const char *path, int fd);
void rawlog_write(struct rawlog *log, const void *data, size_t size);
/* Writes a line that was begun, and lets go of the output. */
void rawlog_end(struct rawlog *log);

#endif
