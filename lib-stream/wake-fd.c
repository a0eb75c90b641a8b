/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "wake-fd.h"
#include "process-mark.h"

#include <sys/eventfd.h>
#include <unistd.h>

void wake_fd_claim(struct wake_fd *wake)
{
	wake->owner = process_mark();
}

bool wake_fd_is_parents(const struct wake_fd *wake)
{
	return wake->owner != 0 && wake->owner != process_mark();
}

int wake_fd_get(struct wake_fd *wake)
{
	if (!wake->open) {
		wake->fd =
			eventfd(wake->set ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
		wake->open = wake->fd != -1;
	}
	return wake->open ? wake->fd : -1;
}

void wake_fd_set(struct wake_fd *wake)
{
	if (wake->open && !wake->set)
		(void)eventfd_write(wake->fd, 1);
	wake->set = true;
}

void wake_fd_clear(struct wake_fd *wake)
{
	eventfd_t count;

	if (wake->open && wake->set)
		(void)eventfd_read(wake->fd, &count);
	wake->set = false;
}

void wake_fd_free(struct wake_fd *wake)
{
	if (wake->open)
		(void)close(wake->fd);
	wake->open = false;
}
