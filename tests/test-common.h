/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_COMMON_H
#define TEST_COMMON_H

/* What every test program includes: cmocka, and small helpers of ours. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "buffer.h"
#include "file-ops.h"
#include "macros.h"
#include "panic.h"
#include "test-faults.h"

/* Under AddressSanitizer the memory of a codec is dear: where a test tries every
   place, there it tries every fifth, and the plain build has them all. */
#if defined(__SANITIZE_ADDRESS__)
#define TEST_STEP 5
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_STEP 5
#endif
#endif
#ifndef TEST_STEP
#define TEST_STEP 1
#endif

/*
 * Panics: EXPECT_PANIC("text", statement;) fails unless the statement panics
 * with a text that contains this one.
 */
extern sigjmp_buf test_panic_jump;
extern char test_panic_text[1024];
void test_panic_begin(void);
void test_panic_end(void);

#define EXPECT_PANIC(text, statement)                                   \
	do {                                                            \
		test_panic_begin();                                     \
		if (sigsetjmp(test_panic_jump, 0) == 0) {               \
			statement;                                      \
			test_panic_end();                               \
			fail_msg("no panic: %s", #statement);           \
		}                                                       \
		test_panic_end();                                       \
		if (strstr(test_panic_text, (text)) == NULL)            \
			fail_msg("panicked with: %s", test_panic_text); \
	} while (0)

/*
 * Data
 */
enum test_data_kind {
	TEST_DATA_TEXT,
	TEST_DATA_RANDOM,
	TEST_DATA_ZEROS
};
/* The same bytes for the same arguments; text is made of mail-like lines that
   end with LF, some of which begin with dots. free() it. */
unsigned char *test_data(enum test_data_kind kind, size_t size);
/* A small, fast generator: the next number after *state (not 0). */
uint32_t test_random(uint32_t *state);
/* Of this process, with the one that it takes to look. */
unsigned int test_open_descriptors(void);

/*
 * Files: a directory of the test program's own, removed at the end
 */
const char *test_dir(void);
/* test_dir()/name; valid for the next seven calls. */
const char *test_path(const char *name);
void test_write_file(const char *path, const void *data, size_t size);
/* All of the file, as a buffer to be freed by buffer_free(). */
buffer_t *test_read_file(const char *path);
/* Changes a bit of the byte there. */
void test_flip(const char *path, uint64_t offset);
/* A file of tests/data. */
const char *test_data_path(const char *name);
/* Removes a file or directory and all that is in it, if it is there. */
void test_remove_tree(const char *path);
/* How many threads this process has; one that was joined may count for a moment. */
unsigned int test_count_threads(void);
/* There are so many, at once or when that moment is over. */
void test_threads_are(unsigned int count);
/* No thread can be made until test_threads_again(), as its stack has no address space; false:
   here it can all the same, which says NOT RUN. */
bool test_threads_fail(void);
void test_threads_again(void);
/* Runs a shell command; its exit status. */
int test_command(const char *fmt, ...) ATTR_FORMAT(1, 2);
/* Whether a program is there; if not, says NOT RUN. */
bool test_have_program(const char *name);

#endif
