/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Standard output, and what is another name of it, as a file. */

#include "config.h"
#include "tool-common.h"
#include "istream.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void tool_buffer_stdout(void)
{
	static char buffer[64 * 1024];

	if (isatty(STDOUT_FILENO) == 0)
		(void)setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
}

/* Where the next byte goes. */
static off_t next_offset(int fd, const struct stat *st)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && (flags & O_APPEND) != 0)
		return st->st_size;
	return lseek(fd, 0, SEEK_CUR);
}

/* What is written may be read again, and the file grows until the disk is full. */
bool tool_reads_output(struct istream *input, int fd)
{
	const struct stat *in;
	struct stat out;

	if (fstat(fd, &out) < 0 || !S_ISREG(out.st_mode))
		return false;
	/* what cannot be looked at, reading it says */
	return i_stream_stat(input, false, &in) == 0 &&
		in->st_dev == out.st_dev && in->st_ino == out.st_ino &&
		next_offset(fd, &out) > (off_t)input->v_offset;
}
