/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is refused as a module, by the program and by spool.conf. Shared objects that
   are modules: tests/check-outside-module.sh. */

#include "config.h"
#include "file-ops.h"
#include "spool-modules.h"
#include "spool-private.h"
#include "test-spool-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned int calls;

static int count_init(io_infrastructure *io ATTR_UNUSED,
		      const char *config ATTR_UNUSED)
{
	calls++;
	return 0;
}

static int silent_init(io_infrastructure *io ATTR_UNUSED,
		       const char *config ATTR_UNUSED)
{
	return -1;
}

static int telling_init(io_infrastructure *io ATTR_UNUSED, const char *config)
{
	io_set_error("no such thing as %s", config);
	return -1;
}

static void count_deinit(io_infrastructure *io ATTR_UNUSED)
{
	calls++;
}

static io_infrastructure some_module(void)
{
	io_infrastructure io = { .shared = SPOOL_MODULE_SHARED("some", "a test",
							       "counts") };

	io.shared.init = count_init;
	io.shared.deinit = count_deinit;
	return io;
}

static void must_refuse(struct spool *spool, io_infrastructure *io, int error,
			const char *words)
{
	char *text = NULL;

	calls = 0;
	assert_int_equal(spool_add_module(spool, io, "config", &text), -1);
	assert_int_equal(errno, error);
	if (strstr(text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, words);
	free(text);
	assert_int_equal(calls, 0);
}

static void test_what_is_not_for_this_version(void **state ATTR_UNUSED)
{
	struct spool *spool = spool_new();
	io_infrastructure io = some_module();

	io.shared.magic++;
	must_refuse(spool, &io, EINVAL, "it is no module for Bobbin");
	io = some_module();
	io.shared.abi_version++;
	must_refuse(spool, &io, EINVAL, "module interface 2, not 1");
	io = some_module();
	io.shared.size -= sizeof(void *);
	must_refuse(spool, &io, EINVAL, "its io_infrastructure has");
	io = some_module();
	io.shared.name = NULL;
	must_refuse(spool, &io, EINVAL, "it has no name");
	spool_close(&spool);
	assert_int_equal(calls, 0);
}

static void test_init_that_fails(void **state ATTR_UNUSED)
{
	struct spool *spool = spool_new();
	io_infrastructure io = some_module();
	char *error;

	io.shared.init = silent_init;
	must_refuse(spool, &io, EINVAL, "module some: its init failed");
	io.shared.init = telling_init;
	must_refuse(spool, &io, EINVAL, "module some: no such thing as config");
	/* it is nobody's then */
	io.shared.init = count_init;
	assert_int_equal(spool_add_module(spool, &io, NULL, &error), 0);
	spool_close(&spool);
	assert_int_equal(calls, 2);
}

/* Of this spool; what became of it. */
static io_infrastructure inner;
static int inner_errno;

static int adding_init(io_infrastructure *io, const char *config)
{
	char *error = NULL;

	inner = some_module();
	inner_errno = 0;
	if (spool_add_module(io->shared.spool, &inner, config, &error) < 0)
		inner_errno = errno;
	free(error);
	return 0;
}

/* It would take the place that is kept for the other one. */
static void test_init_adds_no_modules(void **state ATTR_UNUSED)
{
	struct spool *spool = spool_new();
	io_infrastructure *memory = spool_module_memory_new();
	io_infrastructure io = some_module();
	message_id id;
	char *error;

	calls = 0;
	io.shared.init = adding_init;
	assert_int_equal(spool_add_module(spool, &io, NULL, &error), 0);
	assert_int_equal(inner_errno, EBUSY);
	assert_null(inner.shared.spool);
	assert_int_equal(calls, 0);
	/* behind it there is room again */
	assert_int_equal(spool_add_module(spool, &inner, NULL, &error), 0);
	assert_int_equal(spool_add_module(spool, memory, NULL, &error), 0);
	assert_int_equal(test_spool_put(spool, ".\r\n", 3, &id), IO_DONE);
	spool_close(&spool);
	assert_int_equal(calls, 3);
}

static void test_one_spool_at_a_time(void **state ATTR_UNUSED)
{
	struct spool *spool = spool_new(), *other = spool_new();
	io_infrastructure io = some_module();
	char *error;

	assert_int_equal(spool_add_module(spool, &io, NULL, &error), 0);
	must_refuse(spool, &io, EBUSY, "module some: it is in use");
	must_refuse(other, &io, EBUSY, "module some: it is in use");
	spool_close(&spool);
	assert_int_equal(spool_add_module(other, &io, NULL, &error), 0);
	spool_close(&other);
}

static int any_hook(io_infrastructure *io ATTR_UNUSED)
{
	return IO_CONT;
}

static void *any_scan(io_infrastructure *io ATTR_UNUSED,
		      void *argument ATTR_UNUSED)
{
	return NULL;
}

static void any_after(io_infrastructure *io ATTR_UNUSED,
		      enum io_operation operation ATTR_UNUSED,
		      const message_id *id ATTR_UNUSED,
		      uint64_t version ATTR_UNUSED, int result ATTR_UNUSED)
{
}

static int any_write(io_infrastructure *io ATTR_UNUSED,
		     io_caller caller ATTR_UNUSED,
		     email_message *message ATTR_UNUSED, int force ATTR_UNUSED)
{
	return IO_CONT;
}

static int any_read(io_infrastructure *io ATTR_UNUSED,
		    io_caller caller ATTR_UNUSED,
		    email_message *message ATTR_UNUSED)
{
	return IO_CONT;
}

static int any_unlink(io_infrastructure *io ATTR_UNUSED,
		      io_caller caller ATTR_UNUSED, message_id *id ATTR_UNUSED)
{
	return IO_CONT;
}

/* Adds one of all that a module can be asked; false: there are no more. */
static bool add_question(io_infrastructure *io, unsigned int i)
{
	switch (i) {
	case 0:
		io->shared.deinit = count_deinit;
		break;
	case 1:
		io->shared.after = any_after;
		break;
	case 2:
		io->io_process_disk_queue = any_scan;
		break;
	case 3:
		io->io_writeheaders = any_write;
		break;
	case 4:
		io->io_readheaders = any_read;
		break;
	case 5:
		io->io_unlinkheaders = any_unlink;
		break;
	case 6:
		io->io_writebody = any_write;
		break;
	case 7:
		io->io_readbody = any_read;
		break;
	case 8:
		io->io_unlinkbody = any_unlink;
		break;
	case 9:
		io->io_close = any_hook;
		break;
	default:
		return false;
	}
	return true;
}

/* As one that registers codecs: both ends of a migration have the same. */
static void test_what_is_asked_nothing_is_of_several(void **state ATTR_UNUSED)
{
	struct spool *spool = spool_new(), *other = spool_new();
	io_infrastructure io = some_module(), asked;
	unsigned int i;
	char *error;

	io.shared.deinit = NULL;
	for (asked = io, i = 0; add_question(&asked, i); asked = io, i++) {
		assert_int_equal(spool_add_module(spool, &asked, NULL, &error),
				 0);
		must_refuse(other, &asked, EBUSY, "module some: it is in use");
		spool_close(&spool);
		spool = spool_new();
	}
	calls = 0;
	assert_int_equal(spool_add_module(spool, &io, NULL, &error), 0);
	assert_int_equal(spool_add_module(other, &io, NULL, &error), 0);
	assert_int_equal(calls, 2);
	must_refuse(other, &io, EBUSY, "module some: it is in use");
	spool_close(&spool);
	must_refuse(other, &io, EBUSY, "module some: it is in use");
	spool_close(&other);
	assert_null(io.shared.spool);
}

/* What is in front of the store has to see every message. */
static void test_before_the_first_message(void **state ATTR_UNUSED)
{
	struct spool *spool = spool_new();
	io_infrastructure io = some_module();
	message_id id;
	char *error;

	assert_int_equal(spool_add_module(spool, spool_module_null_new(), NULL,
					  &error),
			 0);
	spool_new_id(spool, &id);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	must_refuse(spool, &io, EBUSY, "added before the first message");
	spool_close(&spool);

	spool = spool_new();
	(void)test_spool_scan(spool);
	must_refuse(spool, &io, EBUSY, "added before the first message");
	spool_close(&spool);
}

/* What could not be added is as it was, and the caller's to free: whoever looks for leaks
   sees it. */
static void test_what_was_not_added_is_freed(void **state ATTR_UNUSED)
{
	io_infrastructure *modules[] = {
		spool_module_null_new(), spool_module_memory_new(),
		spool_module_failure_new(IO_OP_READBODY, 1, IO_FAIL)
	};
	struct spool *spool = spool_new();
	unsigned int i;
	char *error;

	(void)test_spool_scan(spool);
	for (i = 0; i < N_ELEMENTS(modules); i++) {
		must_refuse(spool, modules[i], EBUSY, "before the first");
		spool_module_free(&modules[i]);
		assert_null(modules[i]);
	}
	spool_module_free(&modules[0]);
	spool_close(&spool);

	spool = spool_new();
	modules[0] = spool_module_null_new();
	assert_int_equal(spool_add_module(spool, modules[0], NULL, &error), 0);
	EXPECT_PANIC("module null is of a spool",
		     spool_module_free(&modules[0]));
	spool_close(&spool);
}

static void test_too_many(void **state ATTR_UNUSED)
{
	struct spool *spool = spool_new();
	io_infrastructure io = some_module();
	unsigned int i;
	char *error;

	for (i = 0; i < SPOOL_MODULES_MAX; i++)
		assert_int_equal(spool_add_module(spool,
						  spool_module_null_new(), NULL,
						  &error),
				 0);
	must_refuse(spool, &io, EINVAL, "module some: more than 32");
	spool_close(&spool);
}

static void test_files_that_are_no_modules(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		mode_t mode; /* 0: there is none */
		const char *words;
	} cases[] = {
		{ "none.so", 0, "No such file" },
		{ "text.so", 0755, "text.so" },
		/* not opened: that would run its constructors */
		{ "open.so", 0646, "everybody may write the file" },
		{ ".", 0755, "not a regular file" },
	};
	struct spool *spool = spool_new();
	char *error = NULL;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		const char *path = test_path(cases[i].name);

		if (cases[i].mode != 0 && *cases[i].name != '.')
			test_write_file(path, "text", 4);
		if (cases[i].mode != 0)
			assert_int_equal(chmod(path, cases[i].mode), 0);
		assert_int_equal(
			spool_load_module(spool, path, NULL, NULL, &error), -1);
		if (strstr(error, cases[i].words) == NULL)
			fail_msg("%s: %s", cases[i].name, error);
		free(error);
	}
	spool_close(&spool);
}

