/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "temp-file.h"
#include "temp-seals.h"
#include "test-common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK ((size_t)65536)
#define SEALED (CHUNK + 16)

/* A file under test, and what it should hold. */
struct fixture {
	struct temp_file *file;
	int fd; /* a look at the disk, from the side */
	unsigned char *model;
	size_t size;
};

#define MODEL_SIZE (8 * CHUNK)

static void begin(struct fixture *f, bool encrypted)
{
	int fd = temp_file_open(test_path("t"));

	assert_true(fd >= 0);
	f->fd = dup(fd);
	f->file = temp_file_new(fd, encrypted);
	assert_non_null(f->file);
	f->model = calloc(1, MODEL_SIZE);
	f->size = 0;
}

static void end(struct fixture *f)
{
	temp_file_free(&f->file);
	(void)close(f->fd);
	free(f->model);
}

/* Bytes that differ from one call to the next. */
static int put(struct fixture *f, size_t offset, size_t size)
{
	static uint32_t state = 7;
	size_t i;

	assert_true(offset + size <= MODEL_SIZE);
	for (i = 0; i < size; i++)
		f->model[offset + i] = (unsigned char)test_random(&state);
	f->size = I_MAX(f->size, offset + size);
	return temp_file_write(f->file, offset, f->model + offset, size);
}

static void expect_rescue(struct fixture *f)
{
	unsigned char *data = malloc(MODEL_SIZE);

	assert_int_equal(temp_file_size(f->file), f->size);
	assert_int_equal(temp_file_rescue(f->file, data), 0);
	assert_memory_equal(data, f->model, f->size);
	free(data);
}

static int get(struct fixture *f, size_t offset, size_t size)
{
	unsigned char *data = malloc(size);
	int ret, error;

	ret = temp_file_read(f->file, offset, data, size);
	error = errno;
	if (ret == 0)
		assert_memory_equal(data, f->model + offset, size);
	free(data);
	errno = error;
	return ret;
}

static void use_any_place(bool encrypted, uint32_t *random)
{
	struct fixture f;
	size_t offset;
	unsigned int i;

	begin(&f, encrypted);
	for (i = 0; i < 400; i++) {
		offset = test_random(random) % (6 * CHUNK);
		assert_int_equal(put(&f, offset,
				     test_random(random) %
					     (i % 16 == 0 ? 2 * CHUNK : 100)),
				 0);
		offset = test_random(random) % (f.size + 1);
		assert_int_equal(
			get(&f, offset,
			    test_random(random) % (f.size - offset + 1)),
			0);
	}
	expect_rescue(&f);
	EXPECT_PANIC("assertion failed",
		     (void)temp_file_read(f.file, f.size, f.model, 1));
	end(&f);
}

static void test_any_place(void **state ATTR_UNUSED)
{
	uint32_t random = 1;

	use_any_place(false, &random);
	use_any_place(true, &random);
}

/* A gap is zeros, also in a chunk that nothing was ever written to, and behind the
   end of one that was the last when it was stored. */
static void test_gaps(void **state ATTR_UNUSED)
{
	struct fixture f;
	unsigned int kind;

	for (kind = 0; kind < 2; kind++) {
		begin(&f, kind == 1);
		assert_int_equal(put(&f, 10, 5), 0);
		assert_int_equal(put(&f, 3 * CHUNK + 7, 5), 0);
		assert_int_equal(put(&f, CHUNK, 5), 0);
		assert_int_equal(get(&f, 0, f.size), 0);
		expect_rescue(&f);
		end(&f);
	}
}

#define TIB ((uoff_t)1 << 40)

/* Wherever it is, what is written is found again, and the gaps are zeros. */
static void test_far_apart(void **state ATTR_UNUSED)
{
	static const uoff_t places[] = { 0,       4 * TIB,     TIB,
					 1000000, 4 * TIB - 4, TIB / 3 };
	unsigned int kind, i;
	struct fixture f;
	char data[8];
	int ret = 0;

	for (kind = 0; kind < 2; kind++) {
		begin(&f, kind == 1);
		for (i = 0; i < N_ELEMENTS(places) && ret == 0; i++)
			ret = temp_file_write(f.file, places[i], "here", 4);
		if (ret < 0 && errno == EFBIG) {
			print_message("NOT RUN: the filesystem has no files "
				      "of 4 TiB\n");
			end(&f);
			return;
		}
		assert_int_equal(ret, 0);
		assert_int_equal(temp_file_size(f.file), 4 * TIB + 4);
		for (i = 0; i < N_ELEMENTS(places); i++) {
			assert_int_equal(
				temp_file_read(f.file, places[i], data, 4), 0);
			assert_memory_equal(data, "here", 4);
		}
		assert_int_equal(temp_file_read(f.file, TIB + 4, data, 8), 0);
		assert_memory_equal(data, "\0\0\0\0\0\0\0\0", 8);
		assert_int_equal(temp_file_read(f.file, 2 * TIB, data, 8), 0);
		assert_memory_equal(data, "\0\0\0\0\0\0\0\0", 8);
		end(&f);
	}
}

