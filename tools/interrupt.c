/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A signal becomes an error of the stream that reads or writes: the way out is
   then the same as for every error, and leaves no half file. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "tool-common.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A call that a signal came just too late to be seen by, and too early to interrupt, is
   interrupted so many seconds later, again and again. */
#define AGAIN_SECONDS 1

static volatile sig_atomic_t interrupted;
/* Readable once a signal came. */
static int wake_fd = -1;
/* The table that was in use, and the one over it. */
static struct file_ops lower_ops, interruptible_ops;

static void handle_signal(int signo)
{
	static const uint64_t one = 1;
	int old_errno = errno;

	if (interrupted != 0) {
		/* once more: whoever sent it does not want to wait */
		(void)signal(signo, SIG_DFL);
		(void)raise(signo);
	}
	interrupted = signo;
	if (write(wake_fd, &one, sizeof(one)) < 0) {
		/* it is readable already, then */
	}
	(void)alarm(AGAIN_SECONDS);
	errno = old_errno;
}

static void handle_alarm(int signo ATTR_UNUSED)
{
	(void)alarm(AGAIN_SECONDS);
}

static int canceled(void)
{
	errno = ECANCELED;
	return -1;
}

/* Waits until the fd is ready. 0, or -1 where a signal came. */
static int wait_for(int fd, short events)
{
	struct pollfd fds[2] = { { .fd = fd, .events = events },
				 { .fd = wake_fd, .events = POLLIN } };

	while (interrupted == 0) {
		/* errors of the fd are for the call that follows */
		if (poll(fds, 2, -1) > 0 && fds[0].revents != 0)
			break;
	}
	return interrupted == 0 ? 0 : canceled();
}

static ssize_t interruptible_read(int fd, void *data, size_t size)
{
	if (wait_for(fd, POLLIN) < 0)
		return -1;
	return lower_ops.read(fd, data, size);
}

static ssize_t interruptible_pread(int fd, void *data, size_t size,
				   off_t offset)
{
	if (interrupted != 0)
		return canceled();
	return lower_ops.pread(fd, data, size, offset);
}

static ssize_t interruptible_writev(int fd, const struct iovec *iov, int count)
{
	/* a pipe with little room may still block: the signal then interrupts
	   the call itself (it is not restarted) */
	if (wait_for(fd, POLLOUT) < 0)
		return -1;
	return lower_ops.writev(fd, iov, count);
}

static ssize_t interruptible_pwritev(int fd, const struct iovec *iov, int count,
				     off_t offset)
{
	if (interrupted != 0)
		return canceled();
	return lower_ops.pwritev(fd, iov, count, offset);
}

/* Opening a FIFO waits for its other side. What cannot wait goes on: the way out
   opens directories to remove what is half written. */
static int interruptible_openat(int dir_fd, const char *path, int flags,
				mode_t mode)
{
	int fd;

	if (interrupted != 0 &&
	    (flags & (O_DIRECTORY | O_NONBLOCK | O_CREAT)) == 0)
		return canceled();
	fd = lower_ops.openat(dir_fd, path, flags, mode);
	/* it would be tried again otherwise */
	if (fd < 0 && errno == EINTR && interrupted != 0)
		return canceled();
	return fd;
}

/* Bytes that the kernel is asked to move at once: a signal waits for them. */
#define COPY_MAX ((size_t)4 << 20)

static ssize_t interruptible_copy_file_range(int in_fd, off_t *in_offset,
					     int out_fd, off_t *out_offset,
					     size_t size, unsigned int flags)
{
	if (interrupted != 0)
		return canceled();
	return lower_ops.copy_file_range(in_fd, in_offset, out_fd, out_offset,
					 I_MIN(size, COPY_MAX), flags);
}

static ssize_t interruptible_sendfile(int out_fd, int in_fd, off_t *offset,
				      size_t size)
{
	if (interrupted != 0)
		return canceled();
	return lower_ops.sendfile(out_fd, in_fd, offset, I_MIN(size, COPY_MAX));
}

static ssize_t interruptible_splice(int in_fd, off_t *in_offset, int out_fd,
				    off_t *out_offset, size_t size,
				    unsigned int flags)
{
	if (interrupted != 0)
		return canceled();
	return lower_ops.splice(in_fd, in_offset, out_fd, out_offset,
				I_MIN(size, COPY_MAX), flags);
}

void tool_catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction act, old;
	unsigned int i;

	if (wake_fd >= 0)
		return; /* threads use the table already */
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0)
		return; /* then a signal just ends the process */
	lower_ops = *file_ops();
	interruptible_ops = lower_ops;
	interruptible_ops.openat = interruptible_openat;
	interruptible_ops.copy_file_range = interruptible_copy_file_range;
	interruptible_ops.sendfile = interruptible_sendfile;
	interruptible_ops.splice = interruptible_splice;
	interruptible_ops.read = interruptible_read;
	interruptible_ops.pread = interruptible_pread;
	interruptible_ops.writev = interruptible_writev;
	interruptible_ops.pwritev = interruptible_pwritev;
	file_ops_set(&interruptible_ops);
	memset(&act, 0, sizeof(act));
	act.sa_handler = handle_alarm;
	(void)sigaction(SIGALRM, &act, NULL);
	act.sa_handler = handle_signal;
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		/* nohup and the like: what is ignored stays so */
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &act, NULL);
	}
}

bool tool_interrupted(void)
{
	return interrupted != 0;
}

void tool_die_if_interrupted(void)
{
	if (interrupted == 0)
		return;
	(void)signal(interrupted, SIG_DFL);
	(void)raise(interrupted);
}
