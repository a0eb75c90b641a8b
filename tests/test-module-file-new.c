/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store: messages that are written for the first time, beside others that have the
   same id, a similar one, or are being looked for. */

#include "config.h"
#include "file-ops.h"
#include "istream.h"
#include "macros.h"
#include "module-file-private.h"
#include "test-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;
static const char longer[] =
	"Subject: another\r\n\r\nmuch longer than before\r\n.\r\n";

static void put(struct spool *spool, message_id *id_r)
{
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, id_r),
			 IO_DONE);
}

/* A message with this id, whose versions begin with `first`. */
static email_message *new_message(const message_id *id, uint64_t first)
{
	email_message *message = email_message_new(id);

	(void)email_message_set_sender(message, "a@example.org");
	(void)email_message_add_recipient(message, "b@example.org");
	assert_int_equal(email_message_set_first_version(message, first), 0);
	return message;
}

/* Before the first headers a body may be written as often as one likes. */
static void test_body_of_a_new_message(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	message_id id;
	unsigned int n;

	spool_new_id(spool, &id);
	message = new_message(&id, 1);
	assert_int_equal(test_spool_write_body(spool, message, wire), IO_DONE);
	assert_int_equal(test_spool_write_body(spool, message, longer),
			 IO_DONE);
	assert_int_equal(test_spool_write_body(spool, message, wire), IO_DONE);
	/* the same once more is the one that is kept */
	for (n = 0; n < 2; n++)
		assert_int_equal(test_spool_write_body(spool, message, longer),
				 IO_DONE);
	/* a scan leaves it alone */
	assert_int_equal(test_spool_scan(spool), 0);
	assert_int_equal(test_spool_write_headers(spool, message), IO_DONE);
	email_message_unref(&message);
	test_spool_must_have(spool, &id, longer, sizeof(longer) - 1);
	assert_int_equal(test_spool_count_files(&id), 2);
	assert_int_equal(test_spool_scan_again(&spool), 1);
	spool_close(&spool);
}

static void must_be_idle(const struct spool *spool)
{
	const struct file_store *store =
		container_of(spool->store, struct file_store, io);
	unsigned int i;

	for (i = 0; i < FILE_BUSY_CHAINS; i++)
		assert_null(store->busy[i]);
}

/* Of what is over no memory is kept, however many messages there are. */
static void test_nothing_is_kept_of_what_is_over(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	message_id id;

	put(spool, &id);
	must_be_idle(spool);
	test_spool_change_body(spool, &id, longer, sizeof(longer) - 1);
	must_be_idle(spool);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	must_be_idle(spool);
	/* a body that nobody wants after all */
	spool_new_id(spool, &id);
	message = new_message(&id, 1);
	assert_int_equal(test_spool_write_body(spool, message, wire), IO_DONE);
	assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS, &id), IO_DONE);
	must_be_idle(spool);
	email_message_unref(&message);
	spool_close(&spool);
}

/* Two that take one id: a body of the first that waits for its headers stays, whatever
   becomes of the other's; and so do its headers. */
static void test_the_first_one_stays(void **state ATTR_UNUSED)
{
	static const uint64_t versions[] = { 1, 5 };
	struct spool *spool = test_spool_new("");
	email_message *first, *second;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(versions); i++) {
		spool_new_id(spool, &id);
		first = new_message(&id, versions[i]);
		second = new_message(&id, versions[i]);
		assert_int_equal(test_spool_write_body(spool, first, wire),
				 IO_DONE);
		assert_int_equal(test_spool_write_body(spool, second, longer),
				 IO_FAIL);
		assert_int_equal(io_get_errno(), EEXIST);
		(void)test_spool_scan(spool);
		assert_int_equal(test_spool_count_files(&id), 1);
		/* somebody took the body away between them */
		assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS, &id),
				 IO_DONE);
		assert_int_equal(test_spool_write_body(spool, second, longer),
				 IO_DONE);
		assert_int_equal(test_spool_write_headers(spool, second),
				 IO_DONE);
		assert_int_equal(test_spool_write_headers(spool, first),
				 IO_FAIL);
		assert_int_equal(io_get_errno(), EEXIST);
		test_spool_must_have(spool, &id, longer, sizeof(longer) - 1);
		email_message_unref(&first);
		email_message_unref(&second);
	}
	spool_close(&spool);
}

