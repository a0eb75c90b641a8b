/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_SPOOL_PRIVATE_H
#define BOBBIN_SPOOL_PRIVATE_H

#include "message-id.h"
#include "spool-chain.h"
#include "spool.h"
#include "stack-spec.h"

#include <pthread.h>
#include <stdatomic.h>

#define SPOOL_MODULES_MAX 32
#define SPOOL_EARLY_MAX 32

struct spool_module {
	io_infrastructure *io;
	void *handle;       /* of a shared object */
	atomic_bool warned; /* about an IO_DONE to an unlink */
};

/* A line "module = PATH [CONFIG]". */
struct spool_conf_module {
	char *path, *config;
	unsigned int line;
};

/* What spool.conf says. */
struct spool_conf {
	char *store;
	/* of the journal, in bytes; 0: the default */
	uint64_t segment_size, inline_limit;
	bool compaction_off;
	char *body, *headers; /* specs; "" for plain */
	struct spool_conf_module modules[SPOOL_MODULES_MAX - 1];
	unsigned int module_count;
};

/* What its stacks are, parsed. */
struct spool_stacks {
	struct stack_spec *body, *headers; /* NULL: plain */
	char *body_kinds, *headers_kinds;  /* for the records */
};

struct spool_scan {
	struct spool *spool;
	spool_found_t *found;
	spool_done_t *done;
	void *context;
	io_infrastructure *module;
};

struct spool {
	struct spool_module modules[SPOOL_MODULES_MAX];
	unsigned int module_count; /* the native store included, last */
	io_infrastructure *store;  /* NULL: none */
	const struct spool_store *store_class;
	unsigned int flags;
	bool opening; /* by spool_open(), which parses the stacks last */
	bool adding;  /* a module, whose init is running */
	char *dir;    /* its path, for messages; NULL: none */
	int dir_fd, lock_fd;
	pid_t owner;         /* who has opened it */
	uint64_t owner_mark; /* the same, as a process_mark() */
	struct spool_conf conf;
	struct spool_stacks stacks;
	struct stream_context keys;
	struct message_id_generator *ids;
	atomic_uint asyncs; /* spool_async_new() less spool_async_close() */
	atomic_bool in_use; /* modules were asked: none is added any more */
	spool_warning_t *warning;
	void *warning_context;
	/* what there was to say before there was a callback; under the mutex */
	char *early[SPOOL_EARLY_MAX];
	unsigned int early_count;

	pthread_mutex_t mutex;
	struct spool_undone undone; /* under that */
	pthread_cond_t scan_ended;
	bool scan_running;
	atomic_bool stopping;
};

/* Sets *error_r and errno; -1. */
int spool_fail(char **error_r, int error, const char *fmt, ...)
	ATTR_FORMAT(3, 4);
void spool_warn(struct spool *spool, const char *fmt, ...) ATTR_FORMAT(2, 3);

/* spool-scan.c: for spool_get_undone(), by errno. A scan could not read something. */
void spool_note_left_out(struct spool *spool, int error);
/* What is damaged could not be put aside. */
void spool_note_unkept(struct spool *spool, int error);

/* spool-body.c */
struct ostream;
/* Sends all of a body: the answer, with io_set_error(). Given up streams are the
   caller's business. */
int spool_send_body(struct ostream *output, struct istream *body);
/* What a store asks before it writes the body, and when it has read all of it: the
   answer, with io_set_error(). */
int spool_check_body(const email_message *message);
int spool_check_body_len(const email_message *message, uint64_t size);
/* And before it writes headers: body_len is that of the body that its note is about,
   whatever was made of it in memory. */
int spool_check_stored_len(email_message *message);
/* Where a body can be read only once, and more than one module reads it: reads it,
   and makes what was kept the message's body. The answer. */
int spool_keep_body(struct spool *spool, email_message *message);

/* spool-load.c: the modules that the configuration names, in their order; what
   was loaded before one that fails stays loaded. */
int spool_load_conf_modules(struct spool *spool, char **error_r);
/* Closes all modules, the store too, in reverse order. */
void spool_unload_modules(struct spool *spool);

/* What lies in a spool's directory beside its messages. */
#define SPOOL_CONF_NAME "spool.conf"
#define SPOOL_LOCK_NAME "lock"
#define SPOOL_RECIPIENTS_NAME "recipients"
/* spool-conf.c: SPOOL/spool.conf, read whole (dir: for messages); written by init. */
int spool_conf_read(int dir_fd, const char *dir, struct spool_conf *conf,
		    char **error_r);
int spool_conf_write(int dir_fd, const struct spool_conf *conf, char **error_r);
void spool_conf_free(struct spool_conf *conf);
/* Adds the module of a line, "/PATH [CONFIG]". -1 with EINVAL and *error_r, which names no
   place. */
int spool_conf_add_module(struct spool_conf *conf, const char *value,
			  unsigned int line, char **error_r);

/* spool-dir.c: is called for each entry of a directory but "." and ".."; false
   stops. -1 with errno. */
typedef bool spool_dir_entry_t(int dir_fd, const char *name, void *context);
int spool_walk_dir(int parent_fd, const char *name, spool_dir_entry_t *callback,
		   void *context);
