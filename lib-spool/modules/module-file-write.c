/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store's writing hooks. The body goes through the atomic file sink, then
   the headers the same way; the header file is the commit point. What a crash leaves:
   before the body's rename, a temporary file (swept when the spool is opened);
   before the headers' rename, a body that no headers speak of (swept by the scan);
   after it, the message. Unlinking goes the other way round.

   A changed body gets a name of its own, so that the old one stays the truth until
   the headers that speak of the new one are durable. */

#include "config.h"
#include "module-file-private.h"
#include "buffer.h"
#include "hash-method.h"
#include "istream.h"
#include "macros.h"
#include "mem.h"
#include "ostream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct file_store *file_store(io_infrastructure *io)
{
	return container_of(io, struct file_store, io);
}

/* What becomes one of the message's files when it is finished; `is_new`: only where
   there is none of this name. */
static struct ostream *create_sink(struct file_store *store, int bucket_fd,
				   const message_id *id, const char *name,
				   bool is_new)
{
	char *path = file_path(store, id, name);
	struct ostream *sink;

	sink = o_stream_create_file_atomic_at(
		bucket_fd, name, store->tmp_fd, 0600,
		is_new ? OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE : 0);
	o_stream_set_name(sink, path);
	i_free(path);
	return sink;
}

/* A directory that is missing may be there again. */
static int fail_bucket(const struct file_store *store, const char *what,
		       const message_id *id)
{
	(void)spool_fail_message(store->spool, what, id, errno);
	return io_answer_for_output(io_get_errno());
}

/*
 * Bodies
 */

/* Sends the whole body: its octets in *size_r. The answer; on failures the streams
   are the caller's to give up. */
static int send_body(struct ostream *output, email_message *message,
		     uint64_t *size_r)
{
	int answer;

	i_stream_seek(message->body, 0);
	answer = spool_send_body(output, message->body);
	if (answer != IO_DONE)
		return answer;
	*size_r = output->offset;
	return spool_check_body_len(message, *size_r);
}

/* Sends the body through its stack into the sink, which is not finished yet: the
   length, and the hash of what came out, are in *entry. */
static int fill_body(struct file_store *store, struct ostream *sink,
		     email_message *message, struct file_entry *entry)
{
	const struct hash_method *method = hash_method_lookup("blake2b");
	void *context = i_calloc(1, method->context_size);
	struct ostream *hashed, *output;
	int answer;

	method->init(context);
	o_stream_set_finish_via_child(sink, false);
	hashed = o_stream_create_hash(sink, method, context);
	output = spool_push_stack(store->spool, store->spool->stacks.body,
				  hashed);
	o_stream_cork(output);
	answer = send_body(output, message, &entry->body_len);
	if (answer == IO_DONE)
		answer = spool_finish_stream(&output);
	else
		spool_abort_stream(&output);
	if (answer != IO_DONE)
		o_stream_abort(hashed);
	o_stream_destroy(&hashed);
	method->result(context, entry->body_hash);
	i_free(context);
	return answer;
}

/* Removes the bodies that `kept` took the place of: the first one, and the one with
   the old hash. Where that fails the scan will do it. */
static void drop_old_bodies(int bucket_fd, const message_id *id,
			    const unsigned char old_hash[FILE_HASH_SIZE],
			    const char *kept)
{
	char name[FILE_NAME_SIZE];

	file_name(id, FILE_BODY_SUFFIX, name);
	if (strcmp(name, kept) != 0)
		(void)file_ops()->unlinkat(bucket_fd, name, 0);
	file_body_name(id, old_hash, name);
	if (strcmp(name, kept) != 0)
		(void)file_ops()->unlinkat(bucket_fd, name, 0);
}