/* Of whichever version it is the first one. */
static void test_nothing_stays_of_refused_headers(void **state ATTR_UNUSED)
{
	static const uint64_t versions[] = { 1, 5 };
	struct spool *spool = test_spool_new("");
	email_message *message;
	unsigned int n, hit;
	message_id id;
	int answer;
	size_t i;

	for (i = 0; i < N_ELEMENTS(versions); i++) {
		TEST_EACH_CALL(n, hit) {
			spool_new_id(spool, &id);
			message = new_message(&id, versions[i]);
			assert_int_equal(test_spool_write_body(spool, message,
							       wire),
					 IO_DONE);
			test_faults_begin();
			test_faults.fail_at[TEST_OP_FSYNC_DIR] = n;
			test_faults.fail_errno[TEST_OP_FSYNC_DIR] = EIO;
			answer = test_spool_write_headers(spool, message);
			hit = test_faults.calls[TEST_OP_FSYNC_DIR];
			test_faults_end();
			assert_int_equal(answer,
					 hit < n ? IO_DONE : IO_TRANS_FAIL);
			assert_int_equal(test_spool_count_files(&id),
					 hit < n ? 2 : 0);
			email_message_unref(&message);
		}
		assert_true(n > 1);
	}
	spool_close(&spool);
}

/* What is stored stays where a second message with its id meets an error, whichever sync it
   is and whatever the body's file is called by now. */
static void test_error_of_a_second_one(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	unsigned int n, hit;
	message_id id;

	TEST_EACH_CALL(n, hit) {
		put(spool, &id);
		test_spool_change_body(spool, &id, longer, sizeof(longer) - 1);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_FDATASYNC] = n;
		test_faults.fail_errno[TEST_OP_FDATASYNC] = ENOSPC;
		assert_int_not_equal(test_spool_put_as(spool, wire,
						       sizeof(wire) - 1, &id),
				     IO_DONE);
		hit = test_faults.calls[TEST_OP_FDATASYNC];
		test_faults_end();
		test_spool_must_have(spool, &id, longer, sizeof(longer) - 1);
	}
	spool_close(&spool);
}

/* Ids that only their middle tells apart, in one bucket: what is done to one is not done to
   the other. */
static void test_neighbours(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *messages[2];
	message_id ids[2];
	char path[512];
	unsigned int i;

	spool_new_id(spool, &ids[0]);
	ids[1] = ids[0];
	ids[1].bytes[10] ^= 1;
	for (i = 0; i < 2; i++) {
		messages[i] = new_message(&ids[i], 1);
		assert_int_equal(test_spool_write_body(spool, messages[i],
						       wire),
				 IO_DONE);
	}
	assert_int_equal(test_spool_write_headers(spool, messages[0]), IO_DONE);
	/* the other one's body still waits */
	assert_int_equal(test_spool_scan(spool), 0);
	assert_int_equal(test_spool_write_headers(spool, messages[1]), IO_DONE);
	assert_int_equal(test_spool_count_files(&ids[0]), 4);
	test_spool_file(&ids[0], ".h", path);
	assert_int_equal(truncate(path, 30), 0);
	assert_int_equal(test_spool_scan_again(&spool), 1);
	assert_int_equal(test_spool_count_files(&ids[0]), 2);
	test_spool_must_have(spool, &ids[1], wire, sizeof(wire) - 1);
	for (i = 0; i < 2; i++)
		email_message_unref(&messages[i]);
	spool_close(&spool);
}

/* While the names of a body become durable. */
static struct {
	struct spool *spool; /* NULL: it was its turn */
	unsigned int found;
} meanwhile;

static int scanning_fsync_dir(int dir_fd)
{
	struct spool *spool = meanwhile.spool;

	meanwhile.spool = NULL;
	if (spool != NULL)
		meanwhile.found = test_spool_scan(spool);
	return file_ops_system.fsync_dir(dir_fd);
}

