/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What spool_verify() says of bodies that were stored though they are no SMTP wire form. */

#include "config.h"
#include "buffer.h"
#include "macros.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LARGE ((size_t)400 * 1024)

static const char *const stores[] = { "file", "journal" };
static const char *const stacks[] = { "", "lz4" };

struct found {
	unsigned int count;
	int error;
	char problem[1024];
};

static bool see(const struct spool_entry *entry, void *context)
{
	struct found *found = context;

	found->count++;
	found->error = entry->error;
	(void)snprintf(found->problem, sizeof(found->problem), "%s",
		       entry->problem == NULL ? "" : entry->problem);
	return true;
}

static void look(struct spool *spool,
		 int (*walk)(struct spool *, spool_entry_t *, void *, char **),
		 struct found *found_r)
{
	char *error;

	memset(found_r, 0, sizeof(*found_r));
	assert_int_equal(walk(spool, see, found_r, &error), 0);
	assert_int_equal(found_r->count, 1);
}

/* `before`: so many octets of lines come first, so that the body is in a file of its own. */
static buffer_t *body_of(const char *text, size_t before)
{
	buffer_t *body = buffer_create_dynamic(default_pool, 1024);

	while (body->used < before)
		buffer_append(body, "a line\r\n", 8);
	buffer_append(body, text, strlen(text));
	return body;
}

/* why NULL: it is wire form. */
static void must_be_told(const char *store, const char *stack, const char *text,
			 size_t before, const char *why)
{
	struct spool *spool = test_spool_new_of(store, stack);
	buffer_t *body = body_of(text, before);
	struct found found;
	message_id id;

	assert_int_equal(test_spool_put(spool, body->data, body->used, &id),
			 IO_DONE);
	look(spool, spool_list, &found);
	assert_int_equal(found.error, 0);
	look(spool, spool_verify, &found);
	if (found.error != (why == NULL ? 0 : EILSEQ) ||
	    (why != NULL &&
	     (strstr(found.problem, why) == NULL ||
	      strstr(found.problem, "bobbin spool get --wire") == NULL)))
		fail_msg("%s, \"%s\", %zu octets before: %d, \"%s\"", store,
			 stack, before, found.error, found.problem);
	/* it is whole, all the same */
	test_spool_must_have(spool, &id, body->data, body->used);
	buffer_free(&body);
	spool_close(&spool);
}

static void test_form(void **state ATTR_UNUSED)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ TEST_SPOOL_WIRE, NULL },
		{ ".\r\n", NULL },
		{ "line\r\n..\r\n.\r\n", NULL },
		{ "", "dot: the input " },
		{ "no line end", "ends too early" },
		{ "a line\r\n", "ends too early" },
		{ "a line\r\n.", "ends too early" },
		{ "a line\n.\n", "ends too early" },
		{ "a line\r\n.\r\nmore", "data after the end" },
		{ "a line\r\n.\r\n.\r\n", "data after the end" },
	};
	static const size_t before[] = { 0, LARGE };
	size_t i, j, k, n;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		for (j = 0; j < N_ELEMENTS(stores); j++) {
			for (k = 0; k < N_ELEMENTS(stacks); k++) {
				for (n = 0; n < N_ELEMENTS(before); n++)
					must_be_told(stores[j], stacks[k],
						     rows[i].text, before[n],
						     rows[i].why);
			}
		}
	}
}

/* That the bytes are not those that were stored is what counts, also where they are behind
   the final dot. */
static void test_damage_is_damage(void **state ATTR_UNUSED)
{
	static const char text[] = "a line\r\n.\r\nbehind it, and more of it";
	struct spool *spool;
	struct found found;
	message_id id;
	buffer_t *file;
	char path[512];
	size_t i;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		spool = test_spool_new_of("file", stacks[i]);
		assert_int_equal(test_spool_put(spool, text, strlen(text), &id),
				 IO_DONE);
		test_spool_file(&id, ".b", path);
		file = test_read_file(path);
		((unsigned char *)file->data)[file->used - 3] ^= 1;
		test_write_file(path, file->data, file->used);
		buffer_free(&file);
		look(spool, spool_verify, &found);
		assert_int_equal(found.error, EINVAL);
		assert_non_null(strstr(found.problem, "its hash is wrong"));
		spool_close(&spool);
	}
}

/* What cannot be decrypted is not looked at. */
static void test_without_a_key(void **state ATTR_UNUSED)
{
	struct spool *spool;
	struct found found;
	char stack[512], *error;
	message_id id;
	size_t i;

	(void)snprintf(stack, sizeof(stack), "age:recipients=%s",
		       test_path("public"));
	for (i = 0; i < N_ELEMENTS(stores); i++) {
		spool = test_spool_new_of(stores[i], stack);
		assert_int_equal(test_spool_put(spool, "no form", 7, &id),
				 IO_DONE);
		look(spool, spool_verify, &found);
		assert_int_equal(found.error, EILSEQ);
		spool_close(&spool);
		spool = spool_open(test_spool_dir(), SPOOL_OPEN_READ_ONLY, NULL,
				   &error);
		assert_non_null(spool);
		look(spool, spool_verify, &found);
		assert_int_equal(found.error, 0);
		spool_close(&spool);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_damage_is_damage),
		cmocka_unit_test(test_without_a_key),
	};

	return cmocka_run_group_tests_name(
		"spool-wire", tests, test_spool_setup, test_spool_teardown);
}