static int write_body_file(struct file_store *store, int bucket_fd,
			   email_message *message)
{
	const message_id *id = &message->message_id;
	bool first = email_message_get_store_note(message) == NULL;
	enum file_note kind;
	struct file_entry entry, before;
	char name[FILE_NAME_SIZE];
	struct file_tries tries;
	struct ostream *sink;
	int answer;

	memset(&entry, 0, sizeof(entry));
	(void)snprintf(entry.body_stack, sizeof(entry.body_stack), "%s",
		       store->spool->stacks.body_kinds);
	file_name(id, FILE_BODY_SUFFIX, name);
	sink = create_sink(store, bucket_fd, id, name, first);
	answer = fill_body(store, sink, message, &entry);
	if (answer != IO_DONE) {
		spool_abort_stream(&sink);
		return answer;
	}
	if (!first) {
		file_body_name(id, entry.body_hash, name);
		o_stream_file_atomic_set_name(sink, name);
	}
	answer = spool_finish_stream(&sink);
	if (answer != IO_DONE)
		return answer;
	if (!first && email_message_get_version(message) == 0 &&
	    file_note_get(message, &before, &kind))
		drop_old_bodies(bucket_fd, id, before.body_hash, name);
	message->body_len = entry.body_len;
	file_note_get_tries(message, &tries);
	file_note_set(message, &entry,
		      first ? FILE_NOTE_FIRST : FILE_NOTE_CHANGED, &tries);
	return IO_DONE;
}

/* A body that is there without headers, and that nobody is at: of a try that failed, and could
   not take it away again. Each later one would be refused for it. */
static void drop_left_body(struct file_store *store, int bucket_fd,
			   const message_id *id)
{
	char name[FILE_NAME_SIZE], headers[FILE_NAME_SIZE];

	file_name(id, FILE_BODY_SUFFIX, name);
	if (file_look(bucket_fd, name) <= 0)
		return;
	file_name(id, FILE_HEADERS_SUFFIX, headers);
	file_claim(store, id);
	if (file_look(bucket_fd, headers) == 0 && !file_has_misplaced(store))
		file_sweep(store, bucket_fd, id, name);
	file_release(store, id);
}

int file_writebody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		   email_message *message, int force ATTR_UNUSED)
{
	struct file_store *store = file_store(io);
	const message_id *id = &message->message_id;
	int bucket_fd, answer = spool_check_body(message);

	if (answer != IO_DONE)
		return answer;
	bucket_fd = file_open_bucket(store, id, true);
	if (bucket_fd < 0)
		return fail_bucket(store, "writing the body", id);
	if (email_message_get_store_note(message) == NULL)
		drop_left_body(store, bucket_fd, id);
	file_busy_begin(store, id);
	answer = write_body_file(store, bucket_fd, message);
	file_busy_end(store, id, answer == IO_DONE);
	(void)file_close(&bucket_fd);
	return answer;
}

/*
 * Headers
 */

/* Asked with the claim, so that what is written as a new message's is its own, and may be
   taken away again where it fails: another one of this id may have a body of another name
   than this one's. */
static int check_id(struct file_store *store, int bucket_fd,
		    const message_id *id)
{
	char name[FILE_NAME_SIZE];
	int found;

	file_name(id, FILE_HEADERS_SUFFIX, name);
	found = file_look(bucket_fd, name);
	if (found == 0)
		return IO_DONE;
	if (found < 0 && errno != EINVAL)
		return spool_fail_message(store->spool,
					  "looking for the headers", id, errno);
	return io_refuse(EEXIST, "there is a message of this id already");
}

/* A new message has an id of its own, and a rewrite must follow the version that it was
   made from: that one's line. */
static int check_version(struct file_store *store, int bucket_fd,
			 email_message *message, struct file_entry *stored)
{
	uint64_t version = email_message_get_version(message);

	if (version == email_message_get_first_version(message))
		return check_id(store, bucket_fd, &message->message_id);
	if (file_entry_read(store, bucket_fd, &message->message_id, stored) < 0)
		return io_answer_for_errno(errno);
	if (stored->version + 1 == version)
		return IO_DONE;
	if (stored->version == version && file_note_is_tried(message, stored))
		return IO_DONE;
	errno = EBUSY;
	io_set_error("another writer changed the message: version %llu is "
		     "stored, not %llu",
		     (unsigned long long)stored->version,
		     (unsigned long long)version - 1);
	return IO_FAIL;
}

