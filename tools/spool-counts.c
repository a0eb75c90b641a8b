/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a journal has counted, for a person. */

#include "config.h"
#include "spool-common.h"

#include <inttypes.h>
#include <stdlib.h>

static void print_histogram(FILE *f, const char *what,
			    const uint64_t histogram[SPOOL_HISTOGRAM_SIZE])
{
	uint64_t from, to;
	unsigned int i;

	for (i = 0; i < SPOOL_HISTOGRAM_SIZE; i++) {
		from = i == 0 ? 0 : (uint64_t)1 << i;
		to = ((uint64_t)1 << (i + 1)) - 1;
		if (histogram[i] > 0)
			fprintf(f,
				"%" PRIu64 " %s %" PRIu64 " to %" PRIu64 "\n",
				histogram[i], what, from, to);
	}
}

void spool_print_syncs(FILE *f, struct spool *spool)
{
	struct spool_stats stats;
	char *error;

	if (spool_get_stats(spool, &stats, &error) < 0) {
		tool_warn("%s", error);
		free(error);
		return;
	}
	print_histogram(f, "groups, of changes:", stats.group_changes);
	print_histogram(f, "syncs, of microseconds:", stats.sync_usecs);
	if (stats.failed_groups > 0)
		fprintf(f, "%" PRIu64 " groups could not be written\n",
			stats.failed_groups);
}

bool spool_has_segments(const struct spool_stats *stats)
{
	return stats->live_segments + stats->dead_segments +
		stats->blank_segments + stats->cut_segments >
		0;
}

void spool_print_segments(FILE *f, const struct spool_stats *stats)
{
	if (!spool_has_segments(stats))
		return;
	fprintf(f,
		"segments      %" PRIu64 " live, %" PRIu64 " dead, %" PRIu64
		" blank, %" PRIu64 " cut\nsegment bytes %" PRIu64
		"\nrecords       %" PRIu64 ", live %" PRIu64 "\n",
		stats->live_segments, stats->dead_segments,
		stats->blank_segments, stats->cut_segments,
		stats->segment_bytes, stats->records, stats->live_records);
}
