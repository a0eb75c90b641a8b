/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_SPOOL_STACKS_H
#define BOBBIN_SPOOL_STACKS_H

/* What the native stores share: stacks, and reading what they wrote. Not
   installed. */

#include "buffer.h"
#include "spool-private.h"

/* Room for the text by which a record names a stack, with the NUL. */
#define SPOOL_STACK_SIZE 128

/* Those of the configuration: spool->stacks. Who only reads needs none, and has no
   mistakes in them. -1 with errno and *error_r. */
int spool_stacks_open(struct spool *spool, char **error_r);
void spool_stacks_close(struct spool_stacks *stacks);

/* A stack on top of a sink, which is referenced; NULL: the sink. */
struct ostream *spool_push_stack(const struct spool *spool,
				 const struct stack_spec *spec,
				 struct ostream *sink);
void spool_abort_stream(struct ostream **stream);
/* Finishes and destroys: the answer, with io_set_error(). */
int spool_finish_stream(struct ostream **stream);
/* Making the record of a message's headers failed: the answer. */
int spool_record_fail(const struct spool *spool, const message_id *id,
		      int error);
/* What is stored of a message's headers, or (`states`) of states alone: the record,
   through its stack. NULL: *answer_r, with io_set_error(). */
buffer_t *spool_make_headers(const struct spool *spool,
			     const email_message *message, bool states,
			     int *answer_r);

/* The stack that a record names, undone; the source is referenced. */
struct istream *spool_undo_stack(const struct spool *spool, const char *stack,
				 struct istream *source);
/* Reads all of a headers' record, within its bound: the answer. */
int spool_read_record(struct istream *input, buffer_t *record);
/* Fills the message from that; version and length are what the store knows: the
   answer. */
int spool_parse_record(email_message *message, const buffer_t *record,
		       uint64_t version, uint64_t body_len);
/* Adds what a record of states says, whose version that is. */
int spool_parse_states(email_message *message, const buffer_t *record,
		       uint64_t version);
/* Whether there is a key for a stack that needs one; without, a checksum has to
   do. */
bool spool_can_decode(const struct spool *spool, const char *stack);
/* Whether what is stored is what was given: then it need not be read twice to see
   whether it is whole. */
bool spool_is_plain(const char *stack);
/* Reads all: 0, or the errno with io_set_error(). */
int spool_read_through(struct istream *input, uint64_t *size_r);
/* What is stored has the checksum of what was written, and could not be read, with this
   errno and io_set_error(): it is not damaged, whatever its stack says (EINVAL, EPIPE).
   EBADMSG then, with io_set_error(); what has another reason (ENOKEY, EIO) or none (0)
   stays what it is. */
int spool_unreadable(int error);
/* spool-wire.c: what a body was found to be. */
struct spool_wire {
	uint64_t size; /* octets */
	char *why; /* it is no SMTP wire form; NULL: it is, or was not looked at */
};
/* Reads all of it, as above. */
int spool_read_wire(struct istream *body, struct spool_wire *wire);
/* Tells of that, if there is anything to tell, and forgets it: 0, or EILSEQ with
   io_set_error(). */
int spool_wire_fail(struct spool_wire *wire);
/* Shows a body's file, whose BLAKE2b is known: what is read to the end is what was
   written, or the stream fails with EINVAL. */
#define SPOOL_HASH_SIZE 32
struct istream *spool_check_file(struct istream *file,
				 const unsigned char hash[SPOOL_HASH_SIZE]);

#endif
