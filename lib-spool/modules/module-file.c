/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store's hooks. Writing: the body through the atomic file sink, then the
   headers the same way; the header file is the commit point. What a crash leaves:
   before the body's rename, a temporary file (swept when the spool is opened);
   before the headers' rename, a body without headers (swept by the scan); after
   it, the message. Unlinking goes the other way round. */

#include "config.h"
#include "module-file-private.h"
#include "buffer.h"
#include "hash-method.h"
#include "istream.h"
#include "macros.h"
#include "mem.h"
#include "message-record.h"
#include "ostream.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct file_store *file_store(io_infrastructure *io)
{
	return container_of(io, struct file_store, io);
}

static int fail_errno(const char *what, const message_id *id, int error)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(id, text);
	errno = error;
	io_set_error("%s of message %s failed: %s", what, text,
		     strerror(error));
	return io_answer_for_errno(error);
}

static int fail_stream(struct ostream *output)
{
	errno = output->stream_errno;
	io_set_error("%s", o_stream_get_error(output));
	return io_answer_for_errno(output->stream_errno);
}

/* Finishes a stack down to its sink: the answer. On failures all of it is given
   up. */
static int finish_stack(struct ostream **output, struct ostream **sink)
{
	int answer = IO_DONE;

	if (o_stream_finish(*output) <= 0) {
		answer = fail_stream(*output);
		o_stream_abort(*output);
		o_stream_abort(*sink);
	}
	o_stream_destroy(output);
	o_stream_destroy(sink);
	return answer;
}

static struct ostream *push_stack(struct file_store *store,
				  const struct stack_spec *spec,
				  struct ostream *sink)
{
	if (spec == NULL) {
		o_stream_ref(sink);
		return sink;
	}
	return stack_spec_create_output(spec, &store->spool->keys, sink, NULL);
}