/* The numbers of many chunks, near each other and far away, in memory that is a
   bounded multiple of theirs. */
static void test_seals(void **state ATTR_UNUSED)
{
	struct temp_seals seals = { NULL, 0, 0 };
	const uint64_t far = (uint64_t)1 << 44;
	uint64_t i;

	assert_int_equal(temp_seals_get(&seals, 0), 0);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(temp_seals_reserve(&seals, i), 0);
		temp_seals_set(&seals, i, i + 1);
		assert_int_equal(temp_seals_reserve(&seals, far * i + 7777), 0);
		temp_seals_set(&seals, far * i + 7777, far + i);
	}
	assert_int_equal(seals.used, 2000);
	assert_true(seals.size <= 4096);
	/* another number for one that is there takes no more */
	for (i = 0; i < 5000; i++) {
		assert_int_equal(temp_seals_reserve(&seals, 5), 0);
		temp_seals_set(&seals, 5, 6);
	}
	assert_int_equal(seals.used, 2000);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(temp_seals_get(&seals, i), i + 1);
		assert_int_equal(temp_seals_get(&seals, far * i + 7777),
				 far + i);
		assert_int_equal(temp_seals_get(&seals, 2000 + i), 0);
	}
	temp_seals_free(&seals);
	assert_int_equal(temp_seals_get(&seals, 5), 0);
}

/* An fd of a plain file has all of the bytes, and nothing else. */
static void test_take_fd(void **state ATTR_UNUSED)
{
	unsigned char *data = malloc(MODEL_SIZE);
	struct fixture f;
	int fd;

	begin(&f, false);
	assert_int_equal(put(&f, 0, 2 * CHUNK + 100), 0);
	fd = temp_file_take_fd(&f.file);
	assert_true(fd >= 0);
	assert_null(f.file);
	assert_int_equal(pread(fd, data, MODEL_SIZE, 0), f.size);
	assert_memory_equal(data, f.model, f.size);
	assert_int_equal(close(fd), 0);
	free(data);
	end(&f);
}

/*
 * What the disk sees
 */

static bool disk_has(const struct fixture *f, const void *needle, size_t size)
{
	unsigned char *disk = malloc(2 * MODEL_SIZE);
	ssize_t have = pread(f->fd, disk, 2 * MODEL_SIZE, 0);
	bool found;

	assert_true(have > 0);
	found = memmem(disk, (size_t)have, needle, size) != NULL;
	free(disk);
	return found;
}

static void test_what_the_disk_sees(void **state ATTR_UNUSED)
{
	struct fixture f;
	unsigned int kind;

	for (kind = 0; kind < 2; kind++) {
		begin(&f, kind == 1);
		assert_int_equal(put(&f, 0, 3 * CHUNK), 0);
		/* the last chunk may still be in memory */
		assert_int_equal(disk_has(&f, f.model + 1000, 16), kind == 0);
		assert_int_equal(disk_has(&f, f.model + CHUNK + 1000, 16),
				 kind == 0);
		end(&f);
	}
}

/* The same bytes at the same place, written again, or in two files, are never the
   same on the disk. */
