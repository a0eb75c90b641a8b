/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A spool module that keeps a log of what is asked of a spool, and what came of it.
   Configuration: the path of the log. */

#include <bobbin/io-infrastructure.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct audit {
	int fd;
};

static const char *const operations[] = {
	[IO_OP_WRITEHEADERS] = "write-headers",
	[IO_OP_READHEADERS] = "read-headers",
	[IO_OP_UNLINKHEADERS] = "unlink-headers",
	[IO_OP_WRITEBODY] = "write-body",
	[IO_OP_READBODY] = "read-body",
	[IO_OP_UNLINKBODY] = "unlink-body"
};

/* One line, in one write() to a file opened with O_APPEND: threads and processes
   need no lock. */
static int add_line(io_infrastructure *io, enum io_operation operation,
		    const message_id *id, uint64_t version, const char *what)
{
	const struct audit *audit = io->shared.opaque;
	char when[32], text[MESSAGE_ID_TEXT_SIZE], line[160];
	time_t now = time(NULL);
	struct tm tm;
	ssize_t ret;
	int size;

	(void)gmtime_r(&now, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	message_id_to_text(id, text);
	size = snprintf(line, sizeof(line), "%s %s %s %llu %s\n", when, text,
			operations[operation], (unsigned long long)version,
			what);
	do {
		ret = write(audit->fd, line, (size_t)size);
	} while (ret < 0 && errno == EINTR);
	if (ret == size)
		return 0;
	if (ret >= 0)
		errno = ENOSPC; /* a part of it: the disk is full */
	return -1;
}

/* What changes the spool is in the log, and the log on the disk, before it
   happens; else it does not happen. */
static int announce(io_infrastructure *io, enum io_operation operation,
		    const message_id *id, uint64_t version)
{
	const struct audit *audit = io->shared.opaque;

	if (add_line(io, operation, id, version, "asked") == 0 &&
	    fdatasync(audit->fd) == 0)
		return IO_CONT;
	io_set_error("audit: writing the log failed: %s", strerror(errno));
	return IO_TRANS_FAIL;
}

static int audit_writeheaders(io_infrastructure *io, io_caller caller,
			      email_message *message, int force)
{
	(void)caller;
	(void)force;
	return announce(io, IO_OP_WRITEHEADERS, &message->message_id,
			email_message_get_version(message));
}

static int audit_unlinkheaders(io_infrastructure *io, io_caller caller,
			       message_id *id)
{
	(void)caller;
	return announce(io, IO_OP_UNLINKHEADERS, id, 0);
}

/* It is too late to say no: what the log cannot take is lost. */
static void audit_after(io_infrastructure *io, enum io_operation operation,
			const message_id *id, uint64_t version, int result)
{
	(void)add_line(io, operation, id, version,
		       result == IO_DONE ? "done" : "failed");
}

static int audit_close(io_infrastructure *io)
{
	const struct audit *audit = io->shared.opaque;

	return fsync(audit->fd) == 0 ? IO_DONE : IO_FAIL;
}

static int audit_init(io_infrastructure *io, const char *config)
{
	struct audit *audit = calloc(1, sizeof(*audit));

	if (audit == NULL) {
		io_set_error("audit: out of memory");
		return -1;
	}
	audit->fd =
		open(config, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (audit->fd < 0) {
		io_set_error("audit: the log \"%s\" cannot be opened: %s",
			     config, strerror(errno));
		free(audit);
		return -1;
	}
	io->shared.opaque = audit;
	return 0;
}

static void audit_deinit(io_infrastructure *io)
{
	struct audit *audit = io->shared.opaque;

	(void)close(audit->fd);
	free(audit);
	io->shared.opaque = NULL;
}

ATTR_EXPORT io_infrastructure spool_module = {
	.shared = {
		.magic = SPOOL_MODULE_MAGIC,
		.abi_version = SPOOL_MODULE_ABI,
		.size = sizeof(io_infrastructure),
		.name = "audit",
		.author = "The Bobbin authors",
		.description = "logs what is asked of a spool",
		.init = audit_init,
		.deinit = audit_deinit,
		.after = audit_after,
	},
	.io_writeheaders = audit_writeheaders,
	.io_unlinkheaders = audit_unlinkheaders,
	.io_close = audit_close,
};
