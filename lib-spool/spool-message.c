/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Messages as a whole: body and headers, in the order that a crash may interrupt. */

#include "config.h"
#include "spool.h"

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

int spool_remove(struct spool *spool, const message_id *id)
{
	int result;

	result = spool_unlinkheaders(spool, IO_SYNCHRONOUS, id);
	if (result == IO_DONE)
		result = spool_unlinkbody(spool, IO_SYNCHRONOUS, id);
	return result;
}
