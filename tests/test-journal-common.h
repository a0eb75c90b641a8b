/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_JOURNAL_COMMON_H
#define TEST_JOURNAL_COMMON_H

/* Journals without a spool, one after the other, whose messages have numbers. */

#include "journal/journal-private.h"
#include "test-common.h"

/* Of its segments, in bytes. */
#define TEST_JOURNAL_SEGMENT JOURNAL_SEGMENT_MIN

extern struct test_journal {
	int dir_fd; /* of the newest one */
	char dir[512];
	unsigned int warnings; /* since it was made */
} test_journal;

/* For the settings of those that a test opens itself. */
void test_journal_count_warning(void *context, const char *text);
/* An empty journal in a directory of its own; and opened. */
void test_journal_new_dir(void);
struct journal *test_journal_new(void);
/* Opens the newest one, with small segments where it does not say. */
struct journal *test_journal_open_with(struct journal_settings settings);
struct journal *test_journal_open(bool read_only);
/* The same, and repairs it. */
struct journal *test_journal_repair(bool read_only);

/* What a file system tells that is asked for its space, in blocks of 4096 bytes, by
   test_telling_fstatvfs(); `fails`: it does not. */
extern struct test_told {
	bool fails;
	uint64_t blocks, for_all, for_root; /* of which are free */
} test_told;
int test_telling_fstatvfs(int fd, struct statvfs *st);

/* As spread as real ones are. */
void test_journal_make_id(unsigned int n, message_id *id);
/* A message that is to be stored; how often and with what its done() was called. */
struct test_journal_put {
	struct journal_request request;
	char body[64], headers[64];
	unsigned int done;
	int error;
};
void test_journal_make_put(struct test_journal_put *put, unsigned int n,
			   uint64_t version);
/* The number of the segment that is written, 0: there is none. */
uint32_t test_journal_active(const struct journal *journal);
/* Which goes well. */
void test_journal_store_version(struct journal *journal, unsigned int n,
				uint64_t version);
/* 0, or the errno. */
int test_journal_store(struct journal *journal, unsigned int n);
int test_journal_drop(struct journal *journal, unsigned int n);
/* Claims it, and makes the request for that. */
void test_journal_claim_drop(struct journal *journal, unsigned int n,
			     struct journal_request *request,
			     unsigned char target[JOURNAL_TARGET_SIZE]);
/* All from `from` to before `to`. */
void test_journal_drop_range(struct journal *journal, unsigned int from,
			     unsigned int to);
/* Of those from 0 to before `end` few stay: removes the others; that it is so. */
#define TEST_JOURNAL_KEEPS(n) ((n) % 9 == 1)
void test_journal_drop_most(struct journal *journal, unsigned int end);
void test_journal_must_have_the_rest(struct journal *journal, unsigned int end);
/* Of its first record's message. */
void test_journal_commit_claimed(struct journal *journal,
				 struct journal_request *request);
/* Closes it and opens it again, with small segments. */
void test_journal_start_again(struct journal **journal);
/* Whether it is there, which is wholly, with what it was stored with. */
bool test_journal_has(struct journal *journal, unsigned int n);

/* What is left in half empty segments is moved. */
void test_journal_compact(struct journal *journal);
/* Stores messages from *n on until another segment is begun. */
void test_journal_fill(struct journal *journal, unsigned int *n);
/* Stores `count` messages from *n on, and removes the one before each, as in a queue. So many
   first ones stay, about a segment. */
#define TEST_JOURNAL_STAYING 15
void test_journal_pass(struct journal *journal, unsigned int *n,
		       unsigned int count);
/* Others come, and go, and what is dead is moved out of the way. */
void test_journal_time_passes(struct journal *journal, unsigned int *n);

/* The path of this segment's file; valid until the next call. */
const char *test_journal_segment(unsigned int number);
/* Cuts it there. */
void test_journal_cut(unsigned int segment, uint64_t size);
/* Of all segments, in bytes. */
uint64_t test_journal_disk_use(void);
/* In a directory below the journal's, "journal" or "quarantine". */
unsigned int test_journal_files_in(const char *name);
/* test_flip() in the first segment, or in this one. */
void test_journal_flip(uint64_t offset);
void test_journal_flip_in(unsigned int segment, uint64_t offset);
/* Each copy in quarantine has the bytes that are there in the segment, which its name tells,
   and at least so many: how many copies there are. */
unsigned int test_journal_must_keep_bytes(size_t least);
/* How many values it has counted. */
uint64_t test_journal_sum(const uint64_t histogram[SPOOL_HISTOGRAM_SIZE]);

#endif
