/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* SPOOL/spool.conf: a person edits it, so every error says where it is and what to
   do about it. */

#include "config.h"
#include "file-ops.h"
#include "mem.h"
#include "spool-private.h"
#include "test-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int dir_fd;
static struct spool_conf conf;
static char error_text[512];

static int setup(void **state ATTR_UNUSED)
{
	dir_fd = open(test_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	return close(dir_fd);
}

/* 0, or the errno. */
static int read_conf(void)
{
	char *error;

	spool_conf_free(&conf);
	errno = 0;
	if (spool_conf_read(dir_fd, "DIR", &conf, &error) == 0)
		return 0;
	assert_int_not_equal(errno, 0);
	(void)snprintf(error_text, sizeof(error_text), "%s", error);
	i_free(error);
	return errno;
}

static int read_text(const void *text, size_t size)
{
	test_write_file(test_path("spool.conf"), text, size);
	return read_conf();
}

#define MINIMUM "version = 1\nstore = file\n"
/* And its size. */
#define TEXT(text) (text), sizeof(text) - 1

static void test_what_is_read(void **state ATTR_UNUSED)
{
	static const struct {
		const char *text, *store, *body, *headers;
	} rows[] = {
		{ MINIMUM, "file", "", "" },
		{ "version=1\nstore=file", "file", "", "" },
		{ "\t store \t=  file \t\r\nversion = 1\r\n", "file", "", "" },
		{ "# comment\n\n   \n  # store = x\n" MINIMUM, "file", "", "" },
		{ MINIMUM "body = zstd:3 | age\nheaders = gzip\n", "file",
		  "zstd:3 | age", "gzip" },
		{ MINIMUM "body = a=b\nheaders =\n", "file", "a=b", "" },
		/* quotes are the spec's, and what is in them is left alone */
		{ MINIMUM
		  "body = limit:size=\"1K\"\nheaders = \" # \\\" = \"\n",
		  "file", "limit:size=\"1K\"", "\" # \\\" = \"" },
		/* known to a later version's spool_open() only */
		{ "version = 1\nstore = journal\n", "journal", "", "" },
	};
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		if (read_text(rows[i].text, strlen(rows[i].text)) != 0)
			fail_msg("row %zu: %s", i, error_text);
		assert_string_equal(conf.store, rows[i].store);
		assert_string_equal(conf.body, rows[i].body);
		assert_string_equal(conf.headers, rows[i].headers);
	}
	/* nothing is left of the one before */
	assert_int_equal(read_text(TEXT(MINIMUM "compaction = off\n"
						"inline-limit = 5000\n")),
			 0);
	assert_true(conf.compaction_off);
	assert_int_equal(conf.inline_limit, 5000);
	assert_int_equal(read_text(TEXT(MINIMUM)), 0);
	assert_false(conf.compaction_off);
	assert_int_equal(conf.inline_limit, 0);
	spool_conf_free(&conf);
	assert_null(conf.store);
}