/* It is nobody's yet, and its writer is at it. */
static void test_scan_while_a_body_is_written(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct spool *spool = test_spool_new("");
	email_message *message;
	message_id id;

	/* the bucket is there */
	put(spool, &id);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	message = new_message(&id, 1);
	meanwhile.spool = spool;
	ops.fsync_dir = scanning_fsync_dir;
	file_ops_set(&ops);
	assert_int_equal(test_spool_write_body(spool, message, wire), IO_DONE);
	assert_null(meanwhile.spool);
	file_ops_set(NULL);
	assert_int_equal(meanwhile.found, 0);
	assert_int_equal(test_spool_write_headers(spool, message), IO_DONE);
	email_message_unref(&message);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static bool is_stored_durably(struct spool *spool, const message_id *id)
{
	struct file_ops ops = file_ops_system;
	char path[600];
	int answer;

	ops.fsync_dir = test_noting_fsync_dir;
	file_ops_set(&ops);
	answer = test_spool_put_as(spool, wire, sizeof(wire) - 1, id);
	file_ops_set(NULL);
	(void)snprintf(path, sizeof(path), "%s/messages", test_spool_dir());
	return answer == IO_DONE && test_was_synced(path);
}

/* A directory that is there may be one that nobody has synced the name of: the sync failed,
   is still to come, or was of a process that was killed before it. */
static void test_buckets_that_others_made(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct file_ops ops = file_ops_system;
	struct spool_strays strays;
	message_id id;

	test_faults_begin();
	test_faults.fail_at[TEST_OP_FSYNC_DIR] = 1;
	test_faults.fail_errno[TEST_OP_FSYNC_DIR] = EIO;
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_TRANS_FAIL);
	test_faults_end();
	test_syncs_forget();
	assert_true(is_stored_durably(spool, &id));
	/* once is enough */
	id.bytes[10] ^= 1;
	test_syncs_forget();
	assert_false(is_stored_durably(spool, &id));
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);

	test_syncs_forget();
	ops.fsync_dir = test_noting_fsync_dir;
	file_ops_set(&ops);
	spool = test_spool_open(0);
	file_ops_set(NULL);
	id.bytes[10] ^= 2;
	assert_true(is_stored_durably(spool, &id));
	test_spool_count_strays(spool, &strays);
	assert_int_equal(strays.bodies + strays.temporary, 0);
	spool_close(&spool);
}

/* Whatever sync fails, once the disk is well again the same message is stored. */
static void test_again_after_an_error(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	unsigned int n, hit;
	message_id id;

	TEST_EACH_CALL(n, hit) {
		put(spool, &id);
		assert_int_equal(spool_remove(spool, &id), IO_DONE);
		message = new_message(&id, 1);
		test_spool_set_body(message, wire, sizeof(wire) - 1);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_FSYNC_DIR] = n;
		test_faults.fail_errno[TEST_OP_FSYNC_DIR] = EIO;
		hit = spool_put(spool, message) == IO_DONE ? 0 : n;
		test_faults_end();
		if (hit > 0)
			assert_int_equal(spool_put(spool, message), IO_DONE);
		email_message_unref(&message);
		test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	}
	assert_int_equal(n, 4);
	spool_close(&spool);
}

/* Somebody took a directory away: that is no reason to bounce mail. */
static void test_a_place_that_is_missing(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	char path[512];
	message_id id;

	spool_new_id(spool, &id);
	message = new_message(&id, 1);
	assert_int_equal(test_spool_write_body(spool, message, wire), IO_DONE);
	test_spool_file(&id, ".b", path);
	*strrchr(path, '/') = '\0';
	assert_int_equal(test_command("rm -r %s", path), 0);
	assert_int_equal(test_spool_write_headers(spool, message),
			 IO_TRANS_FAIL);
	assert_int_equal(io_get_errno(), ENOENT);
	assert_int_equal(spool_put(spool, message), IO_DONE);
	email_message_unref(&message);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	assert_int_equal(test_command("rm -r %s/messages", test_spool_dir()),
			 0);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_TRANS_FAIL);
	assert_int_equal(io_get_errno(), ENOENT);
	spool_close(&spool);
}

