/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a file that is replaced hands on: its owner and group where that is allowed,
   its ACL and its permissions, and never more than it gave. */

#include "config.h"
#include "ends/file-rights.h"
#include "stream-kinds.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Nobody has these. */
#define OTHER_USER ((uid_t)4000000001)
#define OTHER_GROUP ((gid_t)4000000002)

/* What the table in use was asked for, and what it allows. */
static struct {
	bool may_chown, may_chgrp;
	unsigned int chowns;
	uid_t owner;
	gid_t group;
	mode_t mode;
	bool chowned_last; /* no fchmod() came behind it */
} rights;

static int t_fchown(int fd ATTR_UNUSED, uid_t owner, gid_t group)
{
	rights.chowns++;
	rights.chowned_last = true;
	if (owner == (uid_t)-1 ? rights.may_chgrp : rights.may_chown) {
		rights.owner = owner;
		rights.group = group;
		return 0;
	}
	errno = EPERM;
	return -1;
}

static int t_fchmod(int fd, mode_t mode)
{
	rights.chowned_last = false;
	rights.mode = mode;
	return file_ops_system.fchmod(fd, mode);
}

/* Of whom the file is that is replaced. */
static int t_fstatat(int dir_fd, const char *path, struct stat *st, int flags)
{
	int ret = file_ops_system.fstatat(dir_fd, path, st, flags);

	st->st_uid = OTHER_USER;
	st->st_gid = OTHER_GROUP;
	return ret;
}

static void rights_begin(bool may_chown, bool may_chgrp)
{
	static struct file_ops ops;

	ops = file_ops_system;
	ops.fchown = t_fchown;
	ops.fchmod = t_fchmod;
	ops.fstatat = t_fstatat;
	memset(&rights, 0, sizeof(rights));
	rights.may_chown = may_chown;
	rights.may_chgrp = may_chgrp;
	rights.owner = (uid_t)-1;
	rights.group = (gid_t)-1;
	file_ops_set(&ops);
}

static void make_old(mode_t mode)
{
	/* the one before may not be one to write to */
	(void)unlink(test_path("d/old"));
	test_write_file(test_path("d/old"), "old", 3);
	assert_int_equal(chmod(test_path("d/old"), mode), 0);
}

/* Replaces it. */
static void replace(void)
{
	struct ostream *s =
		o_stream_create_file_or_device(test_path("d/old"), 0666);
	buffer_t *buf;

	o_stream_nsend_str(s, "new");
	if (o_stream_finish(s) != 1)
		fail_msg("%s", o_stream_get_error(s));
	o_stream_destroy(&s);
	buf = test_read_file(test_path("d/old"));
	assert_string_equal(buffer_c_str(buf), "new");
	buffer_free(&buf);
}

static mode_t mode_of_new(void)
{
	struct stat st;

	assert_int_equal(stat(test_path("d/old"), &st), 0);
	return st.st_mode & 07777;
}

static void test_owner_and_group(void **state ATTR_UNUSED)
{
	static const struct {
		bool may_chown, may_chgrp;
		uid_t owner;
		gid_t group;
		unsigned int chowns;
		mode_t mode;
	} rows[] = {
		{ true, true, OTHER_USER, OTHER_GROUP, 1, 0640 },
		{ false, true, (uid_t)-1, OTHER_GROUP, 2, 0640 },
		{ false, false, (uid_t)-1, (gid_t)-1, 2, 0600 },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		make_old(0640);
		rights_begin(rows[i].may_chown, rows[i].may_chgrp);
		replace();
		file_ops_set(NULL);
		assert_int_equal(rights.chowns, rows[i].chowns);
		assert_int_equal(rights.owner, rows[i].owner);
		assert_int_equal(rights.group, rows[i].group);
		/* chown() takes bits away, and until it is done the file is
		   nobody's but ours */
		assert_false(rights.chowned_last);
		assert_int_equal(rights.mode, rows[i].mode);
		assert_int_equal(mode_of_new(), rows[i].mode);
	}
}

static void test_permissions_of_another_group(void **state ATTR_UNUSED)
{
	static const struct {
		mode_t old, kept, lost;
	} rows[] = {
		{ 0600, 0600, 0600 },
		{ 0644, 0644, 0644 },
		{ 0640, 0640, 0600 },
		{ 0660, 0660, 0600 },
		{ 0664, 0664, 0644 },
		{ 0666, 0666, 0666 },
		{ 0755, 0755, 0755 },
		{ 0750, 0750, 0700 },
		/* who is in the old group is among the others then */
		{ 0604, 0604, 0600 },
		{ 0646, 0646, 0644 },
		{ 0400, 0400, 0400 },
		{ 06755, 0755, 0755 },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		make_old(rows[i].old);
		rights_begin(false, true);
		replace();
		assert_int_equal(mode_of_new(), rows[i].kept);
		make_old(rows[i].old);
		rights_begin(false, false);
		replace();
		assert_int_equal(mode_of_new(), rows[i].lost);
		file_ops_set(NULL);
	}
}

/* A file system may refuse to set what is so already. */
static void test_the_same_group_is_kept(void **state ATTR_UNUSED)
{
	struct stat old;

	make_old(0660);
	rights_begin(false, false);
	((struct file_ops *)(uintptr_t)file_ops())->fstatat =
		file_ops_system.fstatat;
	replace();
	assert_int_equal(rights.chowns, 2);
	assert_int_equal(mode_of_new(), 0660);
	assert_int_equal(stat(test_path("d/old"), &old), 0);
	assert_int_equal(old.st_gid, getegid());
}

