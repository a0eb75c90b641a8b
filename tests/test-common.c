/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "test-common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Sanitizers: no memory is NULL, as without them, since we test for it.
 */

const char *__asan_default_options(void);
ATTR_EXPORT const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void);
ATTR_EXPORT const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/*
 * One test of a program: TEST_FILTER=test_name
 */

__attribute__((constructor)) static void choose_test(void)
{
	const char *name = getenv("TEST_FILTER");

	if (name != NULL)
		cmocka_set_test_filter(name);
}

/*
 * Panics
 */

sigjmp_buf test_panic_jump;
char test_panic_text[1024];

static void panic_handler(const char *text, void *context ATTR_UNUSED)
{
	(void)snprintf(test_panic_text, sizeof(test_panic_text), "%s", text);
	siglongjmp(test_panic_jump, 1);
}

void test_panic_begin(void)
{
	test_panic_text[0] = '\0';
	bobbin_set_panic_handler(panic_handler, NULL);
}

void test_panic_end(void)
{
	bobbin_set_panic_handler(NULL, NULL);
}

/*
 * Data
 */

uint32_t test_random(uint32_t *state)
{
	uint32_t x = *state;

	/* xorshift32 */
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

static pthread_attr_t usual_threads;

static void *do_nothing(void *context ATTR_UNUSED)
{
	return NULL;
}

bool test_threads_fail(void)
{
	pthread_attr_t huge;
	pthread_t probe;

	assert_int_equal(pthread_getattr_default_np(&usual_threads), 0);
	assert_int_equal(pthread_attr_init(&huge), 0);
	assert_int_equal(pthread_attr_setstacksize(&huge, SIZE_MAX / 4), 0);
	assert_int_equal(pthread_setattr_default_np(&huge), 0);
	(void)pthread_attr_destroy(&huge);
	if (pthread_create(&probe, NULL, do_nothing, NULL) != 0)
		return true;
	(void)pthread_join(probe, NULL);
	test_threads_again();
	printf("NOT RUN: threads cannot be made to fail here\n");
	return false;
}

void test_threads_again(void)
{
	assert_int_equal(pthread_setattr_default_np(&usual_threads), 0);
	(void)pthread_attr_destroy(&usual_threads);
}

unsigned int test_open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	(void)closedir(dir);
	return count;
}

static void fill_text(unsigned char *data, size_t size, uint32_t *state)
{
	static const char *const words[] = {
		"the ",   "message ", "spool ", "a ", "stream ",  "=20",
		"lorem ", "ipsum, ",  "From: ", "..", "\xc3\xa4 "
	};
	size_t pos = 0, len, column = 0;
	const char *word;

	while (pos < size) {
		word = words[test_random(state) % N_ELEMENTS(words)];
		if (column > 60 || test_random(state) % 37 == 0) {
			data[pos++] = '\n';
			column = 0;
			if (pos < size && test_random(state) % 5 == 0)
				data[pos++] = '.';
			continue;
		}
		len = I_MIN(strlen(word), size - pos);
		memcpy(data + pos, word, len);
		pos += len;
		column += len;
	}
}

unsigned char *test_data(enum test_data_kind kind, size_t size)
{
	unsigned char *data = calloc(1, size + 1);
	uint32_t state = 0x2545f491;
	size_t i;

	assert_non_null(data);
	if (kind == TEST_DATA_TEXT)
		fill_text(data, size, &state);
	for (i = 0; kind == TEST_DATA_RANDOM && i < size; i++)
		data[i] = (unsigned char)(test_random(&state) >> 11);
	return data;
}

/*
 * Files
 */

static char dir_path[256];
static pid_t dir_owner; /* a child that exits leaves it alone */

static int remove_entry(const char *path, const struct stat *st ATTR_UNUSED,
			int type ATTR_UNUSED, struct FTW *ftw ATTR_UNUSED)
{
	return remove(path);
}

void test_remove_tree(const char *path)
{
	(void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_dir(void)
{
	if (getpid() == dir_owner)
		test_remove_tree(dir_path);
}

const char *test_dir(void)
{
	const char *tmp = getenv("TMPDIR");

	if (dir_path[0] != '\0')
		return dir_path;
	(void)snprintf(dir_path, sizeof(dir_path), "%s/bobbin-test-XXXXXX",
		       tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(dir_path) == NULL) {
		perror(dir_path);
		exit(1);
	}
	dir_owner = getpid();
	(void)atexit(remove_dir);
	return dir_path;
}

static const char *join(const char *dir, const char *name)
{
	static char paths[8][512];
	static unsigned int next;
	char *path = paths[next++ % 8];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

const char *test_path(const char *name)
{
	return join(test_dir(), name);
}

const char *test_data_path(const char *name)
{
	const char *dir = getenv("TEST_DATA");

	return join(dir != NULL ? dir : "tests/data", name);
}

void test_write_file(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

buffer_t *test_read_file(const char *path)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 65536);
	FILE *f = fopen(path, "rb");
	char block[65536];
	size_t n;

	if (f == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		buffer_append(buf, block, n);
	(void)fclose(f);
	return buf;
}

void test_flip(const char *path, uint64_t offset)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char byte;

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	assert_int_equal(close(fd), 0);
}

unsigned int test_count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	unsigned int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.' ? 1 : 0;
	assert_int_equal(closedir(dir), 0);
	return count;
}

void test_threads_are(unsigned int count)
{
	unsigned int left;

	for (left = 1000000; test_count_threads() != count; left--)
		assert_true(left > 0);
}

int test_command(const char *fmt, ...)
{
	char command[4096];
	va_list args;
	int status;

	va_start(args, fmt);
	(void)vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

bool test_have_program(const char *name)
{
	if (test_command("command -v %s >/dev/null 2>&1", name) == 0)
		return true;
	printf("NOT RUN: the program %s is not installed\n", name);
	return false;
}