static struct ostream *create_file(struct file_store *store, int bucket_fd,
				   const message_id *id, const char *suffix,
				   bool replace)
{
	char name[FILE_NAME_SIZE];

	file_name(id, suffix, name);
	return o_stream_create_file_atomic_at(
		bucket_fd, name, store->tmp_fd, 0600,
		replace ? 0 : OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
}

/*
 * Writing
 */

/* What writebody leaves for writeheaders, with the message. */
static void set_note(struct file_store *store, email_message *message,
		     const unsigned char hash[FILE_HASH_SIZE])
{
	char note[FILE_HASH_SIZE * 2 + 1 + FILE_STACK_SIZE];

	(void)sodium_bin2hex(note, sizeof(note), hash, FILE_HASH_SIZE);
	(void)snprintf(note + FILE_HASH_SIZE * 2,
		       sizeof(note) - FILE_HASH_SIZE * 2, " %s",
		       store->body_kinds);
	email_message_set_store_note(message, note);
}

static bool get_note(const email_message *message, struct file_entry *entry)
{
	const char *note = email_message_get_store_note(message);

	if (note == NULL || strlen(note) <= FILE_HASH_SIZE * 2 ||
	    sodium_hex2bin(entry->body_hash, FILE_HASH_SIZE, note,
			   FILE_HASH_SIZE * 2, NULL, NULL, NULL) != 0)
		return false;
	(void)snprintf(entry->body_stack, sizeof(entry->body_stack), "%s",
		       note + FILE_HASH_SIZE * 2 + 1);
	return true;
}

/* Sends the whole body: its octets in *size_r. The answer; on failures the streams
   are the caller's to give up. */
static int send_body(struct ostream *output, email_message *message,
		     uint64_t *size_r)
{
	struct istream *body = message->body;

	i_stream_seek(body, 0);
	switch (o_stream_send_istream(output, body)) {
	case OSTREAM_SEND_ISTREAM_RESULT_FINISHED:
		*size_r = output->offset;
		return IO_DONE;
	case OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT:
		return fail_stream(output);
	case OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT:
		errno = body->stream_errno;
		io_set_error("reading the body failed: %s",
			     i_stream_get_error(body));
		return io_answer_for_errno(body->stream_errno);
	default:
		io_set_error("the body is not there yet: a spool needs input "
			     "that blocks");
		return IO_TRANS_FAIL;
	}
}

static int write_body_file(struct file_store *store, int bucket_fd,
			   email_message *message)
{
	const struct hash_method *method = hash_method_lookup("blake2b");
	void *context = i_calloc(1, method->context_size);
	struct ostream *file, *sink, *output;
	unsigned char hash[FILE_HASH_SIZE];
	uint64_t size = 0;
	int answer;

	method->init(context);
	file = create_file(store, bucket_fd, &message->message_id,
			   FILE_BODY_SUFFIX, false);
	sink = o_stream_create_hash(file, method, context);
	output = push_stack(store, store->body_spec, sink);
	o_stream_unref(&file);
	o_stream_cork(output);
	answer = send_body(output, message, &size);
	if (answer == IO_DONE && message->body_len != 0 &&
	    message->body_len != size) {
		io_set_error("the body has %llu octets where %llu were "
			     "announced",
			     (unsigned long long)size,
			     (unsigned long long)message->body_len);
		answer = IO_FAIL;
	}
	if (answer == IO_DONE) {
		answer = finish_stack(&output, &sink);
	} else {
		o_stream_abort(output);
		o_stream_abort(sink);
		o_stream_destroy(&output);
		o_stream_destroy(&sink);
	}
	method->result(context, hash);
	i_free(context);
	if (answer == IO_DONE) {
		message->body_len = size;
		set_note(store, message, hash);
	}
	return answer;
}

static int file_writebody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			  email_message *message, int force ATTR_UNUSED)
{
	struct file_store *store = file_store(io);
	int bucket_fd, answer;

	if (email_message_get_version(message) > 0) {
		io_set_error("the body of a stored message cannot be changed: "
			     "store it as a new message");
		return IO_FAIL;
	}
	if (message->body == NULL) {
		io_set_error("the message has no body");
		return IO_FAIL;
	}
	bucket_fd = file_open_bucket(store, &message->message_id, true);
	if (bucket_fd < 0)
		return fail_errno("writing the body", &message->message_id,
				  errno);
	file_busy_add(store, &message->message_id);
	answer = write_body_file(store, bucket_fd, message);
	if (answer != IO_DONE)
		file_busy_remove(store, &message->message_id);
	(void)file_close(&bucket_fd);
	return answer;
}

/* A rewrite must follow the version that it was made from. */
static int check_version(int bucket_fd, email_message *message)
{
	struct file_entry stored;
	struct istream *input;

	if (email_message_get_version(message) == 1)
		return IO_DONE;
	if (file_entry_open(bucket_fd, &message->message_id, &stored, &input) <
	    0)
		return io_answer_for_errno(errno);
	i_stream_destroy(&input);
	if (stored.version + 1 == email_message_get_version(message))
		return IO_DONE;
	io_set_error("another writer changed the message: version %llu is "
		     "stored, not %llu",
		     (unsigned long long)stored.version,
		     (unsigned long long)email_message_get_version(message) -
			     1);
	return IO_FAIL;
}

static int write_headers_file(struct file_store *store, int bucket_fd,
			      email_message *message, struct file_entry *entry)
{
	buffer_t *record = buffer_create_dynamic(default_pool, 1024);
	struct ostream *sink, *output;
	char line[FILE_LINE_MAX];
	int answer;

	if (message_record_write(message, record) < 0) {
		buffer_free(&record);
		io_set_error("out of memory");
		return IO_TRANS_FAIL;
	}
	(void)snprintf(entry->headers_stack, sizeof(entry->headers_stack), "%s",
		       store->headers_kinds);
	file_entry_format(entry, line);
	sink = create_file(store, bucket_fd, &message->message_id,
			   FILE_HEADERS_SUFFIX, entry->version > 1);
	o_stream_cork(sink);
	o_stream_nsend_str(sink, line);
	output = push_stack(store, store->headers_spec, sink);
	o_stream_nsend(output, record->data, record->used);
	answer = finish_stack(&output, &sink);
	buffer_free(&record);
	return answer;
}

