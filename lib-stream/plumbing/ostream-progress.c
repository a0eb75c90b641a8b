/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Passes everything on, and tells how much that was. */

#include "config.h"
#include "ostream-private.h"

#include <errno.h>

struct progress_ostream {
	struct ostream_private ostream;
	uoff_t step;
	uoff_t passed, told;
	stream_progress_callback_t *callback;
	void *context;
};

static struct progress_ostream *progress_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct progress_ostream, ostream);
}

/* 0, or -1 where the callback said no. */
static int tell(struct progress_ostream *progress)
{
	progress->told = progress->passed;
	if (progress->callback(progress->told, progress->context))
		return 0;
	return o_stream_fail(&progress->ostream, ECANCELED,
			     "%s: writing was cancelled after %llu bytes",
			     o_stream_get_name(&progress->ostream.ostream),
			     (unsigned long long)progress->told);
}

static ssize_t o_stream_progress_sendv(struct ostream_private *stream,
				       const struct const_iovec *iov,
				       unsigned int iov_count)
{
	struct progress_ostream *progress = progress_ostream(stream);
	ssize_t ret;

	ret = o_stream_pass_parent(stream, iov, iov_count);
	if (ret <= 0)
		return ret;
	progress->passed += (uoff_t)ret;
	/* a "no" is for the next call: these bytes were taken */
	if (progress->passed - progress->told >= progress->step)
		(void)tell(progress);
	return ret;
}

static int o_stream_progress_flush(struct ostream_private *stream,
				   enum ostream_flush_mode mode)
{
	struct progress_ostream *progress = progress_ostream(stream);
	int ret;

	ret = o_stream_flush_parent(stream, mode);
	if (ret > 0 && mode == OSTREAM_FINISH &&
	    progress->passed > progress->told && tell(progress) < 0)
		return -1;
	return ret;
}

struct ostream *o_stream_create_progress(struct ostream *output, uoff_t step,
					 stream_progress_callback_t *callback,
					 void *context)
{
	struct progress_ostream *progress = i_new(struct progress_ostream, 1);

	progress->step = step;
	progress->callback = callback;
	progress->context = context;
	progress->ostream.sendv = o_stream_progress_sendv;
	progress->ostream.flush = o_stream_progress_flush;
	return o_stream_create(&progress->ostream, output, -1);
}
