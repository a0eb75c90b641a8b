/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_IOLOOP_PRIVATE_H
#define BOBBIN_IOLOOP_PRIVATE_H

#include "ioloop.h"

/* The loop of ioloop-epoll.c, as an embedder's loop would be plugged in. NULL
   and errno where the kernel has none to give. */
extern const struct ioloop_methods epoll_loop_methods;
void *epoll_loop_create(void);
/* One turn: waits for events and calls back. */
void epoll_loop_turn(void *loop);

#endif
