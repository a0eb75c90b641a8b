/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The stacks of a spool: what is written goes through those that its configuration
   names, what is read through those that each record names. */

#include "config.h"
#include "spool-stacks.h"
#include "hash-method.h"
#include "istream.h"
#include "mem.h"
#include "message-record.h"
#include "ostream.h"

#include <errno.h>
#include <string.h>

/*
 * The configuration
 */

static int conf_stack_fail(const struct spool *spool, const char *name,
			   int error, char *why, char **error_r)
{
	(void)spool_fail(error_r, error, "%s/" SPOOL_CONF_NAME ": %s: %s",
			 spool->dir, name, why);
	i_free(why);
	errno = error;
	return -1;
}

static bool names_keys(const struct stack_spec *spec)
{
	char *whole = stack_spec_format(spec, STACK_SPEC_WHOLE);
	char *settings = stack_spec_format(spec, STACK_SPEC_SETTINGS);
	bool differ = strcmp(whole, settings) != 0;

	i_free(whole);
	i_free(settings);
	return differ;
}

/* The path of a file would depend on where a program was started, and who takes one
   reader's key away should find all of them in one place. */
static int refuse_keys(const struct spool *spool, const char *name,
		       const struct stack_spec *spec, char **error_r)
{
	char *settings = stack_spec_format(spec, STACK_SPEC_SETTINGS);

	(void)spool_fail(error_r, EINVAL,
			 "%s/" SPOOL_CONF_NAME ": %s: it names keys: write "
			 "\"%s = %s\", and the public keys (\"age1...\"), one "
			 "a line, into %s/" SPOOL_RECIPIENTS_NAME,
			 spool->dir, name, name, settings, spool->dir);
	i_free(settings);
	errno = EINVAL;
	return -1;
}

/* The stack that the configuration calls by `name`, and its kinds for the
   records. */
static int parse_conf_stack(const struct spool *spool, const char *name,
			    const char *text, struct stack_spec **spec_r,
			    char **kinds_r, char **error_r)
{
	char *why;

	*spec_r = spool_parse_stack(text, &why);
	if (*spec_r == NULL && why != NULL)
		return conf_stack_fail(spool, name, errno, why, error_r);
	if (*spec_r != NULL && names_keys(*spec_r))
		return refuse_keys(spool, name, *spec_r, error_r);
	*kinds_r = *spec_r == NULL ?
		i_strdup("plain") :
		stack_spec_format(*spec_r, STACK_SPEC_DECODING);
	if (strlen(*kinds_r) >= SPOOL_STACK_SIZE)
		return spool_fail(error_r, EINVAL,
				  "%s/" SPOOL_CONF_NAME ": %s: the stack is "
				  "too long",
				  spool->dir, name);
	if (*spec_r == NULL ||
	    stack_spec_load_keys(*spec_r, true, &spool->keys, &why) == 0)
		return 0;
	if (errno != EDESTADDRREQ)
		return conf_stack_fail(spool, name, errno, why, error_r);
	i_free(why);
	return spool_fail(error_r, EINVAL,
			  "%s/" SPOOL_CONF_NAME ": %s = %s: it encrypts, and "
			  "%s/" SPOOL_RECIPIENTS_NAME ", which says for whom, "
			  "is missing: write a public key (\"age1...\") a line "
			  "into it",
			  spool->dir, name, text, spool->dir);
}

int spool_stacks_open(struct spool *spool, char **error_r)
{
	struct spool_stacks *stacks = &spool->stacks;

	/* who only reads goes by what each message says of itself */
	if ((spool->flags & SPOOL_OPEN_READ_ONLY) != 0)
		return 0;
	if (parse_conf_stack(spool, "body", spool->conf.body, &stacks->body,
			     &stacks->body_kinds, error_r) < 0 ||
	    parse_conf_stack(spool, "headers", spool->conf.headers,
			     &stacks->headers, &stacks->headers_kinds,
			     error_r) < 0)
		return -1;
	return 0;
}

void spool_stacks_close(struct spool_stacks *stacks)
{
	stack_spec_free(&stacks->body);
	stack_spec_free(&stacks->headers);
	i_free_and_null(stacks->body_kinds);
	i_free_and_null(stacks->headers_kinds);
}

/*
 * Writing
 */

struct ostream *spool_push_stack(const struct spool *spool,
				 const struct stack_spec *spec,
				 struct ostream *sink)
{
	if (spec == NULL) {
		o_stream_ref(sink);
		return sink;
	}
	return stack_spec_create_output(spec, &spool->keys, sink, NULL);
}

void spool_abort_stream(struct ostream **stream)
{
	o_stream_abort(*stream);
	o_stream_destroy(stream);
}

int spool_finish_stream(struct ostream **stream)
{
	int answer;

	if (o_stream_finish(*stream) > 0) {
		o_stream_destroy(stream);
		return IO_DONE;
	}
	answer = io_fail_output(*stream);
	spool_abort_stream(stream);
	return answer;
}

int spool_record_fail(const struct spool *spool, const message_id *id,
		      int error)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	if (error != EFBIG)
		return spool_fail_message(spool, "making the headers' record",
					  id, error);
	message_id_to_text(id, text);
	errno = error;
	io_set_error("%s: the headers of message %s are larger than %zu MiB, "
		     "more than is ever read again: fewer recipients, shorter "
		     "reasons or fewer values make them smaller",
		     spool->dir, text, MESSAGE_RECORD_MAX / 1048576);
	return IO_FAIL;
}

