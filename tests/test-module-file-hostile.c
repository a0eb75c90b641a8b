/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store among what should not be there: other kinds of files under its
   names, reads that fail for now, a second process, a second writer of an id. (The
   numbers are the invariants of doc/spool-format.md.) */

#include "config.h"
#include "istream.h"
#include "test-spool-common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

static void put(struct spool *spool, message_id *id_r)
{
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, id_r),
			 IO_DONE);
}

/*
 * 4: removing what is not there
 */

static void test_absent_ids_are_gone(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	message_id ids[3];
	unsigned int i, round;
	char path[512];

	/* one that was there, one of its bucket, one without a bucket */
	put(spool, &ids[0]);
	ids[1] = ids[2] = ids[0];
	ids[1].bytes[8] ^= 1;
	ids[2].bytes[15] ^= 1;
	assert_int_equal(spool_remove(spool, &ids[0]), IO_DONE);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < N_ELEMENTS(ids); i++) {
			assert_int_equal(spool_unlinkheaders(spool,
							     IO_SYNCHRONOUS,
							     &ids[i]),
					 IO_DONE);
			assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS,
							  &ids[i]),
					 IO_DONE);
			assert_int_equal(spool_get(spool, &ids[i], &message),
					 IO_FAIL);
		}
	}
	/* nobody makes a bucket to look for what is not there */
	test_spool_file(&ids[2], "", path);
	*strrchr(path, '/') = '\0';
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(test_spool_scan(spool), 0);
	spool_close(&spool);
}

/*
 * 9: a second writer of an id
 */

/* Told no, and what is undone of it is not the first one's. */
static void test_second_writer_of_an_id(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	message_id id;

	put(spool, &id);
	assert_int_equal(test_spool_put_as(spool, "x\r\n.\r\n", 6, &id),
			 IO_FAIL);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	/* headers alone, of a body that it did not write */
	message = email_message_new(&id);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	email_message_unref(&message);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	/* the body of a message goes after its headers, or not at all */
	assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS, &id), IO_FAIL);
	assert_non_null(strstr(io_get_error(), "before the body"));
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	spool_close(&spool);
}

/*
 * 16: reads that fail for now
 */

static const enum test_op read_ops[] = { TEST_OP_OPEN, TEST_OP_FSTAT,
					 TEST_OP_READ, TEST_OP_READDIR,
					 TEST_OP_OPENDIR };
static const int errors[] = { EIO,    ETIMEDOUT, EMFILE, ENOMEM,
			      EACCES, EPERM,     ENOTDIR };

static unsigned int warnings;

static void count_warning(const char *text ATTR_UNUSED,
			  void *context ATTR_UNUSED)
{
	warnings++;
}

/* A scan that cannot read removes and puts aside nothing, and says so. */
static void test_a_scan_that_cannot_read(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	message_id ids[3];
	unsigned int n, hit, found, i;
	size_t op, e;

	for (i = 0; i < N_ELEMENTS(ids); i++)
		put(spool, &ids[i]);
	for (op = 0; op < N_ELEMENTS(read_ops); op++) {
		for (e = 0; e < N_ELEMENTS(errors); e++) {
			TEST_EACH_CALL(n, hit) {
				spool_close(&spool);
				spool = test_spool_open(0);
				spool_set_warning_callback(spool, count_warning,
							   NULL);
				test_faults_begin();
				test_faults.fail_at[read_ops[op]] = n;
				test_faults.fail_errno[read_ops[op]] =
					errors[e];
				warnings = 0;
				found = test_spool_scan(spool);
				hit = test_faults.calls[read_ops[op]];
				test_faults_end();
				if (found < N_ELEMENTS(ids))
					assert_true(warnings > 0);
				for (i = 0; i < N_ELEMENTS(ids); i++)
					test_spool_must_have(spool, &ids[i],
							     wire,
							     sizeof(wire) - 1);
			}
		}
	}
	assert_int_equal(test_spool_scan_again(&spool), N_ELEMENTS(ids));
	spool_close(&spool);
	assert_int_equal(test_command("test -z \"$(ls -A %s/quarantine)\"",
				      test_spool_dir()),
			 0);
}

static int read_all(struct spool *spool, const message_id *id)
{
	const unsigned char *data;
	email_message *message;
	size_t size;
	int answer;

	answer = spool_get(spool, id, &message);
	if (answer != IO_DONE)
		return answer;
	while (i_stream_read_more(message->body, &data, &size) > 0)
		i_stream_skip(message->body, size);
	if (message->body->stream_errno != 0)
		answer = IO_TRANS_FAIL;
	email_message_unref(&message);
	return answer;
}

