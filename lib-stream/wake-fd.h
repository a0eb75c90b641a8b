/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_WAKE_FD_H
#define BOBBIN_WAKE_FD_H

/* By which a thread wakes another one's event loop: an eventfd, made when somebody
   wants to wait for it. All calls on one come under the lock that the two threads
   have in common. Not installed. */

#include "types.h"

/* Zeroed: nobody waits. */
struct wake_fd {
	int fd;
	bool open;
	bool set; /* it polls readable */
};

/* The descriptor, which stays until wake_fd_free(); -1 with errno. */
int wake_fd_get(struct wake_fd *wake);
/* Makes it readable, where there is one. */
void wake_fd_set(struct wake_fd *wake);
/* ...and unreadable again. */
void wake_fd_clear(struct wake_fd *wake);
void wake_fd_free(struct wake_fd *wake);

#endif