static void test_sealed_anew(void **state ATTR_UNUSED)
{
	unsigned char first[64], second[64];
	struct fixture f;

	begin(&f, true);
	assert_int_equal(put(&f, 0, 2 * CHUNK), 0);
	assert_int_equal(pread(f.fd, first, sizeof(first), 0), sizeof(first));
	assert_int_equal(temp_file_write(f.file, 0, f.model, CHUNK), 0);
	assert_int_equal(get(&f, CHUNK, 1), 0);
	assert_int_equal(pread(f.fd, second, sizeof(second), 0),
			 sizeof(second));
	assert_memory_not_equal(first, second, sizeof(first));
	end(&f);

	begin(&f, true);
	assert_int_equal(put(&f, 0, 2 * CHUNK), 0);
	assert_int_equal(temp_file_write(f.file, 0, f.model, 1), 0);
	assert_int_equal(pread(f.fd, first, sizeof(first), 0), sizeof(first));
	end(&f);
	begin(&f, true);
	assert_int_equal(put(&f, 0, 2 * CHUNK), 0);
	assert_int_equal(pread(f.fd, second, sizeof(second), 0),
			 sizeof(second));
	assert_memory_not_equal(first, second, sizeof(first));
	end(&f);
}

static void move_on_disk(const struct fixture *f, size_t from, size_t to)
{
	unsigned char *sealed = malloc(SEALED);

	assert_int_equal(pread(f->fd, sealed, SEALED, (off_t)(from * SEALED)),
			 SEALED);
	assert_int_equal(pwrite(f->fd, sealed, SEALED, (off_t)(to * SEALED)),
			 SEALED);
	free(sealed);
}

static void expect_bad_first_chunk(struct fixture *f, int error)
{
	unsigned char *data = malloc(MODEL_SIZE);

	assert_int_equal(get(f, CHUNK, 1), 0);
	assert_int_equal(get(f, 100, 1), -1);
	assert_int_equal(errno, error);
	assert_int_equal(temp_file_rescue(f->file, data), -1);
	assert_int_equal(errno, error);
	/* and the others are as they were */
	assert_int_equal(get(f, CHUNK, CHUNK), 0);
	free(data);
}

static void test_changed_on_disk(void **state ATTR_UNUSED)
{
	unsigned char *old = malloc(SEALED), byte;
	struct fixture f;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		begin(&f, true);
		assert_int_equal(put(&f, 0, 3 * CHUNK), 0);
		switch (i) {
		case 0: /* one bit */
			assert_int_equal(pread(f.fd, &byte, 1, 5000), 1);
			byte ^= 1;
			assert_int_equal(pwrite(f.fd, &byte, 1, 5000), 1);
			break;
		case 1: /* another chunk of the same file */
			move_on_disk(&f, 1, 0);
			break;
		case 2: /* what the chunk was before */
			assert_int_equal(pread(f.fd, old, SEALED, 0), SEALED);
			assert_int_equal(put(&f, 0, 10), 0);
			assert_int_equal(get(&f, CHUNK, 1), 0);
			assert_int_equal(pwrite(f.fd, old, SEALED, 0), SEALED);
			break;
		default:
			assert_int_equal(get(&f, CHUNK, 1), 0);
			assert_int_equal(ftruncate(f.fd, 100), 0);
			assert_int_equal(get(&f, 0, 1), -1);
			assert_int_equal(errno, EIO);
			end(&f);
			continue;
		}
		expect_bad_first_chunk(&f, EINVAL);
		end(&f);
	}
	begin(&f, false);
	assert_int_equal(put(&f, 0, 3 * CHUNK), 0);
	assert_int_equal(get(&f, CHUNK, 1), 0);
	assert_int_equal(ftruncate(f.fd, 100), 0);
	assert_int_equal(get(&f, 0, CHUNK), -1);
	assert_int_equal(errno, EIO);
	end(&f);
	free(old);
}

/*
 * Faults
 */

/* Whatever write fails, and however much of it was done: what was there before is
   there, and so is what a second try writes. */
static void test_failing_write(void **state ATTR_UNUSED)
{
	unsigned int kind, call, before;
	struct fixture f;

	for (kind = 0; kind < 2; kind++) {
		for (call = 1; call < 24; call++) {
			begin(&f, kind == 1);
			assert_int_equal(put(&f, 0, 2 * CHUNK), 0);
			test_faults_begin();
			test_faults.max_write = 10000;
			test_faults.fail_at[TEST_OP_WRITE] = call;
			test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
			before = test_faults.calls[TEST_OP_WRITE];
			/* overwrites, and goes on */
			if (put(&f, CHUNK / 2, 3 * CHUNK) < 0) {
				assert_int_equal(errno, ENOSPC);
				assert_true(before < call);
				assert_int_equal(
					temp_file_write(f.file, CHUNK / 2,
							f.model + CHUNK / 2,
							3 * CHUNK),
					0);
			}
			expect_rescue(&f);
			assert_int_equal(get(&f, 0, f.size), 0);
			test_faults_end();
			end(&f);
		}
	}
}

