/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_MIGRATE_COMMON_H
#define TEST_MIGRATE_COMMON_H

/* Two spools, and messages that move from the one to the other. */

#include "spool.h"
#include "test-spool-common.h"

/* So many are on their way at once. */
#define TEST_MIGRATE_MANY 16

struct test_direction {
	const char *from, *from_stack, *to, *to_stack;
};
/* Between both stores, each way, and within each of them. */
extern const struct test_direction test_directions[4];

struct test_pair {
	struct spool *from, *to;
	char from_dir[512], to_dir[512];
};
void test_pair_new(const struct test_direction *direction,
		   struct test_pair *pair);
void test_pair_close(struct test_pair *pair);
/* Closes it and opens it: *spool. */
struct spool *test_open_again(struct spool **spool, const char *dir);

/* What the callback was told. */
struct test_told {
	unsigned int count, were_there, problems;
	int error; /* of the last problem */
	uint64_t octets;
	size_t total;
};

/* Is it: its context is one of those. */
bool test_migrate_note(const struct spool_migrated *what, void *context);
/* All of them, which goes well. */
struct test_told test_migrate(const struct test_pair *pair, unsigned int flags);

/* A message with a body of TEST_SPOOL_LARGE. */
void test_put_large(struct spool *spool, message_id *id);
/* One with something in every field, and of version 3. */
void test_put_full(struct spool *spool, message_id *id);
/* There are so many, and all of them are whole. */
void test_must_have_whole(struct spool *spool, unsigned int count);

#endif