static const struct {
	const char *text;
	size_t size;
	int error;
	const char *where, *what;
} wrong[] = {
	{ TEXT(""), EINVAL, "spool.conf", "\"version = 1\"" },
	{ TEXT("# nothing\n"), EINVAL, "spool.conf", "\"version = 1\"" },
	{ TEXT("store = file\n"), EINVAL, "spool.conf", "\"version = 1\"" },
	{ TEXT("version = 1\n"), EINVAL, "spool.conf", "\"store = file\"" },
	{ TEXT("version = 2\nstore = file\n"), ENOTSUP, "line 1",
	  "newer version" },
	{ TEXT("\n\nversion = 18446744073709551617\n"), ENOTSUP, "line 3",
	  "newer version" },
	{ TEXT("version =\n"), EINVAL, "line 1", "\"version = 1\"" },
	{ TEXT("version = one\n"), EINVAL, "line 1", "\"version = 1\"" },
	{ TEXT("version = -1\n"), EINVAL, "line 1", "\"version = 1\"" },
	{ TEXT(MINIMUM "boby = gzip\n"), EINVAL, "line 3",
	  "inline-limit, compaction and module are known" },
	{ TEXT(MINIMUM "segment-size = 1\n"), EINVAL, "line 3",
	  "is expected, a multiple of 4096" },
	{ TEXT(MINIMUM "segment-size = 65537\n"), EINVAL, "line 3",
	  "is expected, a multiple of 4096" },
	{ TEXT(MINIMUM "segment-size = 64M\n"), EINVAL, "line 3",
	  "is expected, a multiple of 4096" },
	{ TEXT(MINIMUM "segment-size = 65536\nsegment-size = 65536\n"), EINVAL,
	  "line 4", "take one away" },
	{ TEXT(MINIMUM "inline-limit = 5000x\n"), EINVAL, "line 3",
	  "inline-limit \"5000x\": a number of bytes" },
	{ TEXT(MINIMUM "inline-limit = 4294967297\n"), EINVAL, "line 3",
	  "4294967296 is expected" },
	{ TEXT(MINIMUM "segment-size = 4294971392\n"), EINVAL, "line 3",
	  "4294967296 is expected" },
	{ TEXT(MINIMUM "header = gzip\n"), EINVAL, "line 3", "are known" },
	{ TEXT(MINIMUM "headers-x = gzip\n"), EINVAL, "line 3", "are known" },
	{ TEXT(MINIMUM "compaction = yes\n"), EINVAL, "line 3",
	  "on or off is expected" },
	{ TEXT(MINIMUM "compaction = on\ncompaction = off\n"), EINVAL, "line 4",
	  "take one away" },
	{ TEXT(MINIMUM "inline-limit = 0\n"), EINVAL, "line 3",
	  "inline-limit \"0\": a number of bytes from 1024 to" },
	{ TEXT(MINIMUM "inline-limit = 1023\n"), EINVAL, "line 3",
	  "4294967296 is expected" },
	{ TEXT(MINIMUM "inline-limit = 5000\ninline-limit = 5000\n"), EINVAL,
	  "line 4", "take one away" },
	{ TEXT(MINIMUM "= gzip\n"), EINVAL, "line 3", "are known" },
	{ TEXT(MINIMUM "Body = gzip\n"), EINVAL, "line 3", "are known" },
	{ TEXT(MINIMUM "# c\nbody gzip\n"), EINVAL, "line 4",
	  "\"name = value\"" },
	{ TEXT(MINIMUM "body"), EINVAL, "line 3", "\"name = value\"" },
	{ TEXT(MINIMUM "store = file\n"), EINVAL, "line 3", "take one away" },
	{ TEXT(MINIMUM "body =\nbody = gzip\n"), EINVAL, "line 4",
	  "take one away" },
	{ TEXT(MINIMUM "version = 1\n"), EINVAL, "line 3", "take one away" },
	{ TEXT(MINIMUM "\0"), EINVAL, "line 3", "take it away" },
	{ TEXT("version = 1\nstore = file\0\n"), EINVAL, "line 2",
	  "take it away" },
	{ TEXT(MINIMUM "body = \33[2J\n"), EINVAL, "line 3", "take it away" },
	{ TEXT(MINIMUM "body = a\rb\n"), EINVAL, "line 3", "take it away" },
	{ TEXT("\xef\xbb\xbfversion = 1\n"), EINVAL, "line 1", "are known" },
};

static void test_errors_say_where_and_what_to_do(void **state ATTR_UNUSED)
{
	size_t i;
	int ret;

	for (i = 0; i < N_ELEMENTS(wrong); i++) {
		ret = read_text(wrong[i].text, wrong[i].size);
		if (ret != wrong[i].error)
			fail_msg("row %zu: %s", i, strerror(ret));
		if (strstr(error_text, "spool.conf") == NULL ||
		    strstr(error_text, wrong[i].where) == NULL ||
		    strstr(error_text, wrong[i].what) == NULL)
			fail_msg("row %zu: %s", i, error_text);
	}
	spool_conf_free(&conf);
}