static void test_short_and_interrupted(void **state ATTR_UNUSED)
{
	struct fixture f;
	unsigned int kind;

	for (kind = 0; kind < 2; kind++) {
		test_faults_begin();
		test_faults.max_write = 7777;
		test_faults.max_read = 5555;
		test_faults.eintr = 2;
		begin(&f, kind == 1);
		assert_int_equal(put(&f, 0, 3 * CHUNK), 0);
		assert_int_equal(get(&f, 0, f.size), 0);
		expect_rescue(&f);
		end(&f);
		test_faults_end();
	}
	/* a disk that takes nothing is full */
	begin(&f, false);
	test_faults_begin();
	test_faults.zero_write = true;
	assert_int_equal(put(&f, 0, 2 * CHUNK), -1);
	assert_int_equal(errno, ENOSPC);
	test_faults_end();
	end(&f);
}

/*
 * Names
 */

static unsigned int names_in(const char *path)
{
	struct dirent *entry;
	unsigned int count = 0;
	DIR *dir = opendir(path);

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.' ? 1 : 0;
	(void)closedir(dir);
	return count;
}

static void test_no_name(void **state ATTR_UNUSED)
{
	char dir[256], prefix[300];
	struct stat st;
	unsigned int i;
	int fd;

	(void)snprintf(dir, sizeof(dir), "%s", test_path("names"));
	(void)snprintf(prefix, sizeof(prefix), "%s/prefix-", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	for (i = 0; i < 2; i++) {
		test_faults_begin();
		if (i == 1) {
			/* a filesystem that has no files without a name */
			test_faults.fail_at[TEST_OP_OPEN] = 1;
			test_faults.fail_errno[TEST_OP_OPEN] = EOPNOTSUPP;
		}
		fd = temp_file_open(prefix);
		assert_true(fd >= 0);
		assert_int_equal(test_faults.calls[TEST_OP_OPEN], i + 1);
		test_faults_end();
		assert_int_equal(names_in(dir), 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		assert_int_equal(st.st_nlink, 0);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(close(fd), 0);
	}
	/* one that would keep its name */
	test_faults_begin();
	test_faults.fail_at[TEST_OP_OPEN] = 1;
	test_faults.fail_errno[TEST_OP_OPEN] = EISDIR;
	test_faults.fail_at[TEST_OP_UNLINK] = 1;
	test_faults.fail_errno[TEST_OP_UNLINK] = EPERM;
	assert_int_equal(temp_file_open(prefix), -1);
	assert_int_equal(errno, EPERM);
	test_faults_end();
	(void)snprintf(prefix, sizeof(prefix), "%s/none/prefix-", dir);
	assert_int_equal(temp_file_open(prefix), -1);
	assert_int_equal(errno, ENOENT);
}

/* No file can have that many bytes: nothing happens. */
static void test_too_far(void **state ATTR_UNUSED)
{
	static const struct {
		uoff_t offset;
		size_t size;
	} places[] = { { INT64_MAX, 1 },
		       { UOFF_T_MAX, 1 },
		       { (uoff_t)INT64_MAX / 4, 1 },
		       { (uoff_t)INT64_MAX / 4 - 1, SIZE_MAX } };
	struct fixture f;
	unsigned int kind, i;

	for (kind = 0; kind < 2; kind++) {
		begin(&f, kind == 1);
		assert_int_equal(put(&f, 10, 5), 0);
		for (i = 0; i < N_ELEMENTS(places); i++) {
			errno = 0;
			assert_int_equal(temp_file_write(f.file,
							 places[i].offset, "x",
							 places[i].size),
					 -1);
			assert_int_equal(errno, EFBIG);
		}
		assert_int_equal(get(&f, 0, f.size), 0);
		expect_rescue(&f);
		end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_place),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_far_apart),
		cmocka_unit_test(test_seals),
		cmocka_unit_test(test_take_fd),
		cmocka_unit_test(test_what_the_disk_sees),
		cmocka_unit_test(test_sealed_anew),
		cmocka_unit_test(test_changed_on_disk),
		cmocka_unit_test(test_failing_write),
		cmocka_unit_test(test_short_and_interrupted),
		cmocka_unit_test(test_no_name),
		cmocka_unit_test(test_too_far),
	};

	return cmocka_run_group_tests_name("temp-file", tests, NULL, NULL);
}
