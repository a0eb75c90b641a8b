/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Keeps messages in memory. One mutex serialises all calls. */

#include "config.h"
#include "buffer.h"
#include "istream.h"
#include "macros.h"
#include "mem.h"
#include "message-record.h"
#include "spool-modules.h"
#include "spool-private.h"

#include <errno.h>
#include <string.h>

struct memory_message {
	struct memory_message *next;
	message_id id;
	uint64_t version; /* of the record */
	buffer_t *record; /* NULL: no headers */
	buffer_t *body;   /* NULL: no body */
};

struct memory_module {
	io_infrastructure io;
	pthread_mutex_t mutex;
	struct memory_message *messages;
};

static struct memory_module *memory_lock(io_infrastructure *io)
{
	struct memory_module *memory =
		container_of(io, struct memory_module, io);

	(void)pthread_mutex_lock(&memory->mutex);
	return memory;
}

static int memory_unlock(struct memory_module *memory, int answer)
{
	(void)pthread_mutex_unlock(&memory->mutex);
	return answer;
}

static struct memory_message *find(struct memory_module *memory,
				   const message_id *id)
{
	struct memory_message *m = memory->messages;

	while (m != NULL && message_id_cmp(&m->id, id) != 0)
		m = m->next;
	return m;
}

static struct memory_message *find_or_add(struct memory_module *memory,
					  const message_id *id)
{
	struct memory_message *m = find(memory, id);

	if (m == NULL) {
		m = i_new(struct memory_message, 1);
		m->id = *id;
		m->next = memory->messages;
		memory->messages = m;
	}
	return m;
}

/* As in a native store: a new message's id is free, and a rewrite follows the
   version that it was made from. */
static bool version_follows(const struct memory_message *m,
			    const email_message *message)
{
	uint64_t stored = m == NULL || m->record == NULL ? 0 : m->version;
	uint64_t version = email_message_get_version(message);
	uint64_t first = email_message_get_first_version(message);

	if (version == (stored == 0 ? first : stored + 1))
		return true;
	if (version == first) {
		errno = EEXIST;
		io_set_error("there is a message of this id already");
		return false;
	}
	errno = stored == 0 ? ENOENT : EBUSY;
	io_set_error("another writer changed the message: version %llu is "
		     "stored, not %llu",
		     (unsigned long long)stored,
		     (unsigned long long)version - 1);
	return false;
}

static int memory_writeheaders(io_infrastructure *io,
			       io_caller caller ATTR_UNUSED,
			       email_message *message, int force ATTR_UNUSED)
{
	buffer_t *record = buffer_create_dynamic(default_pool, 256);
	struct memory_module *memory;
	struct memory_message *m;
	int answer;

	if (message_record_write(message, record) < 0) {
		answer = io_answer_for_errno(errno);
		io_set_error("making the headers' record failed: %s",
			     strerror(errno));
		buffer_free(&record);
		return answer;
	}
	memory = memory_lock(io);
	if (!version_follows(find(memory, &message->message_id), message)) {
		buffer_free(&record);
		return memory_unlock(memory, IO_FAIL);
	}
	m = find_or_add(memory, &message->message_id);
	buffer_free(&m->record);
	m->record = record;
	m->version = email_message_get_version(message);
	return memory_unlock(memory, IO_DONE);
}

static int not_here(struct memory_module *memory)
{
	errno = ENOENT;
	io_set_error("there is no such message");
	return memory_unlock(memory, IO_FAIL);
}

static int memory_readheaders(io_infrastructure *io,
			      io_caller caller ATTR_UNUSED,
			      email_message *message)
{
	struct memory_module *memory = memory_lock(io);
	struct memory_message *m = find(memory, &message->message_id);
	char *error;
	int answer;

	if (m == NULL || m->record == NULL)
		return not_here(memory);
	if (message_record_parse(message, m->record->data, m->record->used,
				 &error) < 0) {
		answer = io_answer_for_errno(errno);
		io_set_error("%s", error);
		i_free(error);
		return memory_unlock(memory, answer);
	}
	return memory_unlock(memory, IO_DONE);
}

/* All of the body into buf. */
static int read_body(email_message *message, buffer_t *buf)
{
	struct istream *body = message->body;
	const unsigned char *data;
	size_t size;

	i_stream_seek(body, 0);
	while (i_stream_read_more(body, &data, &size) > 0) {
		if (!buffer_try_append(buf, data, size)) {
			errno = ENOMEM;
			io_set_error("out of memory");
			return IO_TRANS_FAIL;
		}
		i_stream_skip(body, size);
	}
	if (body->stream_errno != 0) {
		errno = body->stream_errno;
		io_set_error("reading the body failed: %s",
			     i_stream_get_error(body));
		return io_answer_for_errno(body->stream_errno);
	}
	if (!body->eof) {
		errno = EAGAIN;
		io_set_error("the body is not there yet: a spool needs input "
			     "that blocks");
		return IO_TRANS_FAIL;
	}
	return spool_check_body_len(message, buf->used);
}

