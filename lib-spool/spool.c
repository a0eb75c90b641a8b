/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Opening and closing a spool. */

#include "config.h"
#include "spool-stacks.h"
#include "age-keys.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"
#include "ostream.h"
#include "panic.h"
#include "process-mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAST_ID_NAME "last-id"

int spool_fail(char **error_r, int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	*error_r = i_strdup_vprintf(fmt, args);
	va_end(args);
	errno = error;
	return -1;
}

struct listener {
	spool_warning_t *callback;
	void *context;
};

/* Whether the mutex is to be let go again. In a child that fork() made it may be a thread's
   that is not there. */
static bool lock_listener(struct spool *spool)
{
	if (spool_is_forked(spool))
		return false;
	(void)pthread_mutex_lock(&spool->mutex);
	return true;
}

static void unlock_listener(struct spool *spool, bool locked)
{
	if (locked)
		(void)pthread_mutex_unlock(&spool->mutex);
}

/* Opening happens before anybody could say who is to be told. Takes the text, or tells
   that there is somebody, who may be another one when this has returned. */
static bool keep_warning(struct spool *spool, char *text,
			 struct listener *listener_r)
{
	bool locked = lock_listener(spool), kept;

	listener_r->callback = spool->warning;
	listener_r->context = spool->warning_context;
	kept = spool->warning == NULL;
	if (kept && spool->early_count < SPOOL_EARLY_MAX)
		spool->early[spool->early_count++] = text;
	else if (kept)
		i_free(text);
	unlock_listener(spool, locked);
	return kept;
}

void spool_warn(struct spool *spool, const char *fmt, ...)
{
	struct listener listener;
	va_list args;
	char *text;

	va_start(args, fmt);
	text = i_strdup_vprintf(fmt, args);
	va_end(args);
	if (keep_warning(spool, text, &listener))
		return;
	listener.callback(text, listener.context);
	i_free(text);
}

void spool_set_warning_callback(struct spool *spool, spool_warning_t *callback,
				void *context)
{
	bool locked = lock_listener(spool);
	char *early[SPOOL_EARLY_MAX];
	unsigned int i, count = 0;

	spool->warning = callback;
	spool->warning_context = context;
	for (; callback != NULL && count < spool->early_count; count++)
		early[count] = spool->early[count];
	if (callback != NULL)
		spool->early_count = 0;
	unlock_listener(spool, locked);
	for (i = 0; i < count; i++) {
		callback(early[i], context);
		i_free(early[i]);
	}
}

struct stack_spec *spool_parse_stack(const char *text, char **error_r)
{
	struct stack_spec *spec;

	*error_r = NULL;
	if (*text == '\0' || strcmp(text, "plain") == 0)
		return NULL;
	spec = stack_spec_parse(text, error_r);
	if (spec != NULL && stack_spec_check_storable(spec, error_r) < 0)
		stack_spec_free(&spec);
	return spec;
}

/*
 * Open
 */

struct spool *spool_new(void)
{
	struct spool *spool = try_calloc(1, sizeof(*spool));

	if (spool == NULL || pthread_mutex_init(&spool->mutex, NULL) != 0 ||
	    pthread_cond_init(&spool->scan_ended, NULL) != 0)
		i_panic("out of memory");
	spool->dir_fd = spool->lock_fd = -1;
	spool->owner = getpid();
	spool->owner_mark = process_mark();
	return spool;
}

static int lock_fail(const struct spool *spool, int fd, char **error_r)
{
	char pid[32];
	ssize_t size;
	long owner;

	if (errno != EAGAIN && errno != EACCES)
		return spool_fail(error_r, errno,
				  "locking %s/" SPOOL_LOCK_NAME " failed: %s",
				  spool->dir, strerror(errno));
	size = file_pread_all(fd, pid, sizeof(pid) - 1, 0);
	pid[size < 0 ? 0 : size] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	if (sscanf(pid, "pid %ld", &owner) == 1 && owner == (long)getpid())
		return spool_fail(
			error_r, EBUSY,
			"%s is open in this process already: it can be "
			"opened once, or again to be read only",
			spool->dir);
	return spool_fail(error_r, EBUSY,
			  "%s is in use by another process%s%s: stop that one "
			  "first, or only read",
			  spool->dir, *pid != '\0' ? " " : "", pid);
}

