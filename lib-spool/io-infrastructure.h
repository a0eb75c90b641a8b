/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_IO_INFRASTRUCTURE_H
#define BOBBIN_IO_INFRASTRUCTURE_H

/* The interface of a spool module: the published extensible IO infrastructure of
   Ecelerity/Momentum, names and values to the letter. A module fills in one
   io_infrastructure; every hook gets a pointer to it, and finds the module's own
   state around it or in shared.opaque. A hook that is NULL is skipped.

   doc/hooks.md says what a hook has to do, and writes a module from nothing.

   Modules are called in the order in which they were loaded, the native store
   last, from several threads at once. */

#include "email-message.h"
#include "message-id.h"

#include <stdarg.h>

BOBBIN_BEGIN_DECLS

/* Written, read or removed; later modules are not called. */
#define IO_DONE 0
/* Go on with the next module. */
#define IO_CONT 1
/* Failed: stop. */
#define IO_FAIL -1
/* Bobbin's own: failed for now (a full disk, EIO, no descriptors): stop; the
   caller may try again later, and nothing is removed or put aside. */
#define IO_TRANS_FAIL -2

typedef enum {
	/* on the caller's own thread */
	IO_SYNCHRONOUS = 0,
	/* on a worker thread */
	IO_ASYNCHRONOUS = 1
} io_caller;

struct spool;
struct _io_infrastructure;
typedef struct _io_infrastructure io_infrastructure;

typedef int (*IOHookFunc)(io_infrastructure *);
typedef void *(*IOQueueReaderFunc)(io_infrastructure *, void *);
typedef int (*IOWriteHeadersFunc)(io_infrastructure *, io_caller,
				  email_message *, int force);
typedef int (*IOReadHeadersFunc)(io_infrastructure *, io_caller,
				 email_message *);
typedef int (*IOUnlinkHeadersFunc)(io_infrastructure *, io_caller,
				   message_id *);
typedef int (*IOWriteBodyFunc)(io_infrastructure *, io_caller, email_message *,
			       int force);
typedef int (*IOReadBodyFunc)(io_infrastructure *, io_caller, email_message *);
typedef int (*IOUnlinkBodyFunc)(io_infrastructure *, io_caller, message_id *);

enum io_operation {
	IO_OP_WRITEHEADERS,
	IO_OP_READHEADERS,
	IO_OP_UNLINKHEADERS,
	IO_OP_WRITEBODY,
	IO_OP_READBODY,
	IO_OP_UNLINKBODY
};

#define SPOOL_MODULE_MAGIC 0x424f424eu /* "BOBN" */
#define SPOOL_MODULE_ABI 1u
/* What a shared object calls its io_infrastructure, unless who loads it knows
   another name. */
#define SPOOL_MODULE_SYMBOL "spool_module"

/* What every module says about itself. SPOOL_MODULE_SHARED() fills it in
   where no function is called; who writes out the members leaves the rest NULL. */
typedef struct shared_module_infrastructure {
	uint32_t magic;       /* SPOOL_MODULE_MAGIC */
	uint32_t abi_version; /* SPOOL_MODULE_ABI */
	size_t size;          /* of the io_infrastructure it was built with */
	const char *name;
	const char *author;
	const char *description;
	/* the module's own */
	void *opaque;
	/* Called when the module is loaded, with the text behind its path in
	   the configuration, or "". -1: it cannot be used (io_set_error()),
	   and nothing more of it is called. May be NULL. */
	int (*init)(io_infrastructure *self, const char *config);
	/* Called after io_close. May be NULL. */
	void (*deinit)(io_infrastructure *self);
	/* Bobbin's own, may be NULL: called in reverse order when the chain has
	   its final answer, so that a cache never holds what was not written.
	   `version` is the headers' (0 where it is not known). */
	void (*after)(io_infrastructure *self, enum io_operation operation,
		      const message_id *id, uint64_t version, int result);
	/* The library's: the spool that the module was added to, one at a
	   time; the last of several where it has nothing but an init. */
	struct spool *spool;
} shared_module_infrastructure;

#define SPOOL_MODULE_SHARED(module_name, module_author, module_description)    \
	{                                                                      \
		SPOOL_MODULE_MAGIC, SPOOL_MODULE_ABI,                          \
			sizeof(io_infrastructure), module_name, module_author, \
			module_description, NULL, NULL, NULL, NULL, NULL       \
	}

struct _io_infrastructure {
	shared_module_infrastructure shared;

	/* When the embedder starts a scan, in a detached thread of its own:
	   finds every message on permanent storage and hands its id to
	   spool_scan_found() with the struct spool_scan that the argument is.
	   The first module that has it is the one that runs. The result is
	   ignored. */
	IOQueueReaderFunc io_process_disk_queue;
	/* The headers (everything but the body) are new or changed. With force
	   0 a module may decide to skip; else the message is about to leave
	   memory. */
	IOWriteHeadersFunc io_writeheaders;
	/* Fills in everything but body and body_len; only the message_id may be
	   relied on. */
	IOReadHeadersFunc io_readheaders;
	/* The message was delivered or failed for good: after this, neither a
	   scan nor a read finds its headers. Already gone is IO_CONT. */
	IOUnlinkHeadersFunc io_unlinkheaders;
	/* The body is new or changed: message->body gives it, from its
	   beginning, in SMTP wire form. */
	IOWriteBodyFunc io_writebody;
	/* Sets body and body_len, by the message_id alone. */
	IOReadBodyFunc io_readbody;
	/* With io_unlinkheaders, after it. */
	IOUnlinkBodyFunc io_unlinkbody;
	/* The spool shuts down: once, in reverse load order. */
	IOHookFunc io_close;
};

/* For io_process_disk_queue. */
struct spool_scan;
/* A message is live; called once for each. */
void spool_scan_found(struct spool_scan *scan, const message_id *id);
/* True when the spool is being closed and the scan should return. */
bool spool_scan_is_stopping(struct spool_scan *scan);

/* Says what went wrong in a hook that answers IO_FAIL or IO_TRANS_FAIL, as a sentence of
   up to 1023 bytes (more are cut off), and keeps it with the errno that stands: for this
   thread, until its next call of the spool. */
void io_set_error(const char *fmt, ...) ATTR_FORMAT(1, 2);
/* What went wrong in this thread's last call of the spool: the sentence, "" where it went
   well. Valid until the thread's next call. */
const char *io_get_error(void);
/* The errno that stood when that error was set, 0 where it went well. */
int io_get_errno(void);

BOBBIN_END_DECLS

#endif