/* A body that its writer was told "no" of is swept, and so is one that was given up. */
static void test_bodies_that_nobody_waits_for(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	char path[512];
	message_id id;
	int i;

	for (i = 0; i < 2; i++) {
		put(spool, &id);
		assert_int_equal(spool_remove(spool, &id), IO_DONE);
		message = new_message(&id, 1);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_FSYNC_DIR] = i == 0 ? 1 : 0;
		test_faults.fail_errno[TEST_OP_FSYNC_DIR] = EIO;
		assert_int_equal(test_spool_write_body(spool, message, wire),
				 i == 0 ? IO_TRANS_FAIL : IO_DONE);
		test_faults_end();
		if (i == 1)
			assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS,
							  &id),
					 IO_DONE);
		test_spool_file(&id, ".b", path);
		test_write_file(path, "x", 1);
		assert_int_equal(test_spool_scan(spool), 0);
		assert_int_equal(test_spool_count_files(&id), 0);
		email_message_unref(&message);
	}
	spool_close(&spool);
}

/* There are no descriptors left, for taking the body away neither: the same message can be
   stored when there are. */
static void test_again_where_nothing_was_taken_away(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct istream *body =
		i_stream_create_from_data(wire, sizeof(wire) - 1);
	email_message *message;
	message_id id;

	spool_new_id(spool, &id);
	message = new_message(&id, 1);
	email_message_set_body(message, body, 0);
	i_stream_unref(&body);
	test_faults_begin();
	/* behind the bucket, once it is made, and the temporary file of the body */
	test_faults.fail_at[TEST_OP_OPEN] = 4;
	test_faults.fail_errno[TEST_OP_OPEN] = EMFILE;
	test_faults.fail_after = true;
	assert_int_equal(spool_put(spool, message), IO_TRANS_FAIL);
	test_faults_end();
	assert_int_equal(test_spool_count_files(&id), 1);
	assert_int_equal(spool_put(spool, message), IO_DONE);
	email_message_unref(&message);
	/* from now on the body is not left over */
	assert_int_equal(test_spool_put_as(spool, longer, sizeof(longer) - 1,
					   &id),
			 IO_FAIL);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	assert_int_equal(test_spool_count_files(&id), 2);
	spool_close(&spool);
}

/* Where somebody has moved the headers the body is theirs. */
static void test_again_where_headers_are_elsewhere(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	char path[512], other[700];
	message_id id;

	put(spool, &id);
	test_spool_file(&id, ".h", path);
	(void)snprintf(other, sizeof(other), "%s/messages/00",
		       test_spool_dir());
	(void)mkdir(other, 0700);
	(void)snprintf(other, sizeof(other), "%s/messages/00%s",
		       test_spool_dir(), strrchr(path, '/'));
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(test_spool_put_as(spool, longer, sizeof(longer) - 1,
					   &id),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EEXIST);
	assert_int_equal(rename(other, path), 0);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static int blind_fstatat(int dir_fd, const char *path, struct stat *st,
			 int flags)
{
	if (strstr(path, ".b") == NULL)
		return file_ops_system.fstatat(dir_fd, path, st, flags);
	errno = EIO;
	return -1;
}

/* Whether the body is there cannot be told: nobody is told that the message is stored. */
static void test_body_cannot_be_looked_for(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct spool *spool = test_spool_new("");
	email_message *message;
	message_id id;

	spool_new_id(spool, &id);
	message = new_message(&id, 1);
	assert_int_equal(test_spool_write_body(spool, message, wire), IO_DONE);
	ops.fstatat = blind_fstatat;
	file_ops_set(&ops);
	assert_int_equal(test_spool_write_headers(spool, message),
			 IO_TRANS_FAIL);
	assert_int_equal(io_get_errno(), EIO);
	file_ops_set(NULL);
	email_message_unref(&message);
	assert_int_equal(test_spool_scan(spool), 0);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_body_of_a_new_message),
		cmocka_unit_test(test_nothing_is_kept_of_what_is_over),
		cmocka_unit_test(test_the_first_one_stays),
		cmocka_unit_test(test_nothing_stays_of_refused_headers),
		cmocka_unit_test(test_error_of_a_second_one),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_scan_while_a_body_is_written),
		cmocka_unit_test(test_buckets_that_others_made),
		cmocka_unit_test(test_again_after_an_error),
		cmocka_unit_test(test_a_place_that_is_missing),
		cmocka_unit_test(test_bodies_that_nobody_waits_for),
		cmocka_unit_test(test_again_where_nothing_was_taken_away),
		cmocka_unit_test(test_again_where_headers_are_elsewhere),
		cmocka_unit_test(test_body_cannot_be_looked_for),
	};

	return cmocka_run_group_tests_name("module-file-new", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