/* As many as there may be, and one more. */
static void test_so_many_modules(void **state ATTR_UNUSED)
{
	buffer_t *text = buffer_create_dynamic(default_pool, 1024);
	static const char line[] = "module = /m.so\n";
	const unsigned int most = N_ELEMENTS(conf.modules);
	char where[64];
	unsigned int i;

	buffer_append(text, MINIMUM, strlen(MINIMUM));
	for (i = 0; i < most; i++)
		buffer_append(text, line, strlen(line));
	assert_int_equal(read_text(text->data, text->used), 0);
	assert_int_equal(conf.module_count, most);
	buffer_append(text, line, strlen(line));
	assert_int_equal(read_text(text->data, text->used), EINVAL);
	(void)snprintf(where, sizeof(where), "line %u: more than %u modules",
		       most + 3, most);
	assert_non_null(strstr(error_text, where));
	buffer_free(&text);
	spool_conf_free(&conf);
}

/* Whose the file is, as fstat() says; mode 0: that fails, when it was found to be a
   regular file. */
static struct {
	uid_t user;
	mode_t mode;
	unsigned int calls;
} owner;

static int owner_fstat(int fd, struct stat *st)
{
	if (owner.mode == 0 && owner.calls++ > 0) {
		errno = EIO;
		return -1;
	}
	if (file_ops_system.fstat(fd, st) < 0)
		return -1;
	st->st_uid = owner.user;
	st->st_mode = S_IFREG | owner.mode;
	return 0;
}

/* Modules are run by who opens the spool: the file is root's or his own, and nobody else
   may write it. */
static void test_who_may_name_modules(void **state ATTR_UNUSED)
{
	const struct {
		uid_t user;
		mode_t mode;
		int error;
	} rows[] = {
		{ geteuid(), 0600, 0 },
		{ geteuid(), 0644, 0 },
		{ 0, 0644, 0 },
		{ geteuid() + 1, 0600, EPERM },
		{ geteuid(), 0620, EPERM },
		{ geteuid(), 0602, EPERM },
		{ 0, 0666, EPERM },
		{ geteuid(), 0, EIO },
	};
	struct file_ops ops = file_ops_system;
	size_t i;
	int ret;

	ops.fstat = owner_fstat;
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		owner.user = rows[i].user;
		owner.mode = rows[i].mode;
		owner.calls = 0;
		test_write_file(test_path("spool.conf"),
				TEXT(MINIMUM "\nmodule = /m.so\n# end\n"));
		file_ops_set(&ops);
		ret = read_conf();
		file_ops_set(NULL);
		if (ret != rows[i].error)
			fail_msg("row %zu: %s", i, strerror(ret));
		if (ret == EPERM)
			assert_non_null(strstr(error_text, "line 4: it names"));
	}
	spool_conf_free(&conf);
}

/* Long lines, many lines, one line of nothing but zeros. */
static void test_hostile_sizes(void **state ATTR_UNUSED)
{
	buffer_t *text = buffer_create_dynamic(default_pool, 1 << 20);
	unsigned int i;

	buffer_append(text, MINIMUM "body = ", strlen(MINIMUM "body = "));
	while (text->used < 200000)
		buffer_append(text, "xxxxxxxx", 8);
	assert_int_equal(read_text(text->data, text->used), EINVAL);
	assert_non_null(
		strstr(error_text, "DIR/spool.conf: line 3: longer than"));

	buffer_set_used_size(text, 0);
	for (i = 0; i < 100000; i++)
		buffer_append(text, "# comment\n", 10);
	buffer_append(text, "x = y\n", 6);
	assert_int_equal(read_text(text->data, text->used), EINVAL);
	assert_non_null(strstr(error_text, "line 100001: unknown name \"x\""));

	/* a long name is told in part */
	buffer_set_used_size(text, 0);
	for (i = 0; i < 1000; i++)
		buffer_append(text, "name", 4);
	buffer_append(text, " = y\n", 5);
	assert_int_equal(read_text(text->data, text->used), EINVAL);
	assert_true(strlen(error_text) < 200);

	memset(buffer_get_modifiable_data(text, NULL), 0, text->used);
	assert_int_equal(read_text(text->data, text->used), EINVAL);
	buffer_free(&text);
	spool_conf_free(&conf);
}