static int open_lock(struct spool *spool, char **error_r)
{
	struct stat st;
	int fd;

	fd = file_open(spool->dir_fd, SPOOL_LOCK_NAME,
		       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK |
			       O_NOCTTY,
		       0600);
	if (fd < 0)
		return spool_fail(error_r, errno,
				  "open(%s/" SPOOL_LOCK_NAME ") failed: %s",
				  spool->dir, strerror(errno));
	spool->lock_fd = fd;
	if (file_ops()->fstat(fd, &st) < 0)
		return spool_fail(error_r, errno,
				  "fstat(%s/" SPOOL_LOCK_NAME ") failed: %s",
				  spool->dir, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return spool_fail(error_r, EINVAL,
				  "%s/" SPOOL_LOCK_NAME
				  " is not a regular file: remove it",
				  spool->dir);
	return fd;
}

static int take_lock(struct spool *spool, char **error_r)
{
	struct flock lock;
	struct iovec iov;
	char pid[32];
	int fd;

	fd = open_lock(spool, error_r);
	if (fd < 0)
		return -1;
	memset(&lock, 0, sizeof(lock));
	lock.l_type = F_WRLCK;
	lock.l_whence = SEEK_SET;
	/* an OFD lock: of this open file, gone with it however it ends */
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return lock_fail(spool, fd, error_r);
	(void)snprintf(pid, sizeof(pid), "pid %ld\n", (long)getpid());
	iov.iov_base = pid;
	iov.iov_len = strlen(pid);
	if (file_ops()->ftruncate(fd, 0) == 0)
		(void)file_pwritev(fd, &iov, 1, 0);
	return 0;
}

/* Children that fork() made have the open file, too, and would keep the lock. */
static void release_lock(struct spool *spool)
{
	struct flock lock;

	memset(&lock, 0, sizeof(lock));
	lock.l_type = F_UNLCK;
	lock.l_whence = SEEK_SET;
	if (spool->lock_fd != -1 && spool->owner_mark == process_mark())
		(void)fcntl(spool->lock_fd, F_OFD_SETLK, &lock);
	(void)file_close(&spool->lock_fd);
}

/* A wrong configuration is EINVAL, whatever it was for who read it. */
static int conf_errno(int error)
{
	return io_answer_for_errno(error) == IO_TRANS_FAIL ? error : EINVAL;
}

/* That there are none is an error only where a stack needs them. */
static int load_recipients(struct spool *spool, char **error_r)
{
	int fd = file_open_regular(spool->dir_fd, SPOOL_RECIPIENTS_NAME);
	int ret = 0, error = errno;
	char *path;

	if (fd < 0 && error == ENOENT)
		return 0;
	path = i_strdup_printf("%s/" SPOOL_RECIPIENTS_NAME, spool->dir);
	if (fd >= 0) {
		spool->keys.recipients = age_recipients_new();
		ret = age_recipients_add_fd(spool->keys.recipients, fd, path,
					    error_r);
		error = errno;
	} else if (error == EINVAL) {
		ret = spool_fail(error_r, error, "%s is not a regular file",
				 path);
	} else {
		ret = spool_fail(error_r, error, "open(%s) failed: %s", path,
				 strerror(error));
	}
	(void)file_close(&fd);
	i_free(path);
	errno = conf_errno(error);
	return ret;
}

/* The newest id that was made here, so that none is made again. */
static void load_last_id(struct spool *spool)
{
	char text[MESSAGE_ID_TEXT_SIZE] = "";
	struct message_id last;
	int fd = file_open_regular(spool->dir_fd, LAST_ID_NAME);

	if (fd >= 0 &&
	    file_pread_all(fd, text, sizeof(text) - 1, 0) == sizeof(text) - 1 &&
	    message_id_from_text(text, &last))
		spool->ids = message_id_generator_new(&last);
	else
		spool->ids = message_id_generator_new(NULL);
	(void)file_close(&fd);
}

static void save_last_id(struct spool *spool)
{
	char text[MESSAGE_ID_TEXT_SIZE];
	struct message_id last;
	struct ostream *output;

	message_id_generator_get_last(spool->ids, &last);
	message_id_to_text(&last, text);
	output = o_stream_create_file_atomic_at(spool->dir_fd, LAST_ID_NAME, -1,
						0600, 0);
	o_stream_nsend_str(output, text);
	o_stream_nsend_str(output, "\n");
	/* 64 random bits stand behind it: failing costs nothing */
	if (o_stream_finish(output) < 0)
		spool_warn(spool, "%s", o_stream_get_error(output));
	o_stream_destroy(&output);
}

/* What only writing needs: a reader does without it, and without its mistakes. */
static int open_for_writing(struct spool *spool, char **error_r)
{
	if (take_lock(spool, error_r) < 0 ||
	    load_recipients(spool, error_r) < 0)
		return -1;
	load_last_id(spool);
	return 0;
}

static int open_in_dir(struct spool *spool, char **error_r)
{
	const unsigned int known = SPOOL_OPEN_READ_ONLY | SPOOL_OPEN_REPAIR;
	char *why;

	/* else what they would keep from being done is done */
	if ((spool->flags & ~known) != 0)
		return spool_fail(error_r, EINVAL,
				  "opening %s: the flags 0x%x are not known",
				  spool->dir, spool->flags & ~known);
	if (spool_conf_read(spool->dir_fd, spool->dir, &spool->conf, error_r) <
	    0)
		return -1;
	spool->store_class = spool_store_find(spool->conf.store, &why);
	if (spool->store_class == NULL) {
		(void)spool_fail(error_r, ENOTSUP, "%s/" SPOOL_CONF_NAME ": %s",
				 spool->dir, why);
		i_free(why);
		errno = ENOTSUP;
		return -1;
	}
	if (spool_store_check(spool, error_r) < 0)
		return -1;
	if ((spool->flags & SPOOL_OPEN_READ_ONLY) == 0 &&
	    open_for_writing(spool, error_r) < 0)
		return -1;
	spool->store = spool->store_class->open(spool, error_r);
	if (spool->store == NULL)
		return -1;
	spool->modules[spool->module_count++].io = spool->store;
	if (spool_load_conf_modules(spool, error_r) < 0)
		return -1;
	/* the kinds in them may be a module's */
	return spool_stacks_open(spool, error_r);
}

struct spool *spool_open(const char *dir, unsigned int flags,
			 const struct stream_context *keys, char **error_r)
{
	struct spool *spool = spool_new();
	int old_errno;

	spool->flags = flags;
	spool->opening = true;
	spool->dir = i_strdup(dir);
	if (keys != NULL && keys->identities != NULL) {
		age_identities_ref(keys->identities);
		spool->keys.identities = keys->identities;
	}
	spool->dir_fd =
		file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (spool->dir_fd < 0)
		(void)spool_fail(error_r, errno, "open(%s) failed: %s", dir,
				 strerror(errno));
	else if (open_in_dir(spool, error_r) == 0) {
		spool->opening = false;
		return spool;
	}
	old_errno = errno;
	spool_close(&spool);
	errno = old_errno;
	return NULL;
}

bool spool_is_parents(const struct spool *spool)
{
	return spool->owner_mark != process_mark();
}

bool spool_is_forked(const struct spool *spool)
{
	return spool->lock_fd != -1 && spool_is_parents(spool);
}

/*
 * Close
 */

/* The threads that would have to end, and may hold the mutexes, are the parent's; what
   modules would write is its own to write. So all stays as it is, but what keeps others
   from the spool when the parent was killed. */
static void leave(struct spool *spool)
{
	(void)file_close(&spool->lock_fd);
	(void)file_close(&spool->dir_fd);
}

/* A reader's thread that scans may have mutexes of its modules, too. */
static bool is_parents_to_close(const struct spool *spool)
{
	return spool_is_forked(spool) ||
		(spool_is_parents(spool) && spool->scan_running);
}

void spool_close(struct spool **_spool)
{
	struct spool *spool = *_spool;

	if (spool == NULL)
		return;
	if (is_parents_to_close(spool)) {
		*_spool = NULL;
		leave(spool);
		return;
	}
	if (atomic_load(&spool->asyncs) > 0)
		i_panic("spool_close(): its workers run: spool_async_close() "
			"comes before it");
	*_spool = NULL;
	atomic_store(&spool->stopping, true);
	spool_wait_scan(spool);
	spool_unload_modules(spool);
	spool_stacks_close(&spool->stacks);
	if (spool->lock_fd != -1 && spool->ids != NULL)
		save_last_id(spool);
	release_lock(spool);
	(void)file_close(&spool->dir_fd);
	spool_conf_free(&spool->conf);
	i_free(spool->dir);
	age_recipients_unref(&spool->keys.recipients);
	age_identities_unref(&spool->keys.identities);
	message_id_generator_free(&spool->ids);
	while (spool->early_count > 0)
		i_free(spool->early[--spool->early_count]);
	(void)pthread_cond_destroy(&spool->scan_ended);
	(void)pthread_mutex_destroy(&spool->mutex);
	i_free(spool);
}

void spool_new_id(struct spool *spool, message_id *id_r)
{
	(void)pthread_mutex_lock(&spool->mutex);
	if (spool->ids == NULL)
		spool->ids = message_id_generator_new(NULL);
	(void)pthread_mutex_unlock(&spool->mutex);
	message_id_generate(spool->ids, id_r);
}

static int need_store(const struct spool *spool, char **error_r)
{
	return spool->store == NULL ?
		spool_fail(error_r, ENOTSUP, "the spool has no native store") :
		0;
}

int spool_list(struct spool *spool, spool_entry_t *callback, void *context,
	       char **error_r)
{
	if (need_store(spool, error_r) < 0)
		return -1;
	return spool->store_class->list(spool->store, SPOOL_LISTING_MESSAGES,
					callback, context, error_r);
}

int spool_verify(struct spool *spool, spool_entry_t *callback, void *context,
		 char **error_r)
{
	if (need_store(spool, error_r) < 0)
		return -1;
	return spool->store_class->list(spool->store, SPOOL_LISTING_VERIFY,
					callback, context, error_r);
}

int spool_count_strays(struct spool *spool, struct spool_strays *strays_r,
		       char **error_r)
{
	if (need_store(spool, error_r) < 0)
		return -1;
	return spool->store_class->count_strays(spool->store, strays_r,
						error_r);
}

int spool_get_stats(struct spool *spool, struct spool_stats *stats_r,
		    char **error_r)
{
	memset(stats_r, 0, sizeof(*stats_r));
	if (need_store(spool, error_r) < 0)
		return -1;
	return spool->store_class->get_stats == NULL ?
		0 :
		spool->store_class->get_stats(spool->store, stats_r, error_r);
}

int spool_compact(struct spool *spool, uint64_t *moved_r, char **error_r)
{
	*moved_r = 0;
	if (need_store(spool, error_r) < 0)
		return -1;
	if ((spool->flags & SPOOL_OPEN_READ_ONLY) != 0)
		return spool_fail(error_r, EROFS,
				  "%s is open for reading only: nothing can be "
				  "moved in it",
				  spool->dir);
	if (spool_is_forked(spool)) {
		(void)io_refuse_forked(spool);
		return spool_fail(error_r, EPERM, "%s", io_get_error());
	}
	if (spool->store_class->compact == NULL)
		return 0;
	return spool->store_class->compact(spool->store, moved_r, error_r);
}