static int write_headers_file(struct file_store *store, int bucket_fd,
			      email_message *message, struct file_entry *entry)
{
	char line[FILE_LINE_MAX], name[FILE_NAME_SIZE];
	bool is_new = entry->version ==
		email_message_get_first_version(message);
	struct ostream *sink;
	buffer_t *headers;
	int answer;

	headers = spool_make_headers(store->spool, message, false, &answer);
	if (headers == NULL)
		return answer;
	(void)snprintf(entry->headers_stack, sizeof(entry->headers_stack), "%s",
		       store->spool->stacks.headers_kinds);
	hash_method_get_digest(hash_method_lookup("crc32c"), headers->data,
			       headers->used, entry->headers_crc);
	file_entry_format(entry, line);
	file_name(&entry->id, FILE_HEADERS_SUFFIX, name);
	sink = create_sink(store, bucket_fd, &entry->id, name, is_new);
	o_stream_cork(sink);
	o_stream_nsend_str(sink, line);
	o_stream_nsend(sink, headers->data, headers->used);
	buffer_free(&headers);
	return spool_finish_stream(&sink);
}

/* Known before it is there: a scan takes it for one that was, else. Another one of this id,
   which was there, is what it was. */
static int write_known_headers(struct file_store *store, int bucket_fd,
			       email_message *message, struct file_entry *entry)
{
	int answer, added = 0;

	if (entry->version == email_message_get_first_version(message))
		added = file_known_add(store, &entry->id);
	if (added < 0)
		return spool_fail_message(store->spool, "writing the headers",
					  &entry->id, ENOMEM);
	answer = write_headers_file(store, bucket_fd, message, entry);
	if (answer != IO_DONE && added > 0)
		file_known_drop(store, &entry->id);
	return answer;
}

/* As file_look(): the body that these headers are to be about. One that is to take the place
   of another has its own name, and the other one may be there, too. */
static int look_for_body(int bucket_fd, const struct file_entry *entry,
			 enum file_note kind, char name_r[FILE_NAME_SIZE])
{
	if (kind != FILE_NOTE_CHANGED)
		return file_find_body(bucket_fd, &entry->id, entry->body_hash,
				      name_r);
	file_body_name(&entry->id, entry->body_hash, name_r);
	return file_look(bucket_fd, name_r);
}

/* A rewrite that failed may have its name already, and nobody knows whether that is durable:
   the next try of this message takes the place of it, as of the version before. What stands
   there may be what was found there, too; the disk is not asked, since what failed may fail
   again. */
static void note_try(email_message *message, const struct file_entry *entry,
		     enum file_note kind, const struct file_entry *before)
{
	struct file_tries tries;

	if (entry->version == email_message_get_first_version(message))
		return;
	memset(&tries, 0, sizeof(tries));
	file_entry_line_crc(entry, tries.lines[0]);
	if (before->version == entry->version)
		file_entry_line_crc(before, tries.lines[1]);
	file_note_set(message, entry, kind, &tries);
}

/* With the claim on the message. */
static int commit_headers(struct file_store *store, int bucket_fd,
			  email_message *message, struct file_entry *entry,
			  enum file_note kind)
{
	char body[FILE_NAME_SIZE];
	struct file_entry before = { .version = 0 };
	int answer, found;

	answer = check_version(store, bucket_fd, message, &before);
	if (answer == IO_DONE)
		answer = spool_check_stored_len(message);
	if (answer != IO_DONE)
		return answer;
	entry->body_len = message->body_len;
	found = look_for_body(bucket_fd, entry, kind, body);
	if (found < 0)
		return spool_fail_message(store->spool, "looking for the body",
					  &entry->id, errno);
	if (found == 0) {
		errno = EAGAIN;
		io_set_error("the body that was written before the headers is "
			     "gone: write it again");
		return IO_TRANS_FAIL;
	}
	answer = write_known_headers(store, bucket_fd, message, entry);
	if (answer != IO_DONE) {
		note_try(message, entry, kind, &before);
		return answer;
	}
	if (kind != FILE_NOTE_STORED &&
	    entry->version != email_message_get_first_version(message))
		drop_old_bodies(bucket_fd, &entry->id, before.body_hash, body);
	file_note_set(message, entry, FILE_NOTE_STORED, NULL);
	file_busy_settle(store, &entry->id);
	return answer;
}

int file_writeheaders(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		      email_message *message, int force ATTR_UNUSED)
{
	struct file_store *store = file_store(io);
	const message_id *id = &message->message_id;
	struct file_entry entry;
	enum file_note kind;
	int bucket_fd, answer;

	memset(&entry, 0, sizeof(entry));
	entry.id = *id;
	entry.version = email_message_get_version(message);
	if (!file_note_get(message, &entry, &kind))
		return io_refuse(EINVAL,
				 "the body was not written to this store "
				 "before the headers");
	bucket_fd = file_open_bucket(store, id, false);
	if (bucket_fd < 0)
		return fail_bucket(store, "writing the headers", id);
	file_claim(store, id);
	answer = commit_headers(store, bucket_fd, message, &entry, kind);
	file_release(store, id);
	(void)file_close(&bucket_fd);
	return answer;
}

