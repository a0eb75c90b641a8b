/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Bodies that can be read once, by modules of which each wants to read them: what
   comes from a pipe is kept before the first one is asked. A small body stays in
   memory. A larger one goes to a file without a name, encrypted for a key that exists
   in memory alone: no plain text reaches the disk, whatever the spool's stacks are,
   and a crash leaves nothing. */

#include "config.h"
#include "spool-private.h"
#include "age-bech32.h"
#include "age-keys.h"
#include "buffer.h"
#include "file-ops.h"
#include "istream-private.h"
#include "mem.h"
#include "ostream.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAX (256 * 1024)

static int fail_input(struct istream *body)
{
	errno = body->stream_errno;
	io_set_error("reading the body failed: %s", i_stream_get_error(body));
	return io_answer_for_errno(body->stream_errno);
}

static int fail_blocking(void)
{
	errno = EAGAIN;
	io_set_error("the body is not there yet: a spool needs input that "
		     "blocks");
	return IO_TRANS_FAIL;
}

int spool_send_body(struct ostream *output, struct istream *body)
{
	switch (o_stream_send_istream(output, body)) {
	case OSTREAM_SEND_ISTREAM_RESULT_FINISHED:
		return IO_DONE;
	case OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT:
		return io_fail_output(output);
	case OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT:
		return fail_input(body);
	default:
		return fail_blocking();
	}
}

int spool_check_body(const email_message *message)
{
	if (message->body == NULL)
		return io_refuse(EINVAL, "the message has no body");
	if (email_message_get_version(message) > 0 &&
	    email_message_get_store_note(message) == NULL)
		return io_refuse(EINVAL,
				 "the message's headers were not read from "
				 "this store: read them before its body is "
				 "changed");
	return IO_DONE;
}

int spool_check_body_len(const email_message *message, uint64_t size)
{
	if (message->body_len == 0 || message->body_len == size)
		return IO_DONE;
	errno = EINVAL;
	io_set_error("the body has %llu octets where %llu were announced",
		     (unsigned long long)size,
		     (unsigned long long)message->body_len);
	return IO_FAIL;
}

int spool_check_stored_len(email_message *message)
{
	uint64_t size = email_message_get_stored_len(message);
	int answer;

	if (email_message_get_store_note(message) == NULL)
		return IO_DONE;
	answer = spool_check_body_len(message, size);
	if (answer == IO_DONE)
		message->body_len = size;
	return answer;
}

