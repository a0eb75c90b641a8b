/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_SPOOL_COMMON_H
#define TEST_SPOOL_COMMON_H

/* Spools below the test's directory, one after the other. */

#include "buffer.h"
#include "spool.h"
#include "test-common.h"

/* A body, as it would go to a server. */
#define TEST_SPOOL_WIRE "Subject: hello\r\n\r\n..dots\r\n.\r\n"
/* A stack with a checksum of its own. */
#ifdef HAVE_ZSTD
#define TEST_SPOOL_ZSTD "zstd"
#else
#define TEST_SPOOL_ZSTD "gzip"
#endif
/* So long a body has a file of its own in the journal store, whose segments are small
   here; where these files are. */
#define TEST_SPOOL_LARGE 70000
#define TEST_SPOOL_BODIES "journal/bodies"

/* Of a group: make a key pair, test_path("key") and test_path("public"), which
   spools are then opened with. */
int test_spool_setup(void **state);
int test_spool_teardown(void **state);
/* To open one with a key that no spool is encrypted to; the identities are the
   caller's. */
struct stream_context test_spool_other_keys(void);

/* The directory of the newest spool. */
const char *test_spool_dir(void);
/* A new one, whose bodies go through this stack. */
void test_spool_init(const char *body);
/* The same of this store, whose segments are small where it has any; opened. */
struct spool *test_spool_new_of(const char *store, const char *body);
/* Opens the newest one. */
struct spool *test_spool_open(unsigned int flags);
/* Both. */
struct spool *test_spool_new(const char *body);
/* A body, whose length is not announced. */
void test_spool_set_body(email_message *message, const void *data, size_t size);
/* spool_put() of a message with a sender, a recipient and this body. */
int test_spool_put(struct spool *spool, const void *data, size_t size,
		   message_id *id_r);
/* So many, with TEST_SPOOL_WIRE, which goes well. */
void test_spool_put_many(struct spool *spool, message_id *ids,
			 unsigned int count);
/* One with an id of the caller's. */
int test_spool_put_as(struct spool *spool, const void *data, size_t size,
		      const message_id *id);
/* One with TEST_SPOOL_WIRE to so many, which goes well. */
email_message *test_spool_put_to(struct spool *spool, unsigned int recipients);
/* Another body for it, and its headers with it. */
void test_spool_change_body(struct spool *spool, const message_id *id,
			    const void *data, size_t size);
/* A body that is this text, or the headers, alone: the answer. */
int test_spool_write_body(struct spool *spool, email_message *message,
			  const char *text);
int test_spool_write_headers(struct spool *spool, email_message *message);
/* The next one to open the file of a body finds this message gone: it is removed just
   before. */
void test_spool_remove_when_opened(struct spool *spool, const message_id *id);
/* So it came, and nothing else will. */
void test_spool_must_be_removed(void);
/* That this is what a read gives. */
void test_spool_must_have(struct spool *spool, const message_id *id,
			  const void *data, size_t size);
/* Reads its body from this offset on: the errno that it ends with, 0: well. What was
   read replaces out's data (NULL: nobody wants it). */
int test_spool_read(struct spool *spool, const message_id *id, uint64_t offset,
		    buffer_t *out);
/* That of a body whose file is damaged, whatever the way, nobody is told that it is
   whole; the file is then what it was. */
void test_spool_damage_body(struct spool *spool, const message_id *id,
			    const char *path);
/* Verifies: how many are damaged, and of how many. */
unsigned int test_spool_damaged(struct spool *spool, unsigned int *total_r);
/* Scans: how many were found. */
unsigned int test_spool_scan(struct spool *spool);
/* The same of the newest one, which is closed and opened again before. */
unsigned int test_spool_scan_again(struct spool **spool);
/* What belongs to no message. */
void test_spool_count_strays(struct spool *spool,
			     struct spool_strays *strays_r);
/* What is in a directory below the newest spool's. */
struct test_spool_files {
	unsigned int count;
	char path[1024]; /* of the last one */
};
struct test_spool_files test_spool_files_in(const char *name);
/* The path of a segment's file in the journal store; valid until the next call. */
const char *test_spool_segment(unsigned int number);
/* The path of a message's file in the file store. */
void test_spool_file(const message_id *id, const char *suffix, char path[512]);
/* Replaces a word, of which the first is number 0, of the line of a header file there, and
   what ends the line; the line's checksum is right. */
void test_spool_replace_word(const char *path, unsigned int word,
			     const char *text, const char *end);
/* How many files there are in its bucket of the file store. */
unsigned int test_spool_count_files(const message_id *id);

#endif
