/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_IOLOOP_PRIVATE_H
#define BOBBIN_IOLOOP_PRIVATE_H

#include "ioloop.h"

/* An io that is called only by io_set_pending(). */
struct io *io_add_without_fd(struct ioloop *ioloop, io_callback_t *callback,
			     void *context);
/* Watches another fd from now on (-1: none). */
void io_change_fd(struct io *io, int fd);
/* Has removed(context) called by io_remove() before the io is freed. */
void io_set_removed_callback(struct io *io, void (*removed)(void *context),
			     void *context);

/* The loop of ioloop-epoll.c, as an embedder's loop would be plugged in. NULL
   and errno where the kernel has none to give. */
extern const struct ioloop_methods epoll_loop_methods;
void *epoll_loop_create(void);
/* One turn: waits for events and calls back. */
void epoll_loop_turn(void *loop);

#endif
