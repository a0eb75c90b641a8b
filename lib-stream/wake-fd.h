/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_WAKE_FD_H
#define BOBBIN_WAKE_FD_H

/* By which a thread wakes another one's event loop: an eventfd, made when somebody
   wants to wait for it. All calls on one come under the lock that the two threads
   have in common. It also knows whose these threads are. Not installed. */

#include "types.h"

/* Zeroed: nobody waits. */
struct wake_fd {
	int fd;
	bool open;
	bool set;       /* it polls readable */
	uint64_t owner; /* a process_mark(); 0: it is nobody's yet */
};

/* The two threads are this process's. */
void wake_fd_claim(struct wake_fd *wake);
/* Whether they were claimed by another process, of which fork() made this one: it has none
   of its threads, and their lock may be held for ever. The descriptor is one that the two
   share, and what is read of it in one is lost to the other. Asked without the lock. */
bool wake_fd_is_parents(const struct wake_fd *wake);

/* The descriptor, which stays until wake_fd_free(); -1 with errno. */
int wake_fd_get(struct wake_fd *wake);
/* Makes it readable, where there is one. */
void wake_fd_set(struct wake_fd *wake);
/* ...and unreadable again. */
void wake_fd_clear(struct wake_fd *wake);
void wake_fd_free(struct wake_fd *wake);

#endif