static int memory_writebody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			    email_message *message, int force ATTR_UNUSED)
{
	buffer_t *body;
	struct memory_module *memory;
	struct memory_message *m;
	int answer;

	if (message->body == NULL)
		return io_refuse(EINVAL, "the message has no body");
	body = buffer_create_dynamic(default_pool, 1024);
	answer = read_body(message, body);
	if (answer != IO_DONE) {
		buffer_free(&body);
		return answer;
	}
	memory = memory_lock(io);
	m = find_or_add(memory, &message->message_id);
	if (m->record != NULL && email_message_get_version(message) == 0) {
		buffer_free(&body);
		return memory_unlock(
			memory,
			io_refuse(EEXIST,
				  "there is a message of this id already"));
	}
	message->body_len = body->used;
	buffer_free(&m->body);
	m->body = body;
	return memory_unlock(memory, IO_DONE);
}

static int memory_readbody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			   email_message *message)
{
	struct memory_module *memory = memory_lock(io);
	struct memory_message *m = find(memory, &message->message_id);
	struct istream *input;

	if (m == NULL || m->body == NULL)
		return not_here(memory);
	input = i_stream_create_copy_from_data(m->body->data, m->body->used);
	email_message_set_body(message, input, m->body->used);
	i_stream_unref(&input);
	return memory_unlock(memory, IO_DONE);
}

/* Forgets one part; a message without parts is no message. */
static int unlink_part(io_infrastructure *io, const message_id *id, bool body)
{
	struct memory_module *memory = memory_lock(io);
	struct memory_message *m = find(memory, id), **pos;
	buffer_t **part;

	if (m == NULL)
		return memory_unlock(memory, IO_CONT);
	part = body ? &m->body : &m->record;
	if (*part == NULL)
		return memory_unlock(memory, IO_CONT);
	if (body && m->record != NULL) {
		return memory_unlock(
			memory,
			io_refuse(EBUSY,
				  "the message's headers are there: "
				  "remove them before the body"));
	}
	buffer_free(part);
	if (m->body == NULL && m->record == NULL) {
		for (pos = &memory->messages; *pos != m;)
			pos = &(*pos)->next;
		*pos = m->next;
		i_free(m);
	}
	return memory_unlock(memory, IO_DONE);
}

static int memory_unlinkheaders(io_infrastructure *io,
				io_caller caller ATTR_UNUSED, message_id *id)
{
	return unlink_part(io, id, false);
}

static int memory_unlinkbody(io_infrastructure *io,
			     io_caller caller ATTR_UNUSED, message_id *id)
{
	return unlink_part(io, id, true);
}

static bool is_whole(const struct memory_message *m)
{
	return m != NULL && m->record != NULL && m->body != NULL;
}

/* The ids of what is there now; i_free() them. */
static message_id *list_ids(struct memory_module *memory, size_t *count_r)
{
	struct memory_message *m;
	size_t count = 0;
	message_id *ids;

	for (m = memory->messages; m != NULL; m = m->next)
		count++;
	ids = try_calloc(count, sizeof(*ids));
	*count_r = 0;
	for (m = memory->messages; ids != NULL && m != NULL; m = m->next) {
		if (is_whole(m))
			ids[(*count_r)++] = m->id;
	}
	return ids;
}

/* Hands them out without the mutex: who is told may use the module at once, and
   what comes meanwhile is not handed out. */
static void *memory_process_disk_queue(io_infrastructure *io, void *scan)
{
	struct memory_module *memory = memory_lock(io);
	message_id *ids;
	size_t count, i;
	bool live;

	ids = list_ids(memory, &count);
	(void)memory_unlock(memory, IO_DONE);
	for (i = 0; i < count && !spool_scan_is_stopping(scan); i++) {
		memory = memory_lock(io);
		live = is_whole(find(memory, &ids[i]));
		(void)memory_unlock(memory, IO_DONE);
		if (live)
			spool_scan_found(scan, &ids[i]);
	}
	i_free(ids);
	return NULL;
}

static void memory_deinit(io_infrastructure *io)
{
	struct memory_module *memory =
		container_of(io, struct memory_module, io);
	struct memory_message *m;

	while ((m = memory->messages) != NULL) {
		memory->messages = m->next;
		buffer_free(&m->record);
		buffer_free(&m->body);
		i_free(m);
	}
	(void)pthread_mutex_destroy(&memory->mutex);
	i_free(memory);
}

io_infrastructure *spool_module_memory_new(void)
{
	static const shared_module_infrastructure shared = SPOOL_MODULE_SHARED(
		"memory", "The Bobbin authors", "keeps messages in memory");
	struct memory_module *memory = i_new(struct memory_module, 1);

	(void)pthread_mutex_init(&memory->mutex, NULL);
	memory->io.shared = shared;
	memory->io.shared.deinit = memory_deinit;
	memory->io.io_process_disk_queue = memory_process_disk_queue;
	memory->io.io_writeheaders = memory_writeheaders;
	memory->io.io_readheaders = memory_readheaders;
	memory->io.io_unlinkheaders = memory_unlinkheaders;
	memory->io.io_writebody = memory_writebody;
	memory->io.io_readbody = memory_readbody;
	memory->io.io_unlinkbody = memory_unlinkbody;
	return &memory->io;
}