/* In bytes; 0 where it is not to be had. */
uint64_t spool_file_size(int dir_fd, const char *name);

/* Behind the name of what is in quarantine: the file that tells why. */
#define SPOOL_REASON_SUFFIX ".why"
/* spool-quarantine.c: keeps bytes in quarantine/NAME (NULL: they are there already, or will
   be), once, and why in NAME.why. Where others have the name, it is NAME.1, or the next one
   that is free. dir_fd: the spool's. -1 with errno: not both are there. */
int spool_put_aside(int dir_fd, const char *name, const void *data, size_t size,
		    const char *why);
/* Adds what scans have put aside. -1 with errno. */
int spool_count_quarantined(const struct spool *spool,
			    struct spool_strays *strays);

/* How much is told of messages. */
enum spool_listing {
	SPOOL_LISTING_MESSAGES,
	/* and what is known to be damaged, and is no message any more */
	SPOOL_LISTING_LOSSES,
	/* the same, having read all there is */
	SPOOL_LISTING_VERIFY
};

/* spool-store.c: what a native store is to the rest. */
struct spool_store {
	const char *name; /* in the configuration */
	/* below the spool: what it is in, and where temporary files may be */
	const char *dir, *tmp;
	/* Makes what it needs in the directory of a new spool. -1 with errno and
	   *error_r. */
	int (*init)(int dir_fd, char **error_r);
	/* For a spool whose directory, configuration and keys are set. NULL with
	   errno and *error_r. Freed by its deinit. */
	io_infrastructure *(*open)(struct spool *spool, char **error_r);
	/* spool_list(), spool_migrate() and spool_verify(), spool_count_strays() */
	int (*list)(io_infrastructure *io, enum spool_listing how,
		    spool_entry_t *callback, void *context, char **error_r);
	int (*count_strays)(io_infrastructure *io,
			    struct spool_strays *strays_r, char **error_r);
	/* What is there of a message stays, also where a killed process wrote it and
	   had not synced it: the answer. NULL: opening the store saw to that. */
	int (*settle)(io_infrastructure *io, const message_id *id);
	/* spool_get_stats(); NULL: there is nothing to tell */
	int (*get_stats)(io_infrastructure *io, struct spool_stats *stats_r,
			 char **error_r);
	/* spool_compact(); NULL: there is nothing to be done */
	int (*compact)(io_infrastructure *io, uint64_t *moved_r,
		       char **error_r);
	/* Where a store can write headers and remove them without a thread that
	   waits (all four, or none): the hooks' answers, or SPOOL_LATER, and then
	   finish() has them. The message is not used after that. expect(): so many
	   more (or fewer) such calls will be made soon. */
	int (*start_writeheaders)(io_infrastructure *io, email_message *message,
				  struct spool_later *later);
	int (*start_unlinkheaders)(io_infrastructure *io, const message_id *id,
				   struct spool_later *later);
	int (*finish)(struct spool_later *later);
	void (*expect)(io_infrastructure *io, int more);
};
/* NULL with EINVAL and *error_r: there is none of this name. */
const struct spool_store *spool_store_find(const char *name, char **error_r);
/* -1 with EINVAL and *error_r: the configuration names another store than the one that
   the spool was made with. */
int spool_store_check(const struct spool *spool, char **error_r);

/* Whether a removal that was answered so, for the `tries`th time from 0 on, is to be tried
   again: what is left on a full disk was packed. It takes claims on messages, so that
   none may be held. */
bool spool_make_room(struct spool *spool, int answer, unsigned int tries);

/* Whether this is a child of the process that opened it. */
bool spool_is_parents(const struct spool *spool);
/* Whether this is a child of the process that writes. It has a copy of where the next
   record goes, and would write over its parent's; and none of the spool's threads. */
bool spool_is_forked(const struct spool *spool);

/* NULL with EINVAL and *error_r; for "" NULL without an error. */
struct stack_spec *spool_parse_stack(const char *text, char **error_r);

/* As if no call had failed on this thread: also errno. */
void io_clear_error(void);
/* The thread's error, to be put back behind calls that have their own. */
#define IO_ERROR_SIZE 1024
struct io_kept_error {
	char text[IO_ERROR_SIZE];
	int error;
};
void io_keep_error(struct io_kept_error *kept_r);
void io_put_back_error(const struct io_kept_error *kept);
/* IO_TRANS_FAIL for what may pass (no space, EIO, no memory or descriptors),
   IO_FAIL for the rest. */
int io_answer_for_errno(int error);
/* The same of what writing said: a limit on the size of files is not the message's
   fault. */
int io_answer_for_output(int error);
/* That of a stream that failed, with io_set_error(): there a limit is the end's own, or a
   layer's, for which the message is too large. */
int io_fail_output(struct ostream *output);
/* IO_FAIL, with errno and io_set_error(). */
int io_refuse(int error, const char *text);
/* IO_FAIL, with EPERM and io_set_error(): who asks is a child of the owner. */
int io_refuse_forked(const struct spool *spool);
/* That answer, with io_set_error(): "WHAT of message ID failed: ...". */
int io_fail_message(const char *what, const message_id *id, int error);
/* The same with the spool's directory before it. */
int spool_fail_message(const struct spool *spool, const char *what,
		       const message_id *id, int error);

#endif
