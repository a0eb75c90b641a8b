/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Codecs of the program's own in a spool's stacks: what is stored by them, what is read
   where they are not known, and that they are no other's. */

#include "config.h"
#include "macros.h"
#include "stream-kinds.h"
#include "test-spool-common.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>

static unsigned int decoders;
static int key_error; /* 0: it is at hand */

static struct transform *no_key(unsigned int flags)
{
	return transform_create_error("package", flags, key_error,
				      "no key here");
}

static struct transform *
encoder(const struct stream_options *options ATTR_UNUSED)
{
	if (key_error != 0)
		return no_key(0);
	return transform_create_hex_encoder();
}

static struct transform *
decoder(const struct stream_options *options ATTR_UNUSED)
{
	decoders++;
	if (key_error != 0)
		return no_key(TRANSFORM_DECODER | TRANSFORM_EXACT);
	return transform_create_hex_decoder();
}

#define NAME "package"
#define BODY NAME ":tag=a-1"

/* With the name of another one in its own. */
static struct stream_kind kind = {
	.name = NAME,
	.role = STREAM_ROLE_TRANSFORM,
	.flags = STREAM_KIND_LOSSLESS,
	.help = "a test's",
	.options = { { .name = "tag",
		       .type = STREAM_OPTION_WORD,
		       .decodes = true,
		       .help = "a word" } },
	.encoder = encoder,
	.decoder = decoder,
};

static int setup(void **state)
{
	return test_spool_setup(state) < 0 ||
			stream_kind_register(&kind, NULL) < 0 ?
		-1 :
		0;
}

static const char *const stores[] = { "file", "journal" };

static char problem[512]; /* of the last one */

static bool look(const struct spool_entry *entry, void *context)
{
	int *error = context;

	*error = entry->error;
	(void)snprintf(problem, sizeof(problem), "%s",
		       entry->problem == NULL ? "" : entry->problem);
	assert_string_equal(entry->body_stack, BODY);
	return true;
}

/* Of the only message, whose stack it is, without any key: the errno that it has. */
static int verify(void)
{
	struct spool *spool;
	char *text = NULL;
	int error = -1;

	spool = spool_open(test_spool_dir(), SPOOL_OPEN_READ_ONLY, NULL, &text);
	if (spool == NULL || spool_verify(spool, look, &error, &text) < 0)
		fail_msg("%s", text);
	spool_close(&spool);
	return error;
}

static const char wire[] = TEST_SPOOL_WIRE;

static void put(struct spool *spool, message_id *id_r)
{
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, id_r),
			 IO_DONE);
}

/* With that message. */
static struct spool *new_spool(const char *store, message_id *id_r)
{
	struct spool *spool = test_spool_new_of(store, BODY);

	put(spool, id_r);
	return spool;
}

static void test_it_is_stored_so(void **state ATTR_UNUSED)
{
	struct spool *spool;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		spool = new_spool(stores[i], &id);
		test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
		spool_close(&spool);
		/* it is not age, which needs a key to be looked into */
		decoders = 0;
		assert_int_equal(verify(), 0);
		assert_true(decoders > 0);
	}
}

/* From that line of spool.conf on; the bodies' comes first. */
static void set_stacks_plain(const char *from)
{
	char path[1024];
	buffer_t *conf;
	char *line;

	(void)snprintf(path, sizeof(path), "%s/spool.conf", test_spool_dir());
	conf = test_read_file(path);
	(void)buffer_c_str(conf);
	line = buffer_get_modifiable_data(conf, NULL);
	line = strstr(line, from);
	assert_non_null(line);
	while ((line = strstr(line, BODY)) != NULL)
		memset(line, ' ', sizeof(BODY) - 1);
	test_write_file(path, conf->data, conf->used);
	buffer_free(&conf);
}

/* What another process stored, that had it. */
static void test_unknown_is_not_damaged(void **state ATTR_UNUSED)
{
	char text[MESSAGE_ID_TEXT_SIZE];
	email_message *message;
	struct spool *spool;
	message_id id;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		spool = new_spool(stores[i], &id);
		kind.name = "unknown";
		assert_int_equal(verify(), ENOTSUP);
		assert_int_not_equal(spool_get(spool, &id, &message), IO_DONE);
		assert_int_equal(io_get_errno(), ENOTSUP);
		assert_non_null(
			strstr(io_get_error(), "\"" NAME "\": no such kind"));
		/* of whom that is */
		message_id_to_text(&id, text);
		assert_non_null(strstr(io_get_error(), text));
		/* nobody who would have to write through it opens the spool */
		spool_close(&spool);
		assert_null(spool_open(test_spool_dir(), 0, NULL, &error));
		assert_non_null(strstr(error, "body: stack spec, column 1"));
		free(error);
		/* and a scan leaves the message where it is */
		set_stacks_plain("body = ");
		spool = test_spool_open(0);
		assert_int_equal(test_spool_scan(spool), 1);
		kind.name = NAME;
		test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
		spool_close(&spool);
	}
}

