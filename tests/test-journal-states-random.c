/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* States of recipients and headers that change in any order, while messages come, go and are
   moved: who reads them, a start, and another program find what was written last. */

#include "config.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>

#define MESSAGES 12
#define RECIPIENTS 20

struct model {
	email_message *message; /* NULL: there is none */
	unsigned char states[RECIPIENTS], value;
};

static void must_be_as(struct spool *spool, const message_id *id,
		       const struct model *model)
{
	email_message *got;
	char value[16];
	unsigned int i;

	if (model->message == NULL) {
		assert_int_equal(spool_get(spool, id, &got), IO_FAIL);
		assert_int_equal(io_get_errno(), ENOENT);
		return;
	}
	assert_int_equal(spool_get(spool, id, &got), IO_DONE);
	assert_int_equal(email_message_get_version(got),
			 email_message_get_version(model->message));
	for (i = 0; i < RECIPIENTS; i++)
		assert_int_equal(email_message_get_recipient_state(got, i,
								   NULL),
				 model->states[i]);
	(void)snprintf(value, sizeof(value), "%u", model->value);
	if (model->value != 0)
		assert_string_equal(email_message_get_value(got, "x", "y"),
				    value);
	assert_int_equal(got->body_len, model->message->body_len);
	email_message_unref(&got);
}

/* As a start would find them. */
static void must_be_on_the_disk(const struct model models[MESSAGES],
				const message_id ids[MESSAGES])
{
	struct spool *spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	unsigned int i;

	for (i = 0; i < MESSAGES; i++)
		must_be_as(spool, &ids[i], &models[i]);
	spool_close(&spool);
}

/* The reader that was written from doc/journal-format.md alone finds these versions. */
static void must_be_for_others(const struct model models[MESSAGES])
{
	char command[1400], id[MESSAGE_ID_TEXT_SIZE], line[256];
	unsigned long long version, total = 0, want = 0;
	unsigned int i, there = 0, lines = 0;
	FILE *output;

	if (system("command -v python3 >/dev/null") != 0) {
		printf("NOT RUN: a journal read by another program: python3 is "
		       "not installed\n");
		return;
	}
	for (i = 0; i < MESSAGES; i++) {
		if (models[i].message == NULL)
			continue;
		there++;
		want += email_message_get_version(models[i].message);
	}
	(void)snprintf(command, sizeof(command), "python3 %s %s 2>/dev/null",
		       test_data_path("../read-journal.py"), test_spool_dir());
	output = popen(command, "r");
	assert_non_null(output);
	for (; fgets(line, sizeof(line), output) != NULL; lines++) {
		assert_int_equal(sscanf(line, "%26s %llu", id, &version), 2);
		total += version;
	}
	assert_int_equal(pclose(output), 0);
	assert_int_equal(lines, there);
	assert_int_equal(total, want);
}

static void change(struct spool *spool, struct model *model, uint32_t *random)
{
	email_message *message = model->message;
	unsigned int i = test_random(random) % RECIPIENTS;
	char value[16];

	if (test_random(random) % 6 == 0) {
		model->value = (unsigned char)(test_random(random) % 200 + 1);
		(void)snprintf(value, sizeof(value), "%u", model->value);
		assert_int_equal(
			email_message_set_value(message, "x", "y", value), 0);
	}
	model->states[i] = (unsigned char)(test_random(random) % 3);
	assert_int_equal(email_message_set_recipient_state(
				 message, i, model->states[i],
				 model->states[i] == 0 ? "" : "why"),
			 0);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
}

/* Puts, changes or removes one. */
static void step(struct spool *spool, struct model *model, message_id *id,
		 uint32_t *random)
{
	if (model->message == NULL) {
		memset(model, 0, sizeof(*model));
		model->message = test_spool_put_to(spool, RECIPIENTS);
		*id = model->message->message_id;
	} else if (test_random(random) % 8 == 0) {
		assert_int_equal(spool_remove(spool, id), IO_DONE);
		email_message_unref(&model->message);
	} else {
		if (test_random(random) % 3 == 0) {
			email_message_unref(&model->message);
			assert_int_equal(spool_get(spool, id, &model->message),
					 IO_DONE);
		}
		change(spool, model, random);
	}
}

static void must_compact(struct spool *spool)
{
	uint64_t moved;
	char *error;

	if (spool_compact(spool, &moved, &error) < 0)
		fail_msg("%s", error);
}

static void test_any_order(void **state ATTR_UNUSED)
{
	struct model models[MESSAGES];
	message_id ids[MESSAGES];
	struct spool *spool;
	uint32_t random;
	unsigned int round, i, n;

	for (n = 1; n <= 4; n++) {
		memset(models, 0, sizeof(models));
		memset(ids, 0, sizeof(ids));
		spool = test_spool_new_of("journal", "");
		random = n;
		for (round = 0; round < 500; round++) {
			/* some change more often than others */
			i = test_random(&random) % MESSAGES;
			i = i * i / MESSAGES;
			step(spool, &models[i], &ids[i], &random);
			must_be_as(spool, &ids[i], &models[i]);
			if (test_random(&random) % 32 == 0) {
				must_compact(spool);
				must_be_on_the_disk(models, ids);
			}
		}
		spool_close(&spool);
		must_be_on_the_disk(models, ids);
		must_be_for_others(models);
		for (i = 0; i < MESSAGES; i++)
			email_message_unref(&models[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order),
	};

	return cmocka_run_group_tests_name("journal-states-random", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
