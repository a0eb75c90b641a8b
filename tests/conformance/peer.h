/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_CONFORMANCE_PEER_H
#define BOBBIN_CONFORMANCE_PEER_H

/* A program for each library, each with the same face:

       peer read FORMAT FILE     plain bytes to stdout
       peer write FORMAT FILE    stdin, compressed, into the FILE that is there

   Exit status 0: the library said that all is well. 1: it reported an error, whose
   text is on stderr. 2: it has no such format. FORMAT is gzip, bzip2, xz, zstd or
   lz4. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PEER_OK 0
#define PEER_ERROR 1
#define PEER_LACKS 2

static inline int peer_failed(const char *why)
{
	fprintf(stderr, "%s\n",
		why != NULL && *why != '\0' ? why : "(no text)");
	return PEER_ERROR;
}

/* What was decoded. The driver takes all of it. */
static inline void peer_put(const void *data, size_t size)
{
	if (fwrite(data, 1, size, stdout) != size)
		abort();
}

static inline int
peer_main(int argc, char *argv[],
	  int (*do_read)(const char *format, const char *path),
	  int (*do_write)(const char *format, const char *path))
{
	int status;

	if (argc != 4) {
		fprintf(stderr, "usage: peer read|write FORMAT FILE\n");
		return 64;
	}
	status = strcmp(argv[1], "read") == 0 ? do_read(argv[2], argv[3]) :
						do_write(argv[2], argv[3]);
	if (fflush(stdout) != 0)
		abort();
	return status;
}

#endif
