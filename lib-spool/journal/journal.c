/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Making, opening and closing a journal. */

#include "config.h"
#include "journal/journal-private.h"
#include "file-ops.h"
#include "mem.h"
#include "spool-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Of a reader, beside who writes all the time. */
#define OPEN_TRIES_MAX 10

void journal_warn(struct journal *journal, const char *fmt, ...)
{
	va_list args;
	char *text;

	if (journal->settings.warning == NULL)
		return;
	va_start(args, fmt);
	text = i_strdup_vprintf(fmt, args);
	va_end(args);
	journal->settings.warning(journal->settings.context, text);
	i_free(text);
}

void journal_unkept(struct journal *journal, int error)
{
	if (journal->settings.unkept != NULL)
		journal->settings.unkept(journal->settings.context, error);
}

int journal_init(int dir_fd)
{
	if (file_ops()->mkdirat(dir_fd, JOURNAL_DIR_NAME, 0700) < 0 ||
	    file_ops()->mkdirat(dir_fd,
				JOURNAL_DIR_NAME "/" JOURNAL_BODIES_NAME,
				0700) < 0 ||
	    file_sync_dir(dir_fd, JOURNAL_DIR_NAME) < 0)
		return -1;
	return file_sync_dir_fd(dir_fd);
}

static int open_dirs(struct journal *journal, char **error_r)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

	journal->fd = file_open(journal->dir_fd, JOURNAL_DIR_NAME, flags, 0);
	journal->files.dir_fd = journal->fd;
	if (journal->fd < 0)
		return spool_fail(error_r, errno, "open(%s) failed: %s",
				  journal->dir, strerror(errno));
	journal->bodies_fd =
		file_open(journal->fd, JOURNAL_BODIES_NAME, flags, 0);
	/* an empty directory is what copies leave out */
	if (journal->bodies_fd < 0 && errno == ENOENT &&
	    !journal->settings.read_only &&
	    file_ops()->mkdirat(journal->fd, JOURNAL_BODIES_NAME, 0700) == 0 &&
	    file_sync_dir_fd(journal->fd) == 0)
		journal->bodies_fd =
			file_open(journal->fd, JOURNAL_BODIES_NAME, flags, 0);
	if (journal->bodies_fd < 0)
		return spool_fail(error_r, errno,
				  "open(%s/" JOURNAL_BODIES_NAME ") failed: %s",
				  journal->dir, strerror(errno));
	if (!journal->settings.read_only)
		/* what a crash left; the lock is ours */
		(void)file_ops()->unlinkat(journal->fd, JOURNAL_NEW_NAME, 0);
	return 0;
}

/* Who only reads writes no group. */
static int make_group(struct journal *journal, char **error_r)
{
	if (journal->settings.read_only)
		return 0;
	journal->group = journal_group_new();
	return journal->group != NULL ?
		0 :
		spool_fail(error_r, ENOMEM, "out of memory");
}

static struct journal_worker *
start_worker(struct journal *journal, journal_work_t *work, const char *what)
{
	struct journal_worker *worker = journal_worker_start(journal, work);

	if (worker == NULL)
		journal_warn(journal, "%s: no thread for %s: %s", journal->dir,
			     what, strerror(errno));
	return worker;
}

static void start_workers(struct journal *journal)
{
	if (journal->settings.read_only || !journal->settings.upkeep)
		return;
	journal->maker =
		start_worker(journal, journal_segment_make_ahead,
			     "the next segment: who writes waits for it");
	journal->upkeep = start_worker(
		journal, journal_upkeep,
		"the upkeep: space is given back when the spool is opened "
		"again");
	/* what was left by the time before */
	(void)pthread_mutex_lock(&journal->mutex);
	journal_worker_wake(journal->upkeep);
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* What a crash left, and what is lost. */
static void mend(struct journal *journal)
{
	if (journal_sweep_bodies(journal))
		journal_damage_mend(journal);
}

static struct journal *open_once(int dir_fd, const char *dir,
				 const struct journal_settings *settings,
				 char **error_r)
{
	struct journal *journal = try_calloc(1, sizeof(*journal));
	int error;

	if (journal == NULL) {
		(void)spool_fail(error_r, ENOMEM, "out of memory");
		return NULL;
	}
	journal->dir_fd = dir_fd;
	journal->fd = -1;
	journal->bodies_fd = -1;
	journal->dir = i_strdup_printf("%s/" JOURNAL_DIR_NAME, dir);
	journal->settings = *settings;
	if (journal->settings.segment_size == 0)
		journal->settings.segment_size = journal_default_size(dir_fd);
	journal->next_sequence = 1;
	journal->first_number = 1;
	journal->damage_end = &journal->damage;
	journal_index_init(&journal->index);
	journal_files_init(&journal->files, settings->read_only);
	(void)pthread_mutex_init(&journal->mutex, NULL);
	journal_queue_init(journal);
	(void)pthread_mutex_init(&journal->compaction, NULL);
	(void)pthread_mutex_init(&journal->making, NULL);
	if (make_group(journal, error_r) == 0 &&
	    open_dirs(journal, error_r) == 0 &&
	    journal_recover(journal, error_r) == 0) {
		if (!settings->read_only)
			mend(journal);
		journal_index_is_open(&journal->index);
		start_workers(journal);
		return journal;
	}
	error = errno;
	journal_close(&journal);
	errno = error;
	return NULL;
}

static bool has_changed(struct journal *journal)
{
	struct journal_source source;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		if (journal_segment_source(journal, i, &source) &&
		    journal_source_has_changed(&source))
			return true;
	}
	return journal_damage_is_outdated(journal);
}