static int file_writeheaders(io_infrastructure *io,
			     io_caller caller ATTR_UNUSED,
			     email_message *message, int force ATTR_UNUSED)
{
	struct file_store *store = file_store(io);
	struct file_entry entry;
	int bucket_fd, answer;

	memset(&entry, 0, sizeof(entry));
	entry.id = message->message_id;
	entry.version = email_message_get_version(message);
	entry.body_len = message->body_len;
	if (!get_note(message, &entry)) {
		io_set_error("the body was not written to this store before "
			     "the headers");
		return IO_FAIL;
	}
	bucket_fd = file_open_bucket(store, &message->message_id, false);
	if (bucket_fd < 0)
		return fail_errno("writing the headers", &message->message_id,
				  errno);
	answer = check_version(bucket_fd, message);
	if (answer == IO_DONE)
		answer = write_headers_file(store, bucket_fd, message, &entry);
	if (answer == IO_DONE)
		file_busy_remove(store, &message->message_id);
	(void)file_close(&bucket_fd);
	return answer;
}

/*
 * Reading
 */

/* The stack that a record names, undone. */
static struct istream *undo_stack(struct file_store *store, const char *stack,
				  struct istream *source)
{
	struct stack_spec *spec;
	struct istream *input;
	char *error;

	spec = spool_parse_stack(stack, &error);
	if (spec == NULL && error != NULL) {
		input = i_stream_create_error_str(ENOTSUP, "%s", error);
		i_free(error);
		return input;
	}
	if (spec == NULL) {
		i_stream_ref(source);
		return source;
	}
	input = stack_spec_create_input(spec, &store->spool->keys, source,
					NULL);
	stack_spec_free(&spec);
	return input;
}

/* Reads all of a record, within its bound. */
static int read_record(struct istream *input, buffer_t *record)
{
	const unsigned char *data;
	size_t size;

	while (i_stream_read_more(input, &data, &size) > 0) {
		if (record->used + size > MESSAGE_RECORD_MAX ||
		    !buffer_try_append(record, data, size)) {
			io_set_error("%s: the record is too large",
				     i_stream_get_name(input));
			return IO_FAIL;
		}
		i_stream_skip(input, size);
	}
	if (input->stream_errno == 0)
		return IO_DONE;
	errno = input->stream_errno;
	io_set_error("%s", i_stream_get_error(input));
	return io_answer_for_errno(input->stream_errno);
}

static int parse_record(email_message *message, const struct file_entry *entry,
			const buffer_t *record)
{
	char note[FILE_HASH_SIZE * 2 + 1 + FILE_STACK_SIZE], *error;

	if (message_record_parse(message, record->data, record->used, &error) <
	    0) {
		io_set_error("%s", error);
		i_free(error);
		return IO_FAIL;
	}
	if (email_message_get_version(message) != entry->version ||
	    message->body_len != entry->body_len) {
		io_set_error("the record and the line before it differ: the "
			     "file is damaged");
		email_message_clear(message);
		return IO_FAIL;
	}
	(void)sodium_bin2hex(note, sizeof(note), entry->body_hash,
			     FILE_HASH_SIZE);
	(void)snprintf(note + FILE_HASH_SIZE * 2,
		       sizeof(note) - FILE_HASH_SIZE * 2, " %s",
		       entry->body_stack);
	email_message_set_store_note(message, note);
	return IO_DONE;
}

/* Opens bucket and header file. The answer: IO_FAIL where there is none. */
static int open_entry(struct file_store *store, const message_id *id,
		      int *bucket_fd_r, struct file_entry *entry,
		      struct istream **input_r)
{
	char text[MESSAGE_ID_TEXT_SIZE];
	int error = 0;

