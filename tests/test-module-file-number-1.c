/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store with messages of before: their header files' lines are of number 1, and have
   no checksum of what is behind them (tests/data/spool-h1). */

#include "config.h"
#include "age-keys.h"
#include "spool.h"
#include "test-spool-common.h"

#include <errno.h>
#include <sys/stat.h>

static const char wire[] = TEST_SPOOL_WIRE;
#define MESSAGES 3
/* through no stack, gzip, and "gzip|age" */
static const char *const id_texts[MESSAGES] = { "01m8mkhee4000fby4d6k4cz78w",
						"01m8mkheeq00043beqvvg5p7z2",
						"01m8mkhefp00044r3qcxbwzt0g" };
static const struct {
	const char *store, *stack;
} targets[] = { { "file", "" }, { "file", "gzip" }, { "journal", "" } };

static message_id ids[MESSAGES];
static struct stream_context keys;

static int setup(void **state)
{
	char *error;
	size_t i;

	for (i = 0; i < MESSAGES; i++) {
		if (!message_id_from_text(id_texts[i], &ids[i]))
			return -1;
	}
	if (test_spool_setup(state) < 0)
		return -1;
	/* theirs, and that of what is written now */
	keys.identities = age_identities_new();
	return age_identities_add_file(keys.identities,
				       test_data_path("spool-h1/key"), NULL,
				       &error) < 0 ||
			age_identities_add_file(keys.identities,
						test_path("key"), NULL,
						&error) < 0 ?
		-1 :
		0;
}

static int teardown(void **state)
{
	age_identities_unref(&keys.identities);
	return test_spool_teardown(state);
}

static void copy_file(unsigned int i, const char *name, const char *suffix)
{
	char from[64], path[512], *end;
	buffer_t *file;

	(void)snprintf(from, sizeof(from), "spool-h1/%s.%s", id_texts[i], name);
	file = test_read_file(test_data_path(from));
	test_spool_file(&ids[i], suffix, path);
	end = strrchr(path, '/');
	*end = '\0';
	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	*end = '/';
	test_write_file(path, file->data, file->used);
	buffer_free(&file);
}

/* They are what is in the newest spool, which encrypts. */
static void copy_messages(void)
{
	char stack[600];
	unsigned int i;

	(void)snprintf(stack, sizeof(stack), "gzip | age:recipients=%s",
		       test_path("public"));
	test_spool_init(stack);
	for (i = 0; i < MESSAGES; i++) {
		copy_file(i, "headers", ".h");
		copy_file(i, "body", ".b");
	}
}

static struct spool *open_copy(bool with_keys, unsigned int flags)
{
	struct spool *spool;
	char *error;

	spool = spool_open(test_spool_dir(), flags, with_keys ? &keys : NULL,
			   &error);
	if (spool == NULL)
		fail_msg("%s", error);
	return spool;
}

static void must_be_whole(bool with_keys)
{
	struct spool *spool = open_copy(with_keys, SPOOL_OPEN_READ_ONLY);
	unsigned int total;

	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, MESSAGES);
	spool_close(&spool);
}

static void must_have_all(struct spool *spool)
{
	unsigned int i;

	for (i = 0; i < MESSAGES; i++)
		test_spool_must_have(spool, &ids[i], wire, sizeof(wire) - 1);
}

static void must_be_of_number(unsigned int i, const char *magic)
{
	char path[512];
	buffer_t *file;

	test_spool_file(&ids[i], ".h", path);
	file = test_read_file(path);
	assert_true(file->used > strlen(magic));
	assert_memory_equal(file->data, magic, strlen(magic));
	buffer_free(&file);
}

/* Another byte, or it is cut. */
static void damage_the_end(unsigned int i, bool cut)
{
	char path[512];
	buffer_t *file;

	test_spool_file(&ids[i], ".h", path);
	file = test_read_file(path);
	if (cut)
		test_write_file(path, file->data, file->used - 2);
	else
		test_flip(path, file->used - 3);
	buffer_free(&file);
}