/* NULL: it could not be read, for this errno: a segment that was listed may have been removed
   since. */
static bool is_outdated(struct journal *journal)
{
	return journal == NULL ? errno == ENOENT : has_changed(journal);
}

/* Beside a writer what a reader has read may be of two times: segments were written anew
   meanwhile, or removed, or the one that is written has more. Then it is read again, as
   often as that may help. */
struct journal *journal_open(int dir_fd, const char *dir,
			     const struct journal_settings *settings,
			     char **error_r)
{
	struct journal *journal = open_once(dir_fd, dir, settings, error_r);
	unsigned int tries;

	if (!settings->read_only)
		return journal;
	for (tries = 1; tries < OPEN_TRIES_MAX && is_outdated(journal);
	     tries++) {
		if (journal == NULL)
			i_free(*error_r);
		journal_close(&journal);
		journal = open_once(dir_fd, dir, settings, error_r);
	}
	if (journal != NULL)
		journal_damage_forget(journal);
	return journal;
}

static void stop_threads(struct journal *journal)
{
	/* each wakes the other until it has ended */
	journal_worker_stop(journal->upkeep);
	journal_worker_stop(journal->maker);
	journal_worker_free(&journal->upkeep);
	journal_worker_free(&journal->maker);
	journal_writer_stop(journal);
}

void journal_end(struct journal **journal)
{
	if (*journal != NULL) {
		stop_threads(*journal);
		journal_vouch(*journal);
	}
	journal_close(journal);
}

void journal_close(struct journal **_journal)
{
	struct journal *journal = *_journal;
	uint32_t i;

	*_journal = NULL;
	if (journal == NULL)
		return;
	stop_threads(journal);
	journal_listing_free(journal);
	for (i = 0; i < journal->segment_end; i++)
		journal_segment_free(&journal->segments[i]);
	i_free(journal->segments);
	i_free(journal->given_up);
	journal_files_deinit(&journal->files);
	journal_voids_free(journal);
	journal_damage_free(journal);
	journal_rests_free(journal);
	i_free(journal->group);
	(void)file_close(&journal->bodies_fd);
	(void)file_close(&journal->fd);
	(void)pthread_mutex_destroy(&journal->making);
	(void)pthread_mutex_destroy(&journal->compaction);
	journal_queue_deinit(journal);
	(void)pthread_mutex_destroy(&journal->mutex);
	journal_index_deinit(&journal->index);
	i_free(journal->dir);
	i_free(journal);
}

int journal_claim(struct journal *journal, const message_id *id,
		  struct journal_entry *entry_r)
{
	if (journal_index_claim(&journal->index, id, entry_r))
		return 0;
	errno = ENOMEM;
	return -1;
}

void journal_release(struct journal *journal, const message_id *id)
{
	journal_index_release(&journal->index, id);
}

int journal_reserve_states(struct journal *journal, const message_id *id)
{
	if (journal_index_reserve_states(&journal->index, id))
		return 0;
	errno = ENOMEM;
	return -1;
}

bool journal_find(struct journal *journal, const message_id *id,
		  struct journal_entry *entry_r)
{
	return journal_index_find(&journal->index, id, entry_r);
}

void journal_for_each(struct journal *journal, bool old,
		      journal_entry_t *callback, void *context)
{
	journal_index_for_each(&journal->index, old, callback, context);
}

/* Headers have to have room beside it. */
uint64_t journal_max_size(const struct journal *journal)
{
	uint64_t size = journal->settings.segment_size;

	return size - size / 8 - 2 * JOURNAL_BLOCK_SIZE;
}

void journal_make_target(struct journal *journal,
			 const struct journal_place *place,
			 unsigned char target_r[JOURNAL_TARGET_SIZE])
{
	const struct journal_segment *segment =
		journal_segment_get(journal, place->segment);
	struct journal_target target;

	memset(&target, 0, sizeof(target));
	/* who has the claim has a live record: its segment stays what it is */
	memcpy(target.incarnation, segment->header.incarnation,
	       JOURNAL_INCARNATION_SIZE);
	target.offset = place->offset;
	journal_target_put(&target, target_r);
}
