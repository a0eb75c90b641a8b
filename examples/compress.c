/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Compresses stdin into a file that appears whole or not at all. */

#include <bobbin/istream.h>
#include <bobbin/ostream.h>

#include <stdio.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
	const char *path = argc > 1 ? argv[1] : "out.gz";
	struct istream *input = i_stream_create_fd(STDIN_FILENO, 0);
	struct ostream *file = o_stream_create_file_atomic(path, 0644, 0);
	struct ostream *output = o_stream_create_gzip(file, 6);
	int ret;

	o_stream_unref(&file); /* the filter above holds it now */
	o_stream_nsend_istream(output, input);
	ret = o_stream_finish(output); /* trailer, fdatasync, rename, fsync */
	if (ret < 0) {
		fprintf(stderr, "%s\n", o_stream_get_error(output));
		o_stream_abort(output);
	}
	o_stream_destroy(&output);
	i_stream_destroy(&input);
	return ret < 0 ? 1 : 0;
}