static void test_a_message_that_cannot_be_read_now(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("gzip");
	unsigned int n, hit;
	message_id id;
	size_t op, e;
	int answer;

	put(spool, &id);
	for (op = 0; op < N_ELEMENTS(read_ops); op++) {
		for (e = 0; e < N_ELEMENTS(errors); e++) {
			TEST_EACH_CALL(n, hit) {
				test_faults_begin();
				test_faults.fail_at[read_ops[op]] = n;
				test_faults.fail_errno[read_ops[op]] =
					errors[e];
				answer = read_all(spool, &id);
				hit = test_faults.calls[read_ops[op]];
				test_faults_end();
				if (answer != IO_DONE &&
				    answer != IO_TRANS_FAIL)
					fail_msg("op %zu, call %u: %s", op, n,
						 io_get_error());
				/* what the chain says where the store does
				   not */
				assert_null(
					strstr(io_get_error(), "module file:"));
				test_spool_must_have(spool, &id, wire,
						     sizeof(wire) - 1);
			}
		}
	}
	spool_close(&spool);
}

/*
 * 29: one process owns a spool
 */

static int try_open(char *text, size_t size)
{
	struct spool *spool;
	char *error;

	spool = spool_open(test_spool_dir(), 0, NULL, &error);
	if (spool != NULL) {
		spool_close(&spool);
		return 0;
	}
	(void)snprintf(text, size, "%s", error);
	free(error);
	return errno;
}

/* Holds the spool until it is killed, after it has said so by a byte. */
static pid_t start_holder(void)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *error;

		if (spool_open(test_spool_dir(), 0, NULL, &error) == NULL ||
		    write(ready[1], &byte, 1) != 1)
			_exit(1);
		(void)close(ready[1]);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return pid;
}

static void test_second_process_is_told_who(void **state ATTR_UNUSED)
{
	char text[512] = "", want[32];
	struct spool *reader;
	int status, ret;
	char *error;
	pid_t pid;

	test_spool_init("");
	pid = start_holder();
	ret = try_open(text, sizeof(text));
	/* looking is free */
	reader = spool_open(test_spool_dir(), SPOOL_OPEN_READ_ONLY, NULL,
			    &error);
	/* before anything may fail: nobody else would end it */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(ret, EBUSY);
	(void)snprintf(want, sizeof(want), "pid %ld", (long)pid);
	if (strstr(text, want) == NULL ||
	    strstr(text, "stop that one first") == NULL)
		fail_msg("%s", text);
	assert_non_null(reader);
	spool_close(&reader);
	/* however it ended, the spool is free then */
	assert_int_equal(try_open(text, sizeof(text)), 0);
}

/*
 * 31: other kinds of files
 */

enum kind {
	KIND_LINK,
	KIND_DANGLING,
	KIND_LOOP,
	KIND_FIFO,
	KIND_DIR,
	KIND_SOCKET,
	KIND_DEVICE,
	KIND_COUNT
};
static const char *const kind_names[] = { "a link",           "a dangling link",
					  "a link to itself", "a fifo",
					  "a directory",      "a socket",
					  "a device" };

static bool make_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	/* names are short; go there for the long path */
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		       strrchr(path, '/') + 1);
	ok = bind(fd, (void *)&address, sizeof(address)) == 0;
	(void)close(fd);
	return ok;
}

/* Puts it where a file was; false: not possible here. */
static bool make_kind(enum kind kind, const char *path)
{
	char dir[512];
	int back;
	bool ok;

	switch (kind) {
	case KIND_LINK:
		return symlink(test_path("public"), path) == 0;
	case KIND_DANGLING:
		return symlink("/nonexistent/x", path) == 0;
	case KIND_LOOP:
		return symlink(path, path) == 0;
	case KIND_FIFO:
		return mkfifo(path, 0600) == 0;
	case KIND_DIR:
		return mkdir(path, 0700) == 0;
	case KIND_SOCKET:
		(void)snprintf(dir, sizeof(dir), "%s", path);
		*strrchr(dir, '/') = '\0';
		back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ok = chdir(dir) == 0 && make_socket(path);
		ok = fchdir(back) == 0 && ok;
		(void)close(back);
		return ok;
	default:
		if (mknod(path, S_IFCHR | 0600, makedev(1, 5)) == 0)
			return true;
		printf("NOT RUN: no device can be made here\n");
		return false;
	}
}

static unsigned int problems;

static bool count_problem(const struct spool_entry *entry,
			  void *context ATTR_UNUSED)
{
	if (entry->problem != NULL)
		problems++;
	return true;
}

/* Instead of a message's headers or body: read, listed, checked and scanned without
   a hang, reported, put aside, and the neighbour is as well as before. */
static void instead_of_a_file(const char *suffix, enum kind kind)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	message_id id, other;
	char path[512], *error;

	put(spool, &id);
	put(spool, &other);
	spool_close(&spool);
	test_spool_file(&id, suffix, path);
	assert_int_equal(unlink(path), 0);
	if (!make_kind(kind, path))
		return;
	spool = test_spool_open(0);
	spool_set_warning_callback(spool, count_warning, NULL);
	assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
	assert_non_null(strstr(io_get_error(), "not a regular file"));
	problems = warnings = 0;
	assert_int_equal(spool_verify(spool, count_problem, NULL, &error), 0);
	assert_int_equal(problems, 1);
	if (test_spool_scan(spool) != 1)
		fail_msg("%s for %s: handed out", kind_names[kind], suffix);
	if (warnings == 0)
		fail_msg("%s for %s: not told", kind_names[kind], suffix);
	assert_int_equal(test_spool_damaged(spool, NULL), 0);
	test_spool_must_have(spool, &other, wire, sizeof(wire) - 1);
	spool_close(&spool);
	assert_int_equal(test_command("test $(ls %s/quarantine/*.why | wc -l) "
				      "= 1",
				      test_spool_dir()),
			 0);
}

