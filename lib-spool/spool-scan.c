/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The scan at start-up, in a detached thread of its own; closing the spool waits
   for it. */

#include "config.h"
#include "spool-private.h"
#include "mem.h"
#include "panic.h"
#include "thread-start.h"

#include <string.h>

void spool_scan_found(struct spool_scan *scan, const message_id *id)
{
	if (scan->found != NULL)
		scan->found(id, scan->context);
}

bool spool_scan_is_stopping(struct spool_scan *scan)
{
	return atomic_load(&scan->spool->stopping);
}

void spool_note_left_out(struct spool *spool, int error)
{
	(void)pthread_mutex_lock(&spool->mutex);
	if (spool->undone.left_out++ == 0)
		spool->undone.left_out_errno = error;
	(void)pthread_mutex_unlock(&spool->mutex);
}

void spool_note_unkept(struct spool *spool, int error)
{
	(void)pthread_mutex_lock(&spool->mutex);
	if (spool->undone.unkept++ == 0)
		spool->undone.unkept_errno = error;
	(void)pthread_mutex_unlock(&spool->mutex);
}

void spool_get_undone(struct spool *spool, struct spool_undone *undone_r)
{
	(void)pthread_mutex_lock(&spool->mutex);
	*undone_r = spool->undone;
	(void)pthread_mutex_unlock(&spool->mutex);
}

static void *scan_thread(void *context)
{
	struct spool_scan *scan = context;
	struct spool *spool = scan->spool;
	io_infrastructure *io = scan->module;

	if (io != NULL)
		(void)io->io_process_disk_queue(io, scan);
	if (scan->done != NULL)
		scan->done(scan->context);
	i_free(scan);
	(void)pthread_mutex_lock(&spool->mutex);
	spool->scan_running = false;
	(void)pthread_cond_broadcast(&spool->scan_ended);
	(void)pthread_mutex_unlock(&spool->mutex);
	return NULL;
}

/* The first module that has it, the native store being the last. */
static io_infrastructure *find_scanner(const struct spool *spool)
{
	unsigned int i;

	for (i = 0; i < spool->module_count; i++) {
		if (spool->modules[i].io->io_process_disk_queue != NULL)
			return spool->modules[i].io;
	}
	return NULL;
}

void spool_start_scan(struct spool *spool, spool_found_t *found,
		      spool_done_t *done, void *context)
{
	struct spool_scan *scan;
	pthread_t thread;
	bool running;
	int error;

	if (spool_is_forked(spool)) {
		(void)io_refuse_forked(spool);
		spool_warn(spool, "no scan: %s", io_get_error());
		if (done != NULL)
			done(context);
		return;
	}
	scan = i_new(struct spool_scan, 1);
	scan->spool = spool;
	scan->found = found;
	scan->done = done;
	scan->context = context;
	scan->module = find_scanner(spool);
	atomic_store(&spool->in_use, true);
	(void)pthread_mutex_lock(&spool->mutex);
	running = spool->scan_running;
	spool->scan_running = true;
	(void)pthread_mutex_unlock(&spool->mutex);
	if (running) {
		i_free(scan);
		i_panic("spool_start_scan(): a scan is running");
	}
	error = thread_start(&thread, scan_thread, scan);
	if (error == 0) {
		(void)pthread_detach(thread);
		return;
	}
	/* better late than not at all: on the caller's own thread */
	spool_warn(spool, "no thread for the scan: %s", strerror(error));
	(void)scan_thread(scan);
}

void spool_wait_scan(struct spool *spool)
{
	/* what runs, runs in the parent */
	if (spool_is_parents(spool))
		return;
	(void)pthread_mutex_lock(&spool->mutex);
	while (spool->scan_running)
		(void)pthread_cond_wait(&spool->scan_ended, &spool->mutex);
	(void)pthread_mutex_unlock(&spool->mutex);
}
