/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_SPOOL_PRIVATE_H
#define BOBBIN_SPOOL_PRIVATE_H

#include "message-id.h"
#include "spool.h"
#include "stack-spec.h"

#include <pthread.h>
#include <stdatomic.h>

#define SPOOL_MODULES_MAX 32

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
	char *body, *headers; /* specs; "" for plain */
	struct spool_conf_module modules[SPOOL_MODULES_MAX - 1];
	unsigned int module_count;
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
	unsigned int flags;
	char *dir; /* its path, for messages; NULL: none */
	int dir_fd, lock_fd;
	struct spool_conf conf;
	struct stream_context keys;
	struct message_id_generator *ids;
	atomic_bool in_use; /* modules were asked: none is added any more */
	spool_warning_t *warning;
	void *warning_context;

	pthread_mutex_t mutex;
	pthread_cond_t scan_ended;
	bool scan_running;
	atomic_bool stopping;
};

/* Sets *error_r and errno; -1. */
int spool_fail(char **error_r, int error, const char *fmt, ...)
	ATTR_FORMAT(3, 4);
void spool_warn(struct spool *spool, const char *fmt, ...) ATTR_FORMAT(2, 3);

/* spool-body.c */
struct ostream;
/* Sends all of a body: the answer, with io_set_error(). Given up streams are the
   caller's business. */
int spool_send_body(struct ostream *output, struct istream *body);
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
/* spool-conf.c: SPOOL/spool.conf, read whole (dir: for messages); written by init,
   without modules. */
int spool_conf_read(int dir_fd, const char *dir, struct spool_conf *conf,
		    char **error_r);
int spool_conf_write(int dir_fd, const struct spool_conf *conf, char **error_r);
void spool_conf_free(struct spool_conf *conf);

/* NULL with EINVAL and *error_r; for "" NULL without an error. */
struct stack_spec *spool_parse_stack(const char *text, char **error_r);

/* IO_TRANS_FAIL for what may pass (no space, EIO, no memory or descriptors),
   IO_FAIL for the rest. */
int io_answer_for_errno(int error);

#endif
