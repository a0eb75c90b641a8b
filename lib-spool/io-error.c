/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The error text of a thread's last call. */

#include "config.h"
#include "io-infrastructure.h"
#include "ostream-private.h"
#include "spool-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char thread_error[IO_ERROR_SIZE];
static _Thread_local int thread_errno;

void io_set_error(const char *fmt, ...)
{
	char text[IO_ERROR_SIZE];
	va_list args;

	thread_errno = errno;
	/* the old text may be among the arguments */
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)snprintf(thread_error, sizeof(thread_error), "%s", text);
}

void io_clear_error(void)
{
	errno = thread_errno = 0;
	thread_error[0] = '\0';
}

void io_keep_error(struct io_kept_error *kept_r)
{
	memcpy(kept_r->text, thread_error, sizeof(kept_r->text));
	kept_r->error = thread_errno;
}

void io_put_back_error(const struct io_kept_error *kept)
{
	memcpy(thread_error, kept->text, sizeof(thread_error));
	thread_errno = kept->error;
}

const char *io_get_error(void)
{
	return thread_error;
}

int io_get_errno(void)
{
	return thread_errno;
}

int io_answer_for_errno(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
	case EIO:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case EAGAIN:
	case EINTR:
	case ETIMEDOUT:
	case EROFS:
	case ESTALE:
	/* of a connection that a body comes from, and of who gave up */
	case ECONNRESET:
	case ECONNABORTED:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ECANCELED:
	/* a wrong owner, a policy, or a directory that was replaced: for an
	   administrator to mend, and no reason to bounce mail */
	case EACCES:
	case EPERM:
	case ENOTDIR:
		return IO_TRANS_FAIL;
	default:
		return IO_FAIL;
	}
}

int io_answer_for_output(int error)
{
	/* a limit of this process's, and a key, or its file, that is not at hand */
	return error == EFBIG || error == ENOKEY || error == ENOENT ?
		IO_TRANS_FAIL :
		io_answer_for_errno(error);
}

int io_fail_output(struct ostream *output)
{
	const struct ostream *end = output;
	int error = output->stream_errno;

	while (end->real_stream->parent != NULL)
		end = end->real_stream->parent;
	errno = error;
	io_set_error("%s", o_stream_get_error(output));
	/* the layer "limit" says so of the message, and will again */
	if (error == EFBIG && end->stream_errno != EFBIG)
		return IO_FAIL;
	return io_answer_for_output(error);
}

int io_refuse(int error, const char *text)
{
	errno = error;
	io_set_error("%s", text);
	return IO_FAIL;
}

int io_refuse_forked(const struct spool *spool)
{
	errno = EPERM;
	io_set_error("the spool belongs to the process that opened it, pid "
		     "%ld: a child that fork() made cannot change it (open it "
		     "after fork() or daemon())",
		     (long)spool->owner);
	return IO_FAIL;
}

int io_fail_message(const char *what, const message_id *id, int error)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(id, text);
	errno = error;
	io_set_error("%s of message %s failed: %s", what, text,
		     strerror(error));
	return io_answer_for_errno(error);
}

int spool_fail_message(const struct spool *spool, const char *what,
		       const message_id *id, int error)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(id, text);
	errno = error;
	io_set_error("%s: %s of message %s failed: %s", spool->dir, what, text,
		     strerror(error));
	return io_answer_for_errno(error);
}