/* As whoever runs this: what is one's own stays so; root's tests see more. */
static void test_real_owners(void **state ATTR_UNUSED)
{
	struct stat st;
	int fd;

	make_old(0640);
	if (geteuid() == 0)
		assert_int_equal(
			chown(test_path("d/old"), OTHER_USER, OTHER_GROUP), 0);
	replace();
	assert_int_equal(mode_of_new(), 0640);
	assert_int_equal(stat(test_path("d/old"), &st), 0);
	assert_int_equal(st.st_uid, geteuid() == 0 ? OTHER_USER : geteuid());
	assert_int_equal(st.st_gid, geteuid() == 0 ? OTHER_GROUP : getegid());
	/* a new one has nothing to be handed on */
	assert_int_equal(unlink(test_path("d/old")), 0);
	rights_begin(true, true);
	replace();
	assert_int_equal(rights.chowns, 0);
	fd = open(test_path("d/old"), O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
}

static void test_permissions_that_cannot_be_set(void **state ATTR_UNUSED)
{
	struct ostream *s;

	make_old(0640);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FCHMOD] = 1;
	test_faults.fail_errno[TEST_OP_FCHMOD] = EIO;
	s = o_stream_create_file_or_device(test_path("d/old"), 0666);
	assert_int_equal(s->stream_errno, EIO);
	assert_non_null(strstr(o_stream_get_error(s), "fchmod("));
	o_stream_abort(s);
	o_stream_destroy(&s);
	test_faults_end();
	assert_int_equal(mode_of_new(), 0640);
}

/*
 * ACLs
 */

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* As the kernel has it (linux/posix_acl_xattr.h): user::rw-, user:4000000001:rw-,
   group::---, mask::rw-, other::---. */
static const unsigned char acl[] = "\2\0\0\0"
				   "\1\0\6\0\377\377\377\377"
				   "\2\0\6\0\1\50\153\356"
				   "\4\0\0\0\377\377\377\377"
				   "\20\0\6\0\377\377\377\377"
				   "\40\0\0\0\377\377\377\377";
#define ACL_SIZE (sizeof(acl) - 1)

static void need_acls(void)
{
	make_old(0600);
	if (setxattr(test_path("d/old"), ACL_ACCESS, acl, ACL_SIZE, 0) < 0) {
		assert_int_equal(errno, ENOTSUP);
		print_message("this file system has no ACLs\n");
		skip();
	}
	assert_int_equal(mode_of_new(), 0660);
}

static void acl_is(const void *data, size_t size)
{
	unsigned char got[256];
	ssize_t ret;

	ret = getxattr(test_path("d/old"), ACL_ACCESS, got, sizeof(got));
	if (size == 0) {
		assert_int_equal(ret, -1);
		assert_int_equal(errno, ENODATA);
	} else {
		assert_int_equal(ret, size);
		assert_memory_equal(got, data, size);
	}
}

static void test_an_acl_is_handed_on(void **state ATTR_UNUSED)
{
	need_acls();
	replace();
	acl_is(acl, ACL_SIZE);
	assert_int_equal(mode_of_new(), 0660);
}

/* The group had nothing, whatever its permissions seem to be. */
static void test_an_acl_of_another_group(void **state ATTR_UNUSED)
{
	need_acls();
	rights_begin(false, false);
	replace();
	acl_is(NULL, 0);
	assert_int_equal(mode_of_new(), 0600);
}

/* The directory's default is for files that were not there before. */
static void test_a_default_acl(void **state ATTR_UNUSED)
{
	need_acls();
	assert_int_equal(
		setxattr(test_path("d"), ACL_DEFAULT, acl, ACL_SIZE, 0), 0);
	assert_int_equal(removexattr(test_path("d/old"), ACL_ACCESS), 0);
	assert_int_equal(chmod(test_path("d/old"), 0640), 0);
	replace();
	acl_is(NULL, 0);
	assert_int_equal(mode_of_new(), 0640);
}

static void test_an_acl_that_is_too_large(void **state ATTR_UNUSED)
{
	unsigned char large[4 + 8 * 300];
	size_t i;

	need_acls();
	/* the users between the owner and the group, in order */
	memcpy(large, acl, 12);
	for (i = 1; i < 300 - 3; i++) {
		memcpy(large + 4 + 8 * i, "\2\0\6\0", 4);
		large[8 + 8 * i] = (unsigned char)(i & 0xff);
		large[9 + 8 * i] = (unsigned char)(i >> 8);
		large[10 + 8 * i] = large[11 + 8 * i] = 1;
	}
	memcpy(large + 4 + 8 * i, acl + 20, 24);
	if (setxattr(test_path("d/old"), ACL_ACCESS, large, sizeof(large), 0) <
	    0) {
		print_message("this file system has no large ACLs: %s\n",
			      strerror(errno));
		skip();
	}
	replace();
	acl_is(NULL, 0);
	assert_int_equal(mode_of_new(), 0600);
}

#define TEST(function)                                            \
	cmocka_unit_test_setup_teardown(function, test_dir_setup, \
					test_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_owner_and_group),
		TEST(test_permissions_of_another_group),
		TEST(test_the_same_group_is_kept),
		TEST(test_real_owners),
		TEST(test_permissions_that_cannot_be_set),
		TEST(test_an_acl_is_handed_on),
		TEST(test_an_acl_of_another_group),
		TEST(test_a_default_acl),
		TEST(test_an_acl_that_is_too_large),
	};

	return cmocka_run_group_tests_name("file-rights", tests, NULL, NULL);
}