/*
 * spool.conf
 */

/* A new spool, with this behind the rest of its spool.conf (5 lines). */
static void add_to_conf(const char *text)
{
	static const char conf[] = "version = 1\nstore = file\nbody =\n"
				   "headers =\n# modules\n";
	char path[512], all[8192];

	test_spool_init(NULL);
	(void)snprintf(path, sizeof(path), "%s/spool.conf", test_spool_dir());
	(void)snprintf(all, sizeof(all), "%s%s", conf, text);
	test_write_file(path, all, strlen(all));
	assert_int_equal(chmod(path, 0600), 0);
}

/* The text has these words, and tells which spool it is. */
static void open_must_fail(int error, const char *words)
{
	char *text = NULL;

	assert_null(spool_open(test_spool_dir(), 0, NULL, &text));
	assert_int_equal(errno, error);
	if (strstr(text, words) == NULL ||
	    strstr(text, test_spool_dir()) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, words);
	free(text);
}

static void test_conf_lines(void **state ATTR_UNUSED)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "module = audit.so\n",
		  "spool.conf: line 6: module \"audit.so\": its path has to "
		  "begin with \"/\"" },
		{ "\nmodule = ./audit.so log file\n",
		  "line 7: module \"./audit.so\": its path" },
		{ "module =\n", "line 6: module \"\": its path" },
		{ "module = /no/such.so some text\n",
		  "spool.conf: line 6: module /no/such.so: No such file" },
		{ "module = /etc\n", "line 6: module /etc: it is not" },
		{ "modules = /etc\n", "line 6: unknown name \"modules\"" },
	};
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		add_to_conf(cases[i].text);
		open_must_fail(EINVAL, cases[i].words);
	}
}

