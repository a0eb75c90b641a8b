/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_BYTE_QUEUE_H
#define BOBBIN_BYTE_QUEUE_H

/* Bytes on their way: appended at the end, taken from the start. The memory is
   a block of the thread's cache, had only while there are bytes. Not
   installed. */

#include "types.h"

struct byte_queue {
	unsigned char *data;
	size_t alloc;
	size_t start, end;   /* the bytes are data[start..end) */
	size_t append_limit; /* for ostream_append */
	size_t dirty; /* how far data was ever written, if it is secret */
	bool secret;  /* wipe what is given back */
};

static inline size_t byte_queue_used(const struct byte_queue *queue)
{
	return queue->end - queue->start;
}

static inline const unsigned char *
byte_queue_data(const struct byte_queue *queue)
{
	return queue->data == NULL ? NULL : queue->data + queue->start;
}

/* Makes room for `size` bytes behind the last one and returns where they go;
   NULL without memory. byte_queue_add() then takes in up to that many. */
unsigned char *byte_queue_reserve(struct byte_queue *queue,
				  size_t size) ATTR_WARN_UNUSED_RESULT;
void byte_queue_add(struct byte_queue *queue, size_t size);
/* Up to `room` more bytes may be appended behind the last one without a call, as
   long as fewer than append_limit are there. */
void byte_queue_open(struct byte_queue *queue, size_t room);
/* Takes bytes from the start. */
void byte_queue_skip(struct byte_queue *queue, size_t size);
/* Gives the memory back where no bytes are left. */
void byte_queue_relax(struct byte_queue *queue);
/* Drops the bytes and gives the memory back. */
void byte_queue_free(struct byte_queue *queue);

#endif
