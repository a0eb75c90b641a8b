/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a person wants to know of a journal. It is counted by who commits, and read by
   who takes that part meanwhile: so there is no lock of its own. */

#include "config.h"
#include "journal/journal-private.h"
#include "file-ops.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

/* Of stat(2): st_blocks counts in these, whatever the filesystem's are. */
#define STAT_BLOCK_SIZE 512

static void count_value(uint64_t histogram[SPOOL_HISTOGRAM_SIZE],
			uint64_t value)
{
	unsigned int i = 0;

	while (value > 1 && i + 1 < SPOOL_HISTOGRAM_SIZE) {
		value >>= 1;
		i++;
	}
	histogram[i]++;
}

void journal_count_group(struct journal *journal, unsigned int changes,
			 bool synced, uint64_t sync_usecs)
{
	if (!synced) {
		journal->stats.failed_groups++;
		return;
	}
	count_value(journal->stats.sync_usecs, sync_usecs);
	/* one that only says what is void is nobody's */
	if (changes > 0)
		count_value(journal->stats.group_changes, changes);
}

static int add_segment(const struct journal *journal,
		       const struct journal_segment *segment,
		       struct spool_stats *stats)
{
	char name[JOURNAL_NAME_SIZE];
	struct stat st;

	journal_segment_name(segment->header.number, name);
	/* one that was given up is gone */
	if (file_ops()->fstatat(journal->fd, name, &st, AT_SYMLINK_NOFOLLOW) <
	    0)
		return errno == ENOENT ? 0 : -1;
	stats->segment_bytes += (uint64_t)st.st_blocks * STAT_BLOCK_SIZE;
	stats->records += segment->total;
	stats->live_records += segment->live;
	if (segment->cut)
		stats->cut_segments++;
	else if (segment->blank)
		stats->blank_segments++;
	else if (segment->live == 0)
		stats->dead_segments++;
	else
		stats->live_segments++;
	return 0;
}

int journal_get_stats(struct journal *journal, struct spool_stats *stats_r)
{
	const struct journal_segment *segment;
	uint32_t i;
	int ret = 0, error;

	journal_begin_commit(journal);
	*stats_r = journal->stats;
	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < journal->segment_end && ret == 0; i++) {
		segment = journal->segments[i];
		if (segment != NULL)
			ret = add_segment(journal, segment, stats_r);
	}
	error = errno;
	(void)pthread_mutex_unlock(&journal->mutex);
	journal_end_commit(journal);
	errno = error;
	return ret;
}