static void test_other_kinds_instead_of_messages(void **state ATTR_UNUSED)
{
	unsigned int kind;

	for (kind = 0; kind < KIND_COUNT; kind++) {
		instead_of_a_file(".h", kind);
		instead_of_a_file(".b", kind);
	}
}

/* They can be removed, as any message. */
static void test_other_kinds_are_removed(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	unsigned int kind;
	char path[512];
	struct stat st;
	message_id id;

	for (kind = 0; kind < KIND_COUNT; kind++) {
		if (kind == KIND_DIR)
			continue;
		put(spool, &id);
		test_spool_file(&id, ".h", path);
		assert_int_equal(unlink(path), 0);
		if (!make_kind(kind, path))
			continue;
		assert_int_equal(spool_remove(spool, &id), IO_DONE);
		assert_int_equal(lstat(path, &st), -1);
	}
	assert_int_equal(stat(test_path("public"), &st), 0);
	spool_close(&spool);
}

/* What the spool itself is made of: opened, or refused with a sentence. */
static void test_other_kinds_in_the_spool(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		bool opens; /* all the same */
	} rows[] = {
		{ "spool.conf", false },    { "lock", false },
		{ "recipients", false },    { "last-id", true },
		{ "messages", false },      { "messages/tmp", false },
		{ "quarantine", false },    { "messages/zz", true },
		{ "messages/tmp/x", true },
	};
	char path[512], text[512];
	unsigned int kind;
	size_t i;
	int ret;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		for (kind = 0; kind < KIND_COUNT; kind++) {
			/* where a directory is what belongs there */
			if (kind == KIND_DIR && strspn(rows[i].name, "mq") > 0)
				continue;
			test_spool_init("");
			(void)snprintf(path, sizeof(path), "%s/%s",
				       test_spool_dir(), rows[i].name);
			test_remove_tree(path);
			if (!make_kind(kind, path))
				continue;
			ret = try_open(text, sizeof(text));
			if ((ret == 0) != rows[i].opens)
				fail_msg("%s for %s: %s", kind_names[kind],
					 rows[i].name, strerror(ret));
			if (ret != 0)
				assert_true(strlen(text) > 0);
		}
	}
}

/* Names that are none, in a bucket and beside it; those of another bucket are told of. */
static void test_other_names_are_left_alone(void **state ATTR_UNUSED)
{
	static const char *const names[] = {
		"zz/x",
		"zz/.h",
		"zz/01arz3ndektsv4rrffq69g5fav",
		"zz/01arz3ndektsv4rrffq69g5fav.hh",
		/* in another directory than theirs */
		"zz/01arz3ndektsv4rrffq69g5fav.h",
		"zz/01arz3ndektsv4rrffq69g5fav.b",
		"zz/01ARZ3NDEKTSV4RRFFQ69G5FAV.h",
		"zz/81arz3ndektsv4rrffq69g5fav.b",
		"zz/01arz3ndektsv4rrffq69g5fav.0123.b",
		"zz/01arz3ndektsv4rrffq69g5fav.0123456789ABCDEF.b",
		"zz/\n.b",
		"zz/\xff\xfe.h",
		"README",
		"z",
	};
	struct spool *spool = test_spool_new("");
	struct spool_strays strays;
	char path[512], *error;
	unsigned int total;
	struct stat st;
	size_t i;

	(void)snprintf(path, sizeof(path), "%s/messages/zz", test_spool_dir());
	assert_int_equal(mkdir(path, 0700), 0);
	for (i = 0; i < N_ELEMENTS(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/messages/%s",
			       test_spool_dir(), names[i]);
		test_write_file(path, "x", 1);
	}
	assert_int_equal(test_spool_scan(spool), 0);
	(void)test_spool_damaged(spool, &total);
	assert_int_equal(total, 0);
	assert_int_equal(spool_count_strays(spool, &strays, &error), 0);
	assert_int_equal(strays.misplaced, 2);
	assert_int_equal(strays.bodies, 0);
	for (i = 0; i < N_ELEMENTS(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/messages/%s",
			       test_spool_dir(), names[i]);
		if (stat(path, &st) < 0)
			fail_msg("gone: %s", names[i]);
	}
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absent_ids_are_gone),
		cmocka_unit_test(test_second_writer_of_an_id),
		cmocka_unit_test(test_a_scan_that_cannot_read),
		cmocka_unit_test(test_a_message_that_cannot_be_read_now),
		cmocka_unit_test(test_second_process_is_told_who),
		cmocka_unit_test(test_other_kinds_instead_of_messages),
		cmocka_unit_test(test_other_kinds_are_removed),
		cmocka_unit_test(test_other_kinds_in_the_spool),
		cmocka_unit_test(test_other_names_are_left_alone),
	};

	return cmocka_run_group_tests_name("module-file-hostile", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