static void test_not_a_regular_file(void **state ATTR_UNUSED)
{
	const char *path = test_path("spool.conf");

	(void)unlink(path);
	assert_int_equal(read_conf(), ENOENT);
	assert_non_null(strstr(error_text, "bobbin spool init"));
	/* nobody writes into it: this is not waited for */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(read_conf(), EINVAL);
	assert_non_null(strstr(error_text, "not a regular file"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(read_conf(), EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(read_conf(), EINVAL);
	assert_int_equal(rmdir(path), 0);
	if (mknod(path, S_IFCHR | 0600, makedev(1, 5)) < 0) {
		printf("NOT RUN: no device can be made here\n");
	} else {
		assert_int_equal(read_conf(), EINVAL);
		assert_int_equal(unlink(path), 0);
	}
	spool_conf_free(&conf);
}

static void test_every_failing_call(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN, TEST_OP_FSTAT,
					    TEST_OP_READ };
	const unsigned int before = test_open_descriptors();
	unsigned int n, hit;
	size_t i;
	int ret;

	assert_int_equal(read_text(TEXT(MINIMUM)), 0);
	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = EIO;
			ret = read_conf();
			hit = test_faults.calls[ops[i]];
			test_faults_end();
			assert_int_equal(test_open_descriptors(), before);
			/* the first of each is needed */
			if (n == 1)
				assert_int_equal(ret, EIO);
			if (ret != 0)
				assert_non_null(
					strstr(error_text, "spool.conf"));
		}
	}
	spool_conf_free(&conf);
}

static void test_what_is_written_is_read(void **state ATTR_UNUSED)
{
	static char store[] = "file", body[] = "zstd:19 | age", headers[] = "";
	const struct spool_conf mine = { .store = store,
					 .body = body,
					 .headers = headers };
	char *error;
	const mode_t mask = umask(0);
	struct stat st;

	(void)unlink(test_path("spool.conf"));
	assert_int_equal(spool_conf_write(dir_fd, &mine, &error), 0);
	(void)umask(mask);
	assert_int_equal(stat(test_path("spool.conf"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(read_conf(), 0);
	assert_string_equal(conf.store, store);
	assert_string_equal(conf.body, body);
	assert_string_equal(conf.headers, "");
	/* of a spool that is there nothing is overwritten */
	assert_int_equal(spool_conf_write(dir_fd, &mine, &error), -1);
	assert_int_equal(errno, EEXIST);
	assert_non_null(strstr(error, "spool.conf"));
	i_free(error);
	spool_conf_free(&conf);
}

static void test_modules_are_written(void **state ATTR_UNUSED)
{
	static const struct {
		const char *value, *path, *config;
	} good[] = {
		{ "/one.so", "/one.so", "" },
		{ "/two.so  some text ", "/two.so", "some text" },
	};
	static const char *const bad[] = { "", "one.so", "/one.so a\nb",
					   "/one.so\r" };
	struct spool_conf mine = { .store = i_strdup("file"),
				   .body = i_strdup(""),
				   .headers = i_strdup("") };
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(bad); i++) {
		assert_int_equal(
			spool_conf_add_module(&mine, bad[i], 0, &error), -1);
		assert_int_equal(errno, EINVAL);
		i_free(error);
	}
	for (i = 0; i < N_ELEMENTS(good); i++)
		assert_int_equal(spool_conf_add_module(&mine, good[i].value, 0,
						       &error),
				 0);
	(void)unlink(test_path("spool.conf"));
	assert_int_equal(spool_conf_write(dir_fd, &mine, &error), 0);
	spool_conf_free(&mine);
	assert_int_equal(read_conf(), 0);
	assert_int_equal(conf.module_count, N_ELEMENTS(good));
	for (i = 0; i < N_ELEMENTS(good); i++) {
		assert_string_equal(conf.modules[i].path, good[i].path);
		assert_string_equal(conf.modules[i].config, good[i].config);
	}
	spool_conf_free(&conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_read),
		cmocka_unit_test(test_errors_say_where_and_what_to_do),
		cmocka_unit_test(test_so_many_modules),
		cmocka_unit_test(test_who_may_name_modules),
		cmocka_unit_test(test_hostile_sizes),
		cmocka_unit_test(test_not_a_regular_file),
		cmocka_unit_test(test_every_failing_call),
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_modules_are_written),
	};

	return cmocka_run_group_tests_name("spool-conf", tests, setup,
					   teardown);
}
