/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Lets a number of bytes pass and fails at the next one: on purpose, for tests,
   or as a limit. Or fails at the flush. */

#include "config.h"
#include "ostream-private.h"

#include <errno.h>
#include <stdio.h>

struct failure_at_ostream {
	struct ostream_private ostream;
	char *error_string;
	int error_errno;
	uoff_t left; /* bytes that still pass */
	bool at_flush;
};

static struct failure_at_ostream *
failure_at_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct failure_at_ostream, ostream);
}

static int fail_now(struct failure_at_ostream *fstream)
{
	return o_stream_fail(&fstream->ostream, fstream->error_errno, "%s",
			     fstream->error_string);
}

/* Sends what may still pass of one piece. What is sent (the failure may come behind it),
   or -1. */
static ssize_t send_piece(struct failure_at_ostream *fstream,
			  const struct const_iovec *iov)
{
	struct const_iovec piece = *iov;
	ssize_t ret;

	piece.iov_len = (size_t)I_MIN((uoff_t)iov->iov_len, fstream->left);
	ret = o_stream_pass_parent(&fstream->ostream, &piece, 1);
	if (ret < 0)
		return -1;
	fstream->left -= (uoff_t)ret;
	if ((size_t)ret < piece.iov_len || piece.iov_len == iov->iov_len)
		return ret;
	(void)fail_now(fstream);
	return o_stream_passed((size_t)ret);
}

static ssize_t o_stream_failure_at_sendv(struct ostream_private *stream,
					 const struct const_iovec *iov,
					 unsigned int iov_count)
{
	size_t total = 0;
	unsigned int i;
	ssize_t ret;

	for (i = 0; i < iov_count; i++) {
		ret = send_piece(failure_at_ostream(stream), &iov[i]);
		if (ret < 0)
			return o_stream_passed(total);
		total += (size_t)ret;
		if ((size_t)ret < iov[i].iov_len)
			break;
	}
	return (ssize_t)total;
}

static int o_stream_failure_at_flush(struct ostream_private *stream,
				     enum ostream_flush_mode mode)
{
	struct failure_at_ostream *fstream = failure_at_ostream(stream);

	if (fstream->at_flush)
		return fail_now(fstream);
	return o_stream_flush_parent(stream, mode);
}

static void o_stream_failure_at_destroy(struct iostream_private *stream)
{
	struct failure_at_ostream *fstream = container_of(
		stream, struct failure_at_ostream, ostream.iostream);

	i_free(fstream->error_string);
}

static struct ostream *create(struct ostream *output, uoff_t failure_offset,
			      bool at_flush, int error_errno,
			      const char *error_string)
{
	struct failure_at_ostream *fstream =
		i_new(struct failure_at_ostream, 1);

	fstream->left = failure_offset;
	fstream->at_flush = at_flush;
	fstream->error_errno = error_errno;
	fstream->error_string = i_strdup(error_string);
	fstream->ostream.sendv = o_stream_failure_at_sendv;
	fstream->ostream.flush = o_stream_failure_at_flush;
	fstream->ostream.iostream.destroy = o_stream_failure_at_destroy;
	return o_stream_create(&fstream->ostream, output, -1);
}

struct ostream *o_stream_create_failure_at(struct ostream *output,
					   uoff_t failure_offset,
					   const char *error_string)
{
	return create(output, failure_offset, false, EIO, error_string);
}

struct ostream *o_stream_create_failure_at_flush(struct ostream *output,
						 const char *error_string)
{
	return create(output, UOFF_T_MAX, true, EIO, error_string);
}

struct ostream *o_stream_create_limit(struct ostream *output, uoff_t max_size)
{
	char text[80];

	(void)snprintf(text, sizeof(text),
		       "the output is larger than its limit of %llu bytes",
		       (unsigned long long)max_size);
	return create(output, max_size, false, EFBIG, text);
}
