/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Logs for a pair of streams: opens the files, and puts a logging stream on each. */

#include "config.h"
#include "helpers/iostream-rawlog.h"
#include "file-ops.h"
#include "istream.h"
#include "mem.h"
#include "ostream.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <time.h>
#include <unistd.h>

static int open_log(const char *path)
{
	return file_open(AT_FDCWD, path,
			 O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY,
			 0600);
}

/* The same, and whether there was no such file before. */
static int make_log(const char *path, bool *made_r)
{
	int fd = file_open(AT_FDCWD, path,
			   O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC |
				   O_NOCTTY,
			   0600);

	*made_r = fd >= 0;
	return fd < 0 && errno == EEXIST ? open_log(path) : fd;
}

/* The new streams take the places of the old ones. */
static void replace(struct istream **input, struct istream *new_input,
		    struct ostream **output, struct ostream *new_output)
{
	i_stream_unref(input);
	*input = new_input;
	o_stream_unref(output);
	*output = new_output;
}

static int create_pair(const char *in_path, const char *out_path,
		       struct istream **input, struct ostream **output)
{
	const enum iostream_rawlog_flags flags =
		IOSTREAM_RAWLOG_FLAG_AUTOCLOSE | IOSTREAM_RAWLOG_FLAG_TIMESTAMP;
	int in_fd, out_fd, error;
	bool made;

	in_fd = make_log(in_path, &made);
	if (in_fd < 0)
		return -1;
	out_fd = open_log(out_path);
	if (out_fd < 0) {
		error = errno;
		(void)file_close(&in_fd);
		if (made)
			(void)file_ops()->unlinkat(AT_FDCWD, in_path, 0);
		errno = error;
		return -1;
	}
	replace(input, i_stream_create_rawlog(*input, in_path, in_fd, flags),
		output,
		o_stream_create_rawlog(*output, out_path, out_fd, flags));
	return 0;
}

int iostream_rawlog_create_prefix(const char *prefix, struct istream **input,
				  struct ostream **output)
{
	char *in_path = i_strdup_printf("%s.in", prefix);
	char *out_path = i_strdup_printf("%s.out", prefix);
	int ret, error;

	ret = create_pair(in_path, out_path, input, output);
	error = errno;
	i_free(in_path);
	i_free(out_path);
	errno = error;
	return ret;
}

int iostream_rawlog_create(const char *dir, struct istream **input,
			   struct ostream **output)
{
	char stamp[sizeof("20260101-000000") + 16] = "";
	time_t now = time(NULL);
	struct tm tm;
	char *prefix;
	int ret, error;

	if (localtime_r(&now, &tm) != NULL)
		(void)strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm);
	prefix = i_strdup_printf("%s/%s.%ld.%08x", dir, stamp, (long)getpid(),
				 randombytes_random());
	ret = iostream_rawlog_create_prefix(prefix, input, output);
	error = errno;
	i_free(prefix);
	errno = error;
	return ret;
}

int iostream_rawlog_create_path(const char *path, struct istream **input,
				struct ostream **output)
{
	int fd = open_log(path);
	struct ostream *log;

	if (fd < 0)
		return -1;
	log = o_stream_create_fd_autoclose(&fd, 0);
	o_stream_set_name(log, path);
	o_stream_set_no_error_handling(log, true);
	iostream_rawlog_create_from_stream(log, input, output);
	return 0;
}

void iostream_rawlog_create_from_stream(struct ostream *rawlog_output,
					struct istream **input,
					struct ostream **output)
{
	const enum iostream_rawlog_flags flags = IOSTREAM_RAWLOG_FLAG_BUFFERED |
		IOSTREAM_RAWLOG_FLAG_TIMESTAMP;

	/* each of the two has one */
	o_stream_ref(rawlog_output);
	replace(input,
		i_stream_create_rawlog_from_stream(*input, rawlog_output,
						   flags),
		output,
		o_stream_create_rawlog_from_stream(*output, rawlog_output,
						   flags));
}
