/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef IOLOOP_LIBEV_H
#define IOLOOP_LIBEV_H

struct ev_loop;
struct ioloop;

/* Bobbin's streams in a libev loop, which stays the caller's: it may have watchers
   of its own, and may be run by ev_run() as well as by io_loop_run(). To be
   destroyed by io_loop_destroy(), before the libev loop. */
struct ioloop *ioloop_libev_create(struct ev_loop *loop);

#endif