/* Its key is not at hand: that damages nothing, and bounces nothing. */
static void without_key(const char *store, int error)
{
	email_message *message;
	struct spool *spool;
	message_id id, other;

	spool = new_spool(store, &id);
	key_error = error;
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &other),
			 IO_TRANS_FAIL);
	assert_int_equal(io_get_errno(), error);
	assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
	assert_int_equal(io_get_errno(), ENOKEY);
	assert_int_equal(verify(), ENOKEY);
	spool_close(&spool);
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	assert_int_equal(test_spool_scan(spool), 1);
	key_error = 0;
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static void test_without_its_key(void **state ATTR_UNUSED)
{
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		without_key(stores[i], ENOKEY);
		/* what open() says, which is not that there is no message */
		without_key(stores[i], ENOENT);
	}
}

/* Of that message the body alone goes through the codec. */
static void put_with_plain_headers(const char *store, message_id *id_r)
{
	struct spool *spool = test_spool_new_of(store, BODY);

	spool_close(&spool);
	set_stacks_plain("headers = ");
	spool = test_spool_open(0);
	put(spool, id_r);
	spool_close(&spool);
}

static void test_without_the_key_of_bodies(void **state ATTR_UNUSED)
{
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		put_with_plain_headers(stores[i], &id);
		key_error = ENOENT;
		assert_int_equal(verify(), ENOKEY);
		key_error = 0;
		assert_int_equal(verify(), 0);
	}
}

/* It takes another key for damage: what is stored has the checksum of what was written. */
static void says_damaged(const char *store, int error)
{
	struct spool_strays strays;
	struct spool *spool;
	message_id id;

	spool = new_spool(store, &id);
	spool_close(&spool);
	key_error = error;
	assert_int_equal(verify(), EBADMSG);
	if (strstr(problem, "is what was written") == NULL ||
	    strstr(problem, "no key here") == NULL)
		fail_msg("%s", problem);
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	assert_int_equal(test_spool_scan(spool), 1);
	test_spool_count_strays(spool, &strays);
	assert_int_equal(strays.quarantined, 0);
	key_error = 0;
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
	assert_int_equal(verify(), 0);
}

static void test_what_a_codec_calls_damaged(void **state ATTR_UNUSED)
{
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		says_damaged(stores[i], EINVAL);
		says_damaged(stores[i], EPIPE);
	}
}

/* Bodies alone. */
static void test_what_a_codec_calls_damaged_bodies(void **state ATTR_UNUSED)
{
	static const int errors[] = { EINVAL, EPIPE };
	message_id id;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		put_with_plain_headers(stores[i], &id);
		for (j = 0; j < N_ELEMENTS(errors); j++) {
			key_error = errors[j];
			assert_int_equal(verify(), EBADMSG);
			assert_non_null(strstr(problem, "is what was written"));
			key_error = 0;
			assert_int_equal(verify(), 0);
		}
	}
}

static void test_what_loses_bytes_is_refused(void **state ATTR_UNUSED)
{
	static struct stream_kind lossy = { .name = "lossy",
					    .role = STREAM_ROLE_TRANSFORM,
					    .help = "a test's",
					    .encoder = encoder,
					    .decoder = decoder };
	const struct spool_settings settings = { .body = "lossy" };
	char *error = NULL;

	assert_int_equal(stream_kind_register(&lossy, NULL), 0);
	assert_int_equal(spool_init(test_path("lossy"), &settings, &error), -1);
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(error, "\"lossy\" cannot be in the stack"));
	free(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_stored_so),
		cmocka_unit_test(test_unknown_is_not_damaged),
		cmocka_unit_test(test_without_its_key),
		cmocka_unit_test(test_without_the_key_of_bodies),
		cmocka_unit_test(test_what_a_codec_calls_damaged),
		cmocka_unit_test(test_what_a_codec_calls_damaged_bodies),
		cmocka_unit_test(test_what_loses_bytes_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, test_spool_teardown);
}
