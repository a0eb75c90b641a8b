/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Messages as a whole: body and headers, in the order that a crash may interrupt. */

#include "config.h"
#include "spool.h"

#include <errno.h>
#include <stdlib.h>

int spool_put(struct spool *spool, email_message *message)
{
	int result;

	result = spool_writebody(spool, IO_SYNCHRONOUS, message, 0);
	if (result == IO_DONE)
		result = spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0);
	return result;
}

int spool_get(struct spool *spool, const message_id *id,
	      email_message **message_r)
{
	email_message *message = email_message_new(id);
	int result;

	result = spool_readheaders(spool, IO_SYNCHRONOUS, message);
	if (result == IO_DONE)
		result = spool_readbody(spool, IO_SYNCHRONOUS, message);
	if (result == IO_DONE)
		*message_r = message;
	else
		email_message_unref(&message);
	return result;
}

/* A quota is a disk, too. */
static bool is_full_disk(int error)
{
	return error == ENOSPC || error == EDQUOT;
}

/* Nobody has a claim on a message here, so others can be moved. */
static bool make_room(struct spool *spool)
{
	uint64_t moved;
	char *error = NULL;
	int ret = spool_compact(spool, &moved, &error);

	free(error);
	return ret == 0;
}

int spool_remove(struct spool *spool, const message_id *id)
{
	int result;

	result = spool_unlinkheaders(spool, IO_SYNCHRONOUS, id);
	/* a full disk may have room once what is left is packed */
	if (result == IO_TRANS_FAIL && is_full_disk(io_get_errno()) &&
	    make_room(spool))
		result = spool_unlinkheaders(spool, IO_SYNCHRONOUS, id);
	if (result == IO_DONE)
		result = spool_unlinkbody(spool, IO_SYNCHRONOUS, id);
	return result;
}