/* The record through its stack; NULL: *answer_r. */
static buffer_t *push_headers(const struct spool *spool,
			      const struct stack_spec *spec,
			      const buffer_t *record, int *answer_r)
{
	buffer_t *data = buffer_create_dynamic(default_pool, 1024);
	struct ostream *sink = o_stream_create_buffer(data), *output;

	output = spool_push_stack(spool, spec, sink);
	o_stream_unref(&sink);
	/* so that a codec knows how much it is */
	o_stream_cork(output);
	o_stream_nsend(output, record->data, record->used);
	*answer_r = spool_finish_stream(&output);
	if (*answer_r != IO_DONE)
		buffer_free(&data);
	return data;
}

buffer_t *spool_make_headers(const struct spool *spool,
			     const email_message *message, bool states,
			     int *answer_r)
{
	buffer_t *record = buffer_create_dynamic(default_pool, 500), *data;

	*answer_r = IO_DONE;
	if ((states ? message_record_write_states(message, record) :
		      message_record_write(message, record)) < 0) {
		*answer_r =
			spool_record_fail(spool, &message->message_id, errno);
		buffer_free(&record);
	}
	if (record == NULL || spool->stacks.headers == NULL)
		return record;
	data = push_headers(spool, spool->stacks.headers, record, answer_r);
	buffer_free(&record);
	return data;
}

/*
 * Reading
 */

struct istream *spool_undo_stack(const struct spool *spool, const char *stack,
				 struct istream *source)
{
	struct stack_spec *spec;
	struct istream *input;
	char *error;

	spec = spool_parse_stack(stack, &error);
	if (spec == NULL && error != NULL) {
		/* of a newer version, unless it could not be looked at */
		input = i_stream_create_error_str(
			errno == ENOMEM ? ENOMEM : ENOTSUP, "%s: %s",
			i_stream_get_name(source), error);
		i_free(error);
		return input;
	}
	if (spec == NULL) {
		i_stream_ref(source);
		return source;
	}
	input = stack_spec_create_input(spec, &spool->keys, source, NULL);
	stack_spec_free(&spec);
	return input;
}

/* ENOENT is that of a codec's key file: from the spool it would say that there is no such
   message. The errno, with io_set_error(). */
static int note_error(struct istream *input)
{
	int error = input->stream_errno == ENOENT ? ENOKEY :
						    input->stream_errno;

	errno = error;
	if (error != 0)
		io_set_error("%s", i_stream_get_error(input));
	return error;
}

int spool_read_record(struct istream *input, buffer_t *record)
{
	const unsigned char *data;
	size_t size;

	while (i_stream_read_more(input, &data, &size) > 0) {
		if (record->used + size > MESSAGE_RECORD_MAX) {
			errno = EINVAL;
			io_set_error("%s: the record is too large",
				     i_stream_get_name(input));
			return IO_FAIL;
		}
		if (!buffer_try_append(record, data, size)) {
			errno = ENOMEM;
			io_set_error("%s: out of memory",
				     i_stream_get_name(input));
			return IO_TRANS_FAIL;
		}
		i_stream_skip(input, size);
	}
	if (input->stream_errno == 0)
		return IO_DONE;
	return io_answer_for_errno(note_error(input));
}

static int check_record(email_message *message, uint64_t version,
			uint64_t body_len)
{
	char id[MESSAGE_ID_TEXT_SIZE];

	if (email_message_get_version(message) == version &&
	    message->body_len == body_len)
		return IO_DONE;
	message_id_to_text(&message->message_id, id);
	errno = EINVAL;
	io_set_error("message %s: its record and what the store says of it "
		     "differ",
		     id);
	email_message_clear(message);
	return IO_FAIL;
}

static int record_fail(char *error)
{
	int answer = io_answer_for_errno(errno);

	io_set_error("%s", error);
	i_free(error);
	return answer;
}

int spool_parse_record(email_message *message, const buffer_t *record,
		       uint64_t version, uint64_t body_len)
{
	char *error;

	if (message_record_parse(message, record->data, record->used, &error) <
	    0)
		return record_fail(error);
	return check_record(message, version, body_len);
}

int spool_parse_states(email_message *message, const buffer_t *record,
		       uint64_t version)
{
	char *error;

	if (message_record_parse_states(message, record->data, record->used,
					&error) < 0)
		return record_fail(error);
	return check_record(message, version, message->body_len);
}

/* Whether a layer of the stack that a record names is of this kind. */
static bool has_layer(const char *stack, const char *kind)
{
	size_t size = strlen(kind);

	while (strncmp(stack, kind, size) != 0 ||
	       strchr("|:", stack[size]) == NULL) {
		stack = strchr(stack, '|');
		if (stack == NULL)
			return false;
		stack++;
	}
	return true;
}

bool spool_can_decode(const struct spool *spool, const char *stack)
{
	return spool->keys.identities != NULL || !has_layer(stack, "age");
}

bool spool_is_plain(const char *stack)
{
	return strcmp(stack, "plain") == 0;
}

int spool_read_through(struct istream *input, uint64_t *size_r)
{
	const unsigned char *data;
	size_t size;

	while (i_stream_read_more(input, &data, &size) > 0)
		i_stream_skip(input, size);
	*size_r = input->v_offset;
	return note_error(input);
}

int spool_unreadable(int error)
{
	if (error != EINVAL && error != EPIPE)
		return error;
	errno = EBADMSG;
	io_set_error("what is stored is what was written, and does not give "
		     "the message: %s",
		     io_get_error());
	return EBADMSG;
}

struct istream *spool_check_file(struct istream *file,
				 const unsigned char hash[SPOOL_HASH_SIZE])
{
	return i_stream_create_checked(
		file, hash_method_lookup("blake2b"), hash,
		"the body is damaged: its hash is wrong: restore the file from "
		"a copy, or remove the message (bobbin spool verify names all "
		"that are damaged)");
}