static void test_conf_names_too_many(void **state ATTR_UNUSED)
{
	char text[2048] = "";
	unsigned int i;

	for (i = 0; i < SPOOL_MODULES_MAX; i++)
		strcat(text, "module = /no.so\n");
	add_to_conf(text);
	open_must_fail(EINVAL, "line 37: more than 31 modules");
}

static void test_conf_fields(void **state ATTR_UNUSED)
{
	struct spool_conf conf = { .store = NULL };
	char *error;
	int fd;

	add_to_conf("module = /a/b.so\nmodule=/c.so \t one  two \n");
	fd = file_open(AT_FDCWD, test_spool_dir(), O_RDONLY | O_DIRECTORY, 0);
	assert_int_equal(spool_conf_read(fd, "DIR", &conf, &error), 0);
	assert_int_equal(conf.module_count, 2);
	assert_string_equal(conf.modules[0].path, "/a/b.so");
	assert_string_equal(conf.modules[0].config, "");
	assert_int_equal(conf.modules[0].line, 6);
	assert_string_equal(conf.modules[1].path, "/c.so");
	assert_string_equal(conf.modules[1].config, "one  two");
	assert_int_equal(conf.modules[1].line, 7);
	spool_conf_free(&conf);
	(void)file_close(&fd);
}