	memset(entry, 0, sizeof(*entry));
	*input_r = NULL;
	*bucket_fd_r = file_open_bucket(store, id, false);
	if (*bucket_fd_r < 0)
		error = errno;
	else if (file_entry_open(*bucket_fd_r, id, entry, input_r) == 0)
		return IO_DONE;
	else
		error = errno;
	(void)file_close(bucket_fd_r);
	message_id_to_text(id, text);
	if (error == ENOENT) {
		errno = error;
		io_set_error("there is no message %s", text);
		return IO_FAIL;
	}
	return io_answer_for_errno(error);
}

static int file_readheaders(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			    email_message *message)
{
	struct file_store *store = file_store(io);
	struct istream *source, *input;
	struct file_entry entry;
	buffer_t *record;
	int bucket_fd, answer;

	answer = open_entry(store, &message->message_id, &bucket_fd, &entry,
			    &source);
	if (answer != IO_DONE)
		return answer;
	record = buffer_create_dynamic(default_pool, 1024);
	input = undo_stack(store, entry.headers_stack, source);
	answer = read_record(input, record);
	if (answer == IO_DONE)
		answer = parse_record(message, &entry, record);
	i_stream_destroy(&input);
	i_stream_unref(&source);
	buffer_free(&record);
	(void)file_close(&bucket_fd);
	return answer;
}

static int file_readbody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			 email_message *message)
{
	struct file_store *store = file_store(io);
	struct istream *headers, *source, *input;
	char name[FILE_NAME_SIZE];
	struct file_entry entry;
	int bucket_fd, fd, answer, error;

	answer = open_entry(store, &message->message_id, &bucket_fd, &entry,
			    &headers);
	if (answer != IO_DONE)
		return answer;
	i_stream_destroy(&headers);
	fd = file_open_body(bucket_fd, &message->message_id);
	error = errno;
	(void)file_close(&bucket_fd);
	if (fd < 0)
		return io_answer_for_errno(error);
	file_name(&message->message_id, FILE_BODY_SUFFIX, name);
	source = i_stream_create_fd_autoclose(&fd, 0);
	i_stream_set_name(source, name);
	input = undo_stack(store, entry.body_stack, source);
	i_stream_unref(&source);
	email_message_set_body(message, input, entry.body_len);
	i_stream_unref(&input);
	return IO_DONE;
}

/*
 * Removing
 */

static int unlink_file(struct file_store *store, message_id *id,
		       const char *suffix, bool sync)
{
	char name[FILE_NAME_SIZE];
	int bucket_fd, error = 0;

	bucket_fd = file_open_bucket(store, id, false);
	if (bucket_fd < 0)
		return errno == ENOENT ? IO_CONT :
					 fail_errno("removing", id, errno);
	file_name(id, suffix, name);
	if (file_ops()->unlinkat(bucket_fd, name, 0) < 0)
		error = errno;
	/* also where it is gone already: somebody may wait for it to be so
	   durably */
	if ((error == 0 || error == ENOENT) && sync &&
	    file_sync_dir_fd(bucket_fd) < 0)
		error = errno;
	(void)file_close(&bucket_fd);
	if (error == ENOENT)
		return IO_CONT;
	return error == 0 ? IO_DONE : fail_errno("removing", id, error);
}

static int file_unlinkheaders(io_infrastructure *io,
			      io_caller caller ATTR_UNUSED, message_id *id)
{
	return unlink_file(file_store(io), id, FILE_HEADERS_SUFFIX, true);
}

/* Needs no sync: a body without headers is no message. */
static int file_unlinkbody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			   message_id *id)
{
	int answer = unlink_file(file_store(io), id, FILE_BODY_SUFFIX, false);

	file_busy_remove(file_store(io), id);
	return answer;
}

/*
 * Life cycle
 */

