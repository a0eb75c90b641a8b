/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_JOURNAL_GROUP_H
#define BOBBIN_JOURNAL_GROUP_H

/* A group: records one behind the other, which are written at once. Not installed. */

#include "journal/journal-private.h"

#include <sys/uio.h>

/* Vectors of one pwritev(), and records of one group. */
#define JOURNAL_GROUP_VECTORS 1000
#define JOURNAL_GROUP_RECORDS (JOURNAL_GROUP_VECTORS / 4)

/* Of who is committing, as are all calls. The caller reads what there is. */
struct journal_group {
	struct journal_segment *segment;
	uint64_t pos, end;
	unsigned int record_count;
	uint64_t taken;      /* bytes of messages' records, and behind them */
	uint64_t sync_usecs; /* that its sync took */

	/* the caller's, who decides what comes into it */
	unsigned int request_count;
	bool grows; /* the first request does more than remove */
	uint64_t ends[JOURNAL_USES]; /* where those of a use have to end */

	/* journal-group.c */
	bool was_message; /* the last one */
	unsigned int iov_count;
	struct iovec iov[JOURNAL_GROUP_VECTORS];
	unsigned char headers[JOURNAL_GROUP_RECORDS + 1][JOURNAL_HEADER_SIZE];
};

/* What stands before a record; its sequence is given when it comes into a group. */
void journal_record_header(const struct journal_record *record,
			   struct journal_header *header_r);
/* An empty one, behind what the segment has. */
void journal_group_begin(struct journal_group *group,
			 struct journal_segment *segment);
/* The record gets its place. What it points to has to stay until the group is written. */
void journal_group_add(struct journal *journal, struct journal_group *group,
		       struct journal_record *record);
/* A block in which there is nothing. */
void journal_group_add_block(struct journal *journal,
			     struct journal_group *group);
/* With padding up to the next block, so that between two groups there is nothing that is not
   a record. Durable, or -1 with errno: nobody can tell what of it is on the disk. */
int journal_group_write(struct journal *journal, struct journal_group *group,
			int fd);

#endif