/* Who may write the file may run code as those who open the spool. */
static void test_conf_of_others(void **state ATTR_UNUSED)
{
	char path[512], *error;
	struct spool *spool;

	add_to_conf("module = /no/such.so\n");
	(void)snprintf(path, sizeof(path), "%s/spool.conf", test_spool_dir());
	assert_int_equal(chmod(path, 0660), 0);
	open_must_fail(EPERM, "line 6: it names a module, and others");
	assert_int_equal(chmod(path, 0602), 0);
	open_must_fail(EPERM, "line 6: it names a module, and others");
	assert_int_equal(chmod(path, 0600), 0);
	if (geteuid() != 0) {
		print_message("NOT RUN: another's spool.conf: not root\n");
		return;
	}
	assert_int_equal(chown(path, 65533, (gid_t)-1), 0);
	open_must_fail(EPERM, "the file belongs to user 65533");

	/* without modules it does not matter */
	add_to_conf("");
	(void)snprintf(path, sizeof(path), "%s/spool.conf", test_spool_dir());
	assert_int_equal(chown(path, 65533, (gid_t)-1), 0);
	spool = spool_open(test_spool_dir(), 0, NULL, &error);
	assert_non_null(spool);
	spool_close(&spool);
}

/* A reader does without what only writers need, and without its mistakes. */
static void test_conf_of_writers(void **state ATTR_UNUSED)
{
	static const struct {
		const char *conf, *recipients; /* NULL: no such file */
		int error;                     /* of a writer; 0: none */
		const char *words;
	} cases[] = {
		{ "body = gzip\n", NULL, 0, "" },
		{ "body = zsdt\n", NULL, EINVAL, "/spool.conf: body: stack" },
		{ "body = gzip\nheaders = file:x\n", NULL, EINVAL,
		  "/spool.conf: headers: " },
		{ "body = gzip | age\n", NULL, EINVAL,
		  "/recipients, which says for whom, is missing" },
		{ "headers = age\n", NULL, EINVAL,
		  "/spool.conf: headers = age: it encrypts, and " },
		{ "body = age\n", "# nobody\n", EINVAL,
		  "/recipients: there is no recipient in it" },
		{ "body = age\n", "age1typo\n", EINVAL,
		  "/recipients: line 1: not an age recipient" },
	};
	char path[512], *error, whole[1024];
	struct spool *spool;
	size_t i;
	int fd;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		(void)snprintf(whole, sizeof(whole),
			       "version = 1\nstore = file\n%s", cases[i].conf);
		test_spool_init(NULL);
		(void)snprintf(path, sizeof(path), "%s/spool.conf",
			       test_spool_dir());
		test_write_file(path, whole, strlen(whole));
		(void)snprintf(path, sizeof(path), "%s/recipients",
			       test_spool_dir());
		if (cases[i].recipients != NULL)
			test_write_file(path, cases[i].recipients,
					strlen(cases[i].recipients));
		if (cases[i].error != 0)
			open_must_fail(cases[i].error, cases[i].words);
		spool = spool_open(test_spool_dir(), SPOOL_OPEN_READ_ONLY, NULL,
				   &error);
		if (spool == NULL)
			fail_msg("case %zu: %s", i, error);
		spool_close(&spool);
	}
	/* a configuration that cannot be read now is not a wrong one */
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0 && close(fd) == 0);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_OPEN] = 4; /* behind spool.conf and lock */
	test_faults.fail_errno[TEST_OP_OPEN] = EIO;
	open_must_fail(EIO, "/recipients) failed");
	test_faults_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_for_this_version),
		cmocka_unit_test(test_init_that_fails),
		cmocka_unit_test(test_init_adds_no_modules),
		cmocka_unit_test(test_one_spool_at_a_time),
		cmocka_unit_test(test_what_is_asked_nothing_is_of_several),
		cmocka_unit_test(test_before_the_first_message),
		cmocka_unit_test(test_what_was_not_added_is_freed),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_files_that_are_no_modules),
		cmocka_unit_test(test_conf_lines),
		cmocka_unit_test(test_conf_names_too_many),
		cmocka_unit_test(test_conf_fields),
		cmocka_unit_test(test_conf_of_others),
		cmocka_unit_test(test_conf_of_writers),
	};

	return cmocka_run_group_tests_name("spool-load", tests, NULL, NULL);
}