/* Looked at, scanned and repaired it stays what it is. */
static void test_is_read(void **state ATTR_UNUSED)
{
	const unsigned int flags[] = { 0, SPOOL_OPEN_REPAIR };
	struct spool *spool;
	unsigned int i;

	copy_messages();
	must_be_whole(true);
	must_be_whole(false);
	for (i = 0; i < N_ELEMENTS(flags); i++) {
		spool = open_copy(i == 0, flags[i]);
		assert_int_equal(test_spool_scan(spool), MESSAGES);
		spool_close(&spool);
	}
	spool = open_copy(true, SPOOL_OPEN_READ_ONLY);
	must_have_all(spool);
	spool_close(&spool);
	for (i = 0; i < MESSAGES; i++)
		must_be_of_number(i, "bobbin-h1 ");
}

/* Behind the line there is what the stack knows: of an encrypted one, to who has the key. */
static void test_is_verified_by_its_stack(void **state ATTR_UNUSED)
{
	struct spool_strays strays;
	struct spool *spool;
	unsigned int i, cut;

	for (cut = 0; cut < 2; cut++) {
		copy_messages();
		for (i = 0; i < MESSAGES; i++)
			damage_the_end(i, cut != 0);
		spool = open_copy(false, SPOOL_OPEN_READ_ONLY);
		assert_int_equal(test_spool_damaged(spool, NULL), 2);
		spool_close(&spool);
		spool = open_copy(true, SPOOL_OPEN_REPAIR);
		assert_int_equal(test_spool_damaged(spool, NULL), MESSAGES);
		assert_int_equal(test_spool_scan(spool), 0);
		test_spool_count_strays(spool, &strays);
		assert_int_equal(strays.quarantined, MESSAGES);
		spool_close(&spool);
	}
}

static void rewrite(struct spool *spool, const message_id *id)
{
	email_message *message;

	assert_int_equal(spool_get(spool, id, &message), IO_DONE);
	assert_int_equal(email_message_set_value(message, "a", "b", "c"), 0);
	assert_int_equal(test_spool_write_headers(spool, message), IO_DONE);
	assert_int_equal(email_message_get_version(message), 2);
	email_message_unref(&message);
}

/* From then on all can be seen without the key. */
static void test_is_rewritten_as_number_2(void **state ATTR_UNUSED)
{
	static const char more[] = "Subject: more\r\n\r\n.\r\n";
	struct spool *spool;
	unsigned int i;

	copy_messages();
	spool = open_copy(true, 0);
	for (i = 0; i < MESSAGES; i++)
		rewrite(spool, &ids[i]);
	must_have_all(spool);
	test_spool_change_body(spool, &ids[0], more, sizeof(more) - 1);
	test_spool_must_have(spool, &ids[0], more, sizeof(more) - 1);
	spool_close(&spool);
	must_be_whole(false);
	for (i = 0; i < MESSAGES; i++) {
		must_be_of_number(i, "bobbin-h2 ");
		damage_the_end(i, false);
	}
	spool = open_copy(false, SPOOL_OPEN_READ_ONLY);
	assert_int_equal(test_spool_damaged(spool, NULL), MESSAGES);
	spool_close(&spool);
}

static void test_moves_to_another_spool(void **state ATTR_UNUSED)
{
	struct spool *from, *to;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(targets); i++) {
		copy_messages();
		from = open_copy(true, 0);
		to = test_spool_new_of(targets[i].store, targets[i].stack);
		assert_int_equal(spool_migrate(from, to, 0, NULL, NULL, &error),
				 0);
		assert_int_equal(test_spool_scan(from), 0);
		assert_int_equal(test_spool_damaged(to, NULL), 0);
		must_have_all(to);
		if (strcmp(targets[i].store, "file") == 0)
			must_be_of_number(0, "bobbin-h2 ");
		spool_close(&from);
		spool_close(&to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_read),
		cmocka_unit_test(test_is_verified_by_its_stack),
		cmocka_unit_test(test_is_rewritten_as_number_2),
		cmocka_unit_test(test_moves_to_another_spool),
	};

	return cmocka_run_group_tests_name("module-file-number-1", tests, setup,
					   teardown);
}
