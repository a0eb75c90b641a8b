/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Messages as a whole: body and headers, in the order that a crash may interrupt. */

#include "config.h"
#include "file-ops.h"
#include "spool-private.h"

#include <stdlib.h>

/* So often room is made for a removal: others may take it meanwhile. */
#define REMOVE_TRIES 20u

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

bool spool_make_room(struct spool *spool, int answer, unsigned int tries)
{
	uint64_t moved;
	char *error = NULL;

	if (answer != IO_TRANS_FAIL || !file_is_full_disk(io_get_errno()) ||
	    tries >= REMOVE_TRIES)
		return false;
	/* what fails is no matter: it may have been enough */
	(void)spool_compact(spool, &moved, &error);
	free(error);
	return true;
}

int spool_remove(struct spool *spool, const message_id *id)
{
	unsigned int tries = 0;
	int result;

	do {
		result = spool_unlinkheaders(spool, IO_SYNCHRONOUS, id);
	} while (spool_make_room(spool, result, tries++));
	if (result == IO_DONE)
		result = spool_unlinkbody(spool, IO_SYNCHRONOUS, id);
	return result;
}
