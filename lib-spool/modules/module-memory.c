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
	m = find_or_add(memory, &message->message_id);
	buffer_free(&m->record);
	m->record = record;
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

/* All of the body; NULL without memory, or where it cannot be read. */
static buffer_t *read_body(email_message *message)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 1024);
	const unsigned char *data;
	bool ok = true;
	size_t size;

	i_stream_seek(message->body, 0);
	while (ok && i_stream_read_more(message->body, &data, &size) > 0) {
		ok = buffer_try_append(buf, data, size);
		i_stream_skip(message->body, size);
	}
	if (!ok)
		io_set_error("out of memory");
	else if (message->body->stream_errno != 0)
		io_set_error("%s", i_stream_get_error(message->body));
	else
		return buf;
	buffer_free(&buf);
	return NULL;
}

static int memory_writebody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			    email_message *message, int force ATTR_UNUSED)
{
	buffer_t *body = message->body == NULL ? NULL : read_body(message);
	struct memory_module *memory;
	struct memory_message *m;

	if (body == NULL)
		return IO_FAIL;
	message->body_len = body->used;
	memory = memory_lock(io);
	m = find_or_add(memory, &message->message_id);
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

static void *memory_process_disk_queue(io_infrastructure *io, void *scan)
{
	struct memory_module *memory = memory_lock(io);
	struct memory_message *m;

	for (m = memory->messages; m != NULL; m = m->next) {
		if (m->record != NULL && m->body != NULL)
			spool_scan_found(scan, &m->id);
	}
	(void)memory_unlock(memory, IO_DONE);
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