static void file_deinit(io_infrastructure *io)
{
	struct file_store *store = file_store(io);

	file_busy_free(store);
	(void)file_close(&store->messages_fd);
	(void)file_close(&store->tmp_fd);
	(void)file_close(&store->quarantine_fd);
	stack_spec_free(&store->body_spec);
	stack_spec_free(&store->headers_spec);
	i_free(store->body_kinds);
	i_free(store->headers_kinds);
	(void)pthread_mutex_destroy(&store->mutex);
	i_free(store);
}

static int make_subdir(int dir_fd, const char *name, char **error_r)
{
	if (file_ops()->mkdirat(dir_fd, name, 0700) < 0)
		return spool_fail(error_r, errno, "mkdir(%s) failed: %s", name,
				  strerror(errno));
	return 0;
}

int module_file_init(int dir_fd, char **error_r)
{
	if (make_subdir(dir_fd, "messages", error_r) < 0 ||
	    make_subdir(dir_fd, "messages/tmp", error_r) < 0 ||
	    make_subdir(dir_fd, "quarantine", error_r) < 0)
		return -1;
	if (file_sync_dir(dir_fd, "messages") < 0 ||
	    file_sync_dir_fd(dir_fd) < 0)
		return spool_fail(error_r, errno,
				  "fsync of the spool's directory failed: %s",
				  strerror(errno));
	return 0;
}

static int open_subdir(int dir_fd, const char *name, int *fd_r, char **error_r)
{
	*fd_r = file_open(dir_fd, name,
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (*fd_r < 0)
		return spool_fail(error_r, errno, "open(%s) failed: %s", name,
				  strerror(errno));
	return 0;
}

/* A configured stack, and its kinds for the records. */
static int parse_conf_stack(const char *text, struct stack_spec **spec_r,
			    char **kinds_r, char **error_r)
{
	*spec_r = spool_parse_stack(text, error_r);
	if (*spec_r == NULL && *error_r != NULL)
		return -1;
	*kinds_r = *spec_r == NULL ?
		i_strdup("plain") :
		stack_spec_format(*spec_r, STACK_SPEC_DECODING);
	if (strlen(*kinds_r) >= FILE_STACK_SIZE)
		return spool_fail(error_r, EINVAL, "the stack is too long");
	return 0;
}

io_infrastructure *module_file_open(struct spool *spool, char **error_r)
{
	static const shared_module_infrastructure shared =
		SPOOL_MODULE_SHARED("file", "The Bobbin authors",
				    "a body file and a header file a message");
	struct file_store *store = i_new(struct file_store, 1);

	store->spool = spool;
	store->messages_fd = store->tmp_fd = store->quarantine_fd = -1;
	store->io.shared = shared;
	store->io.shared.deinit = file_deinit;
	store->io.io_process_disk_queue = file_process_disk_queue;
	store->io.io_writeheaders = file_writeheaders;
	store->io.io_readheaders = file_readheaders;
	store->io.io_unlinkheaders = file_unlinkheaders;
	store->io.io_writebody = file_writebody;
	store->io.io_readbody = file_readbody;
	store->io.io_unlinkbody = file_unlinkbody;
	(void)pthread_mutex_init(&store->mutex, NULL);
	if (open_subdir(spool->dir_fd, "messages", &store->messages_fd,
			error_r) < 0 ||
	    open_subdir(store->messages_fd, "tmp", &store->tmp_fd, error_r) <
		    0 ||
	    open_subdir(spool->dir_fd, "quarantine", &store->quarantine_fd,
			error_r) < 0 ||
	    parse_conf_stack(spool->conf.body, &store->body_spec,
			     &store->body_kinds, error_r) < 0 ||
	    parse_conf_stack(spool->conf.headers, &store->headers_spec,
			     &store->headers_kinds, error_r) < 0) {
		int old_errno = errno;

		file_deinit(&store->io);
		errno = old_errno;
		return NULL;
	}
	if ((spool->flags & SPOOL_OPEN_READ_ONLY) == 0)
		file_sweep_tmp(store);
	return &store->io;
}