/* An open file that has no name any more. -1 with errno and io_set_error(). */
static int open_unnamed(const struct spool *spool)
{
	const char *dir = spool->store_class == NULL ? "" :
						       spool->store_class->tmp;
	int dir_fd = spool->dir_fd, fd;
	uint32_t random[2];
	char *path;

	if (dir_fd == -1) {
		dir_fd = AT_FDCWD;
		dir = getenv("TMPDIR");
		if (dir == NULL || *dir == '\0')
			dir = "/tmp";
	}
	randombytes_buf(random, sizeof(random));
	path = i_strdup_printf("%s/.bobbin-body-%08x%08x", dir, random[0],
			       random[1]);
	fd = file_open(dir_fd, path,
		       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	if (fd < 0)
		io_set_error("keeping a body that can be read only once: "
			     "open(%s%s%s) failed: %s",
			     spool->dir != NULL ? spool->dir : "",
			     spool->dir != NULL ? "/" : "", path,
			     strerror(errno));
	else
		(void)file_ops()->unlinkat(dir_fd, path, 0);
	i_free(path);
	return fd;
}

/* A new key, both halves. */
static int make_keys(struct stream_context *keys)
{
	char identity[AGE_IDENTITY_TEXT_SIZE];
	char recipient[AGE_RECIPIENT_TEXT_SIZE];
	unsigned char secret[32];
	char *error = NULL;
	int ret;

	keys->identities = age_identities_new();
	keys->recipients = age_recipients_new();
	randombytes_buf(secret, sizeof(secret));
	bech32_encode_key("age-secret-key-", secret, true, identity);
	ret = age_identities_add(keys->identities, identity, &error);
	if (ret == 0) {
		age_identities_get_recipient(keys->identities, 0, recipient);
		ret = age_recipients_add(keys->recipients, recipient, &error);
	}
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(identity, sizeof(identity));
	if (ret < 0)
		io_set_error("keeping a body that can be read only once: %s",
			     error);
	i_free(error);
	return ret;
}

/* What was read already, and the rest. */
static int fill_file(struct ostream *output, const buffer_t *head,
		     struct istream *body)
{
	int answer;

	o_stream_nsend(output, head->data, head->used);
	answer = spool_send_body(output, body);
	if (answer == IO_DONE && o_stream_finish(output) <= 0)
		answer = io_fail_output(output);
	if (answer != IO_DONE)
		o_stream_abort(output);
	return answer;
}

static int keep_with_keys(const struct stream_context *keys, int *fd,
			  const buffer_t *head, struct istream *body,
			  struct istream **kept_r)
{
	struct ostream *sink, *output;
	struct istream *source;
	struct stack_spec *spec;
	char *error = NULL;
	int answer;

	spec = stack_spec_parse("age", &error);
	if (spec == NULL) {
		io_set_error("keeping a body that can be read only once: %s",
			     error);
		i_free(error);
		return io_answer_for_errno(io_get_errno());
	}
	sink = o_stream_create_fd_file(*fd, 0, false);
	o_stream_set_name(sink, "the file that keeps the body");
	output = stack_spec_create_output(spec, keys, sink, NULL);
	answer = fill_file(output, head, body);
	o_stream_destroy(&output);
	if (answer != IO_DONE)
		o_stream_abort(sink);
	o_stream_destroy(&sink);
	if (answer == IO_DONE) {
		source = i_stream_create_fd_autoclose(fd, 0);
		i_stream_set_name(source, "the file that keeps the body");
		*kept_r = stack_spec_create_input(spec, keys, source, NULL);
		i_stream_unref(&source);
	}
	stack_spec_free(&spec);
	return answer;
}

static int keep_in_file(const struct spool *spool, const buffer_t *head,
			struct istream *body, struct istream **kept_r)
{
	struct stream_context keys = { .identities = NULL };
	int answer, error, fd;

	fd = open_unnamed(spool);
	if (fd < 0)
		return io_answer_for_output(io_get_errno());
	answer = make_keys(&keys) < 0 ?
		IO_TRANS_FAIL :
		keep_with_keys(&keys, &fd, head, body, kept_r);
	error = errno;
	(void)file_close(&fd);
	age_identities_unref(&keys.identities);
	age_recipients_unref(&keys.recipients);
	errno = error;
	return answer;
}

/* Reads up to the bound. *ended_r: that was all. */
static int read_head(struct istream *body, buffer_t *head, bool *ended_r)
{
	const unsigned char *data;
	size_t size;
	int ret;

	*ended_r = false;
	while (head->used <= MEMORY_MAX) {
		ret = i_stream_read_more(body, &data, &size);
		if (ret < 0) {
			*ended_r = true;
			return body->stream_errno == 0 ? IO_DONE :
							 fail_input(body);
		}
		if (ret == 0)
			return fail_blocking();
		if (!buffer_try_append(head, data, size)) {
			errno = ENOMEM;
			io_set_error("keeping a body: out of memory");
			return IO_TRANS_FAIL;
		}
		i_stream_skip(body, size);
	}
	return IO_DONE;
}

static bool is_read_twice(const struct spool *spool)
{
	unsigned int i, readers = 0;

	for (i = 0; i < spool->module_count; i++) {
		if (spool->modules[i].io->io_writebody != NULL)
			readers++;
	}
	return readers > 1;
}

/* Asked after the first read: what a path is shows when it is opened. */
static bool can_go_back(const struct istream *body)
{
	for (; body != NULL; body = body->real_stream->parent) {
		if (!body->seekable)
			return false;
	}
	return true;
}

int spool_keep_body(struct spool *spool, email_message *message)
{
	struct istream *body = message->body, *kept = NULL;
	const unsigned char *data;
	buffer_t *head;
	int answer;
	bool ended;
	size_t size;

	if (body == NULL || !is_read_twice(spool))
		return IO_DONE;
	i_stream_seek(body, 0);
	if (i_stream_read_more(body, &data, &size) > 0 && can_go_back(body))
		return IO_DONE;
	head = buffer_create_dynamic(default_pool, 4096);
	answer = read_head(body, head, &ended);
	if (answer == IO_DONE && ended)
		kept = i_stream_create_copy_from_data(head->data, head->used);
	else if (answer == IO_DONE)
		answer = keep_in_file(spool, head, body, &kept);
	buffer_free(&head);
	if (answer == IO_DONE) {
		email_message_set_body(message, kept, message->body_len);
		i_stream_unref(&kept);
	}
	return answer;
}