/*
 * Removing
 */

/* Claimed meanwhile; where there is no bucket there is nothing. */
static int in_bucket(struct file_store *store, const message_id *id,
		     int (*remove)(struct file_store *, int bucket_fd,
				   const message_id *))
{
	int bucket_fd = file_open_bucket(store, id, false), answer;

	if (bucket_fd < 0)
		return errno == ENOENT ?
			IO_CONT :
			spool_fail_message(store->spool, "removing", id, errno);
	file_claim(store, id);
	answer = remove(store, bucket_fd, id);
	file_release(store, id);
	(void)file_close(&bucket_fd);
	return answer;
}

/* Gone already is no failure. */
static int unlink_name(int bucket_fd, const char *name)
{
	if (file_ops()->unlinkat(bucket_fd, name, 0) == 0)
		return IO_DONE;
	return errno == ENOENT ? IO_CONT : IO_TRANS_FAIL;
}

/* Removes a body that took the place of another: only the headers know its name. */
static void unlink_changed_body(int bucket_fd, const struct file_entry *entry)
{
	char name[FILE_NAME_SIZE];

	file_body_name(&entry->id, entry->body_hash, name);
	(void)unlink_name(bucket_fd, name);
}

static int unlink_headers(struct file_store *store, int bucket_fd,
			  const message_id *id)
{
	char name[FILE_NAME_SIZE];
	struct file_entry entry;
	bool have_entry;
	int answer;

	have_entry = file_entry_read(store, bucket_fd, id, &entry) == 0;
	file_name(id, FILE_HEADERS_SUFFIX, name);
	answer = unlink_name(bucket_fd, name);
	/* also where it is gone already: somebody may wait for it to be so
	   durably */
	if (answer != IO_TRANS_FAIL && file_sync_dir_fd(bucket_fd) < 0)
		answer = IO_TRANS_FAIL;
	if (answer == IO_TRANS_FAIL)
		return spool_fail_message(store->spool, "removing", id, errno);
	file_known_drop(store, id);
	if (have_entry)
		unlink_changed_body(bucket_fd, &entry);
	return answer;
}

int file_unlinkheaders(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		       message_id *id)
{
	return in_bucket(file_store(io), id, unlink_headers);
}

/* Not while there are headers: they would be of a message without a body. Somebody
   takes back a message of his own, whose id was in use. */
static int unlink_body(struct file_store *store, int bucket_fd,
		       const message_id *id)
{
	char name[FILE_NAME_SIZE];
	int answer, have_headers;

	file_name(id, FILE_HEADERS_SUFFIX, name);
	have_headers = file_look(bucket_fd, name);
	if (have_headers < 0)
		return spool_fail_message(store->spool, "removing the body", id,
					  errno);
	if (have_headers > 0) {
		errno = EBUSY;
		io_set_error("the headers of message %.*s are there: remove "
			     "them before the body",
			     MESSAGE_ID_TEXT_SIZE - 1, name);
		return IO_FAIL;
	}
	file_name(id, FILE_BODY_SUFFIX, name);
	/* headers that were refused are gone, and may come back while that is not durable */
	answer = file_is_busy(store, id) && file_sync_dir_fd(bucket_fd) < 0 ?
		IO_TRANS_FAIL :
		unlink_name(bucket_fd, name);
	return answer == IO_TRANS_FAIL ?
		spool_fail_message(store->spool, "removing", id, errno) :
		answer;
}

static int give_up_body(struct file_store *store, int bucket_fd,
			const message_id *id)
{
	int answer = unlink_body(store, bucket_fd, id);

	file_busy_settle(store, id);
	return answer;
}

/* Needs no sync behind it: a body without headers is no message. */
int file_unlinkbody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		    message_id *id)
{
	struct file_store *store = file_store(io);
	int answer = in_bucket(store, id, give_up_body);

	/* also where the bucket cannot be opened: nobody waits for it any more */
	if (answer == IO_TRANS_FAIL)
		file_busy_settle(store, id);
	return answer;
}
