/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Making, opening and closing a spool. */

#include "config.h"
#include "spool-private.h"
#include "age-keys.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"
#include "module-file.h"
#include "ostream.h"
#include "panic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_NAME "lock"
#define RECIPIENTS_NAME "recipients"
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

void spool_warn(struct spool *spool, const char *fmt, ...)
{
	va_list args;
	char *text;

	if (spool->warning == NULL)
		return;
	va_start(args, fmt);
	text = i_strdup_vprintf(fmt, args);
	va_end(args);
	spool->warning(text, spool->warning_context);
	i_free(text);
}

void spool_set_warning_callback(struct spool *spool, spool_warning_t *callback,
				void *context)
{
	spool->warning = callback;
	spool->warning_context = context;
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
 * Init
 */

/* A stack for the configuration: its public keys go to `recipients`, and the
   text names none. NULL with *error_r. */
static char *take_stack(const char *text, struct age_recipients *recipients,
			char **error_r)
{
	struct stack_spec *spec = spool_parse_stack(text, error_r);
	char *result;

	if (spec == NULL)
		return *error_r == NULL ? i_strdup("") : NULL;
	if (stack_spec_take_recipients(spec, NULL, recipients, error_r) < 0)
		result = NULL;
	else
		result = stack_spec_format(spec, STACK_SPEC_SETTINGS);
	stack_spec_free(&spec);
	return result;
}

static int write_recipients(int dir_fd, const struct age_recipients *recipients,
			    char **error_r)
{
	char text[AGE_RECIPIENT_TEXT_SIZE];
	struct ostream *output;
	unsigned int i;
	int ret = 0;

	if (age_recipients_count(recipients) == 0)
		return 0;
	output = o_stream_create_file_atomic_at(
		dir_fd, RECIPIENTS_NAME, -1, 0600,
		OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
	o_stream_cork(output);
	o_stream_nsend_str(output,
			   "# Public keys that messages are encrypted to.\n");
	for (i = 0; i < age_recipients_count(recipients); i++) {
		age_recipients_get_text(recipients, i, text);
		o_stream_nsend_str(output, text);
		o_stream_nsend_str(output, "\n");
	}
	if (o_stream_finish(output) <= 0)
		ret = spool_fail(error_r, output->stream_errno, "%s",
				 o_stream_get_error(output));
	o_stream_destroy(&output);
	return ret;
}

/* Creates DIR, or finds it empty; its name is durable then. */
static int make_dir(const char *dir, char **error_r)
{
	struct dirent *entry;
	char *parent;
	DIR *listing;
	bool empty = true;
	int fd, ret;

	if (file_ops()->mkdirat(AT_FDCWD, dir, 0700) < 0 && errno != EEXIST)
		return spool_fail(error_r, errno, "mkdir(%s) failed: %s", dir,
				  strerror(errno));
	fd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0 || (listing = file_ops()->fdopendir(fd)) == NULL)
		return spool_fail(error_r, errno, "open(%s) failed: %s", dir,
				  strerror(errno));
	while ((entry = file_ops()->readdir(listing)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			empty = false;
	}
	(void)file_ops()->closedir(listing);
	if (!empty)
		return spool_fail(error_r, EEXIST,
				  "%s is not empty: a spool needs a directory "
				  "of its own",
				  dir);
	parent = file_dirname(dir);
	ret = file_sync_dir(AT_FDCWD, parent);
	if (ret < 0)
		ret = spool_fail(error_r, errno, "fsync(%s) failed: %s", parent,
				 strerror(errno));
	i_free(parent);
	return ret;
}

static int init_in_dir(int dir_fd, const struct spool_conf *conf,
		       const struct age_recipients *recipients, char **error_r)
{
	int fd;

	if (module_file_init(dir_fd, error_r) < 0 ||
	    write_recipients(dir_fd, recipients, error_r) < 0)
		return -1;
	fd = file_open(dir_fd, LOCK_NAME,
		       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return spool_fail(error_r, errno, "open(lock) failed: %s",
				  strerror(errno));
	(void)file_close(&fd);
	/* the last step: without it the directory is no spool */
	return spool_conf_write(dir_fd, conf, error_r);
}

int spool_init(const char *dir, const struct spool_settings *settings,
	       char **error_r)
{
	const char *body = settings->body == NULL ? "" : settings->body;
	const char *headers = settings->headers == NULL ? body :
							  settings->headers;
	struct age_recipients *recipients = age_recipients_new();
	struct spool_conf conf = { .store = NULL };
	int fd = -1, ret = -1;

	conf.store =
		i_strdup(settings->store == NULL ? "file" : settings->store);
	if (strcmp(conf.store, "file") != 0) {
		(void)spool_fail(error_r, EINVAL,
				 "unknown store \"%s\" (known is \"file\")",
				 conf.store);
		goto out;
	}
	conf.body = take_stack(body, recipients, error_r);
	if (conf.body == NULL)
		goto out;
	conf.headers = take_stack(headers, recipients, error_r);
	if (conf.headers == NULL || make_dir(dir, error_r) < 0)
		goto out;
	fd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0) {
		(void)spool_fail(error_r, errno, "open(%s) failed: %s", dir,
				 strerror(errno));
		goto out;
	}
	ret = init_in_dir(fd, &conf, recipients, error_r);
out:
	(void)file_close(&fd);
	spool_conf_free(&conf);
	age_recipients_unref(&recipients);
	return ret;
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
	return spool;
}

static int take_lock(struct spool *spool, const char *dir, char **error_r)
{
	struct flock lock;
	struct stat st;
	char pid[32];
	ssize_t size;
	int fd;

	fd = file_open(spool->dir_fd, LOCK_NAME,
		       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK |
			       O_NOCTTY,
		       0600);
	if (fd < 0)
		return spool_fail(error_r, errno, "open(%s/lock) failed: %s",
				  dir, strerror(errno));
	spool->lock_fd = fd;
	if (file_ops()->fstat(fd, &st) < 0)
		return spool_fail(error_r, errno, "fstat(%s/lock) failed: %s",
				  dir, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return spool_fail(error_r, EINVAL,
				  "%s/lock is not a regular file: remove it",
				  dir);
	memset(&lock, 0, sizeof(lock));
	lock.l_type = F_WRLCK;
	lock.l_whence = SEEK_SET;
	/* an OFD lock: of this open file, gone with it however it ends */
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		size = file_pread(fd, pid, sizeof(pid) - 1, 0);
		pid[size < 0 ? 0 : size] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		return spool_fail(error_r, EBUSY,
				  "%s is in use by another process%s%s: stop "
				  "that one first, or only read",
				  dir, *pid != '\0' ? " " : "", pid);
	}
	(void)snprintf(pid, sizeof(pid), "pid %ld\n", (long)getpid());
	if (file_ops()->ftruncate(fd, 0) == 0) {
		struct iovec iov = { pid, strlen(pid) };

		(void)file_pwritev(fd, &iov, 1, 0);
	}
	return 0;
}

static int load_recipients(struct spool *spool, const char *dir, char **error_r)
{
	struct stat st;
	char *path;
	int ret;

	if (file_ops()->fstatat(spool->dir_fd, RECIPIENTS_NAME, &st,
				AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0;
		return spool_fail(error_r, errno,
				  "stat(%s/" RECIPIENTS_NAME ") failed: %s",
				  dir, strerror(errno));
	}
	if (!S_ISREG(st.st_mode))
		return spool_fail(error_r, EINVAL,
				  "%s/" RECIPIENTS_NAME
				  " is not a regular file",
				  dir);
	path = i_strdup_printf("%s/" RECIPIENTS_NAME, dir);
	spool->keys.recipients = age_recipients_new();
	ret = age_recipients_add_file(spool->keys.recipients, path, error_r);
	i_free(path);
	return ret;
}

/* The newest id that was made here, so that none is made again. */
static void load_last_id(struct spool *spool)
{
	char text[MESSAGE_ID_TEXT_SIZE] = "";
	struct message_id last;
	int fd;

	fd = file_open_regular(spool->dir_fd, LAST_ID_NAME);
	if (fd >= 0 &&
	    file_read(fd, text, sizeof(text) - 1) == sizeof(text) - 1 &&
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

static int open_in_dir(struct spool *spool, const char *dir, char **error_r)
{
	if (spool_conf_read(spool->dir_fd, &spool->conf, error_r) < 0)
		return -1;
	if ((spool->flags & SPOOL_OPEN_READ_ONLY) == 0 &&
	    take_lock(spool, dir, error_r) < 0)
		return -1;
	if (load_recipients(spool, dir, error_r) < 0)
		return -1;
	load_last_id(spool);
	if (strcmp(spool->conf.store, "file") != 0)
		return spool_fail(error_r, ENOTSUP,
				  "%s/spool.conf: store \"%s\" is not known to "
				  "this version of Bobbin",
				  dir, spool->conf.store);
	spool->store = module_file_open(spool, error_r);
	if (spool->store == NULL)
		return -1;
	spool->modules[spool->module_count++].io = spool->store;
	return spool_load_conf_modules(spool, error_r);
}

struct spool *spool_open(const char *dir, unsigned int flags,
			 const struct stream_context *keys, char **error_r)
{
	struct spool *spool = spool_new();
	int old_errno;

	spool->flags = flags;
	if (keys != NULL && keys->identities != NULL) {
		age_identities_ref(keys->identities);
		spool->keys.identities = keys->identities;
	}
	spool->dir_fd =
		file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (spool->dir_fd < 0)
		(void)spool_fail(error_r, errno, "open(%s) failed: %s", dir,
				 strerror(errno));
	else if (open_in_dir(spool, dir, error_r) == 0)
		return spool;
	old_errno = errno;
	spool_close(&spool);
	errno = old_errno;
	return NULL;
}

/*
 * Close
 */

void spool_close(struct spool **_spool)
{
	struct spool *spool = *_spool;

	if (spool == NULL)
		return;
	*_spool = NULL;
	atomic_store(&spool->stopping, true);
	spool_wait_scan(spool);
	spool_unload_modules(spool);
	if (spool->lock_fd != -1 && spool->ids != NULL)
		save_last_id(spool);
	(void)file_close(&spool->lock_fd);
	(void)file_close(&spool->dir_fd);
	spool_conf_free(&spool->conf);
	age_recipients_unref(&spool->keys.recipients);
	age_identities_unref(&spool->keys.identities);
	message_id_generator_free(&spool->ids);
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

static int list(struct spool *spool, bool verify, spool_entry_t *callback,
		void *context, char **error_r)
{
	if (spool->store == NULL)
		return spool_fail(error_r, ENOTSUP,
				  "the spool has no native store");
	return module_file_list(spool->store, verify, callback, context,
				error_r);
}

int spool_list(struct spool *spool, spool_entry_t *callback, void *context,
	       char **error_r)
{
	return list(spool, false, callback, context, error_r);
}

int spool_verify(struct spool *spool, spool_entry_t *callback, void *context,
		 char **error_r)
{
	return list(spool, true, callback, context, error_r);
}
