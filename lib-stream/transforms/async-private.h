/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_ASYNC_PRIVATE_H
#define BOBBIN_ASYNC_PRIVATE_H

/* What the two sides of transform_create_async() share: the owner's
   (transform-async.c) and the worker's (async-worker.c). Not installed. */

#include "transform.h"
#include "wake-fd.h"

#include <pthread.h>

/* So many blocks may wait in each direction. */
#define ASYNC_BLOCKS_MAX 4

struct async_block {
	struct async_block *next;
	size_t size;          /* bytes of data */
	size_t pos;           /* how many of them were taken */
	size_t room;          /* bytes that there is memory for */
	enum transform_op op; /* of input: what is to be done behind it */
	unsigned char data[];
};

struct async_queue {
	struct async_block *first, **end;
	unsigned int count;
};

/* What the owner waits for: output, and besides that... */
enum async_wait {
	ASYNC_WAIT_NONE,  /* (it does not wait) */
	ASYNC_WAIT_ROOM,  /* ...room for more blocks of input */
	ASYNC_WAIT_IDLE,  /* ...the end of all that is queued */
	ASYNC_WAIT_ANSWER /* ...of a SYNC or FINISH */
};

struct async_transform {
	struct transform transform;
	struct transform_class class_;
	struct transform *inner;
	size_t in_room, out_room; /* of a block */
	bool secret;
	bool started;
	pthread_t thread;

	/* The owner's. */
	struct async_block *filling;  /* not queued yet */
	struct async_block *emptying; /* taken out of the queue */
	enum transform_status last;   /* what process() answered */
	bool op_queued;               /* a SYNC or FINISH is on its way */
	uoff_t taken;                 /* bytes of input */

	pthread_mutex_t lock;
	pthread_cond_t to_worker, to_owner;
	/* Under the lock. */
	struct async_queue in, out;
	/* Blocks to be used again: one side allocates and the other one frees, and
	   malloc would give the pages back each time. */
	struct async_queue in_spare, out_spare;
	size_t in_size, out_size; /* bytes: of input until its block is done */
	size_t inner_size; /* of done blocks, with threads of the codec's own */
	struct wake_fd wake; /* the owner's loop */
	enum async_wait awaited;
	bool busy, cancelled, quit;
	bool op_answered;
	bool failed; /* the inner transform has the error */

	/* The worker's while it is busy. */
	struct async_block *making; /* output that is not queued yet */
	enum transform_status inner_status;
	bool unit_ended;
	bool made_some; /* in the last turn */
	uoff_t worked;  /* bytes of input that the inner transform took */
};

/* A spare block, or a new one of so much room; NULL without memory. Takes the lock. */
struct async_block *async_block_get(struct async_transform *async,
				    struct async_queue *spare, size_t room);
/* Makes it a spare one, unless it has no room. Sets the pointer to NULL. Under the
   lock. */
void async_block_put(struct async_transform *async, struct async_queue *spare,
		     struct async_block **block);
/* Wipes what was secret, and sets the pointer to NULL; NULL is allowed. */
void async_block_free(const struct async_transform *async,
		      struct async_block **block);

void async_queue_add(struct async_queue *queue, struct async_block *block);
/* NULL where it is empty. */
struct async_block *async_queue_take(struct async_queue *queue);
void async_queue_free(const struct async_transform *async,
		      struct async_queue *queue);

/* The thread; the context is the async_transform. */
void *async_worker(void *context);

#endif
