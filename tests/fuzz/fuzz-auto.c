/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is recognised by its first bytes, and texts of keys. Input is what it is however its
   bytes come; a text is a key, which is written as it was read, or an error that says why
   not. The first byte says which. */

#include "config.h"
#include "fuzz-common.h"

#include "stack-detect.h"
#include "stack-spec.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Of each layer, and of all of them: a bomb of eight layers is not to be waited for. */
#define MAX_PLAIN ((uoff_t)256 * 1024)
#define MAX_SOURCE 65536
#define CHOICES_SIZE 16

enum {
	FUZZ_AUTO,
	FUZZ_DECOMPRESS,
	FUZZ_TRY,
	FUZZ_RECIPIENT,
	FUZZ_RECIPIENTS,
	FUZZ_IDENTITIES,
	FUZZ_KINDS
};

/*
 * Input that is looked at
 */

static struct istream *create(unsigned int kind, struct istream *source)
{
	struct stream_context context = { .identities = test_keys.identities };
	struct istream *input;

	if (kind == FUZZ_AUTO)
		input = i_stream_create_auto(source, &context);
	else
		input = i_stream_create_decompress(
			source,
			kind == FUZZ_TRY ? ISTREAM_DECOMPRESS_FLAG_TRY : 0);
	i_stream_transform_set_limits(input, MAX_PLAIN, 0);
	return input;
}

struct answer {
	buffer_t *out;
	int error;
	unsigned int layers;
	const struct stream_kind *kinds[STACK_DETECT_LAYERS_MAX];
};

static void read_one(unsigned int kind, const void *data, size_t size,
		     size_t step, bool pauses, size_t buffer_size,
		     struct fuzz_input choices, struct answer *answer)
{
	struct istream *source = test_trickle_create(data, size, step, pauses);
	struct istream *input = create(kind, source), *layer;
	buffer_t *again = buffer_create_dynamic(default_pool, 1024);
	unsigned int i;

	if (buffer_size > 0)
		i_stream_set_max_buffer_size(input, buffer_size);
	answer->out = buffer_create_dynamic(default_pool, 1024);
	answer->error = fuzz_read(input, answer->out, &choices);
	answer->layers = i_stream_auto_layer_count(input);
	assert_true(answer->layers <= STACK_DETECT_LAYERS_MAX);
	for (i = 0; i < answer->layers; i++) {
		answer->kinds[i] = i_stream_auto_layer(input, i, &layer);
		assert_non_null(answer->kinds[i]);
		assert_non_null(layer);
	}
	if (answer->error == 0) {
		i_stream_seek(input, 0);
		assert_int_equal(fuzz_read(input, again, &choices), 0);
		fuzz_same(again, answer->out->data, answer->out->used,
			  "read again");
	}
	buffer_free(&again);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
}

static void look(unsigned int kind, struct fuzz_input *in)
{
	struct answer one, two;
	struct fuzz_input choices;
	size_t choices_size = CHOICES_SIZE, step, buffer_size, size, i;
	const unsigned char *data;

	step = fuzz_byte(in) + 1;
	buffer_size = fuzz_byte(in) + 1;
	choices.data = fuzz_take(in, &choices_size);
	choices.end = choices.data + choices_size;
	size = I_MIN(fuzz_left(in), (size_t)MAX_SOURCE);
	data = fuzz_take(in, &size);
	read_one(kind, data, size, 65536, false, 0, choices, &one);
	read_one(kind, data, size, step, step % 2 == 0, buffer_size, choices,
		 &two);
	if (one.error != two.error)
		fail_msg("errno %d, and %d by %zu", one.error, two.error, step);
	fuzz_trace("errno %d: %u layers, %zu bytes; %u layers, %zu bytes",
		   one.error, one.layers, one.out->used, two.layers,
		   two.out->used);
	/* so may depend what is seen in what comes before an error */
	if (one.error == 0)
		assert_int_equal(one.layers, two.layers);
	for (i = 0; i < I_MIN(one.layers, two.layers); i++)
		assert_ptr_equal(one.kinds[i], two.kinds[i]);
	/* what comes before an error depends on the codecs' windows */
	if (one.error == 0) {
		fuzz_same(one.out, two.out->data, two.out->used, "read");
	} else {
		size = I_MIN(one.out->used, two.out->used);
		if (size > 0)
			assert_memory_equal(one.out->data, two.out->data, size);
	}
	buffer_free(&one.out);
	buffer_free(&two.out);
}

/*
 * Keys
 */

static void refused(int ret, char *error)
{
	assert_int_equal(ret, -1);
	assert_int_not_equal(errno, 0);
	assert_non_null(error);
	assert_true(strlen(error) > 0);
	free(error);
}

/* Each is a recipient, whose text is one of the set already. */
static void must_be_recipients(struct age_recipients *set)
{
	unsigned int i, count = age_recipients_count(set);
	char text[AGE_RECIPIENT_TEXT_SIZE], *error;

	for (i = 0; i < count; i++) {
		age_recipients_get_text(set, i, text);
		assert_int_equal(strlen(text), sizeof(text) - 1);
		assert_int_equal(age_recipients_add(set, text, &error), 0);
	}
	assert_int_equal(age_recipients_count(set), count);
}

static void add_recipient(const char *text)
{
	struct age_recipients *set = age_recipients_new();
	char *error = NULL;
	int ret = age_recipients_add(set, text, &error);

	if (ret == 0)
		assert_int_equal(age_recipients_count(set), 1);
	else
		refused(ret, error);
	must_be_recipients(set);
	age_recipients_unref(&set);
}

static void add_recipients(const char *path)
{
	struct age_recipients *set = age_recipients_new();
	char *error = NULL;
	int ret = age_recipients_add_file(set, path, &error);

	if (ret == 0)
		assert_true(age_recipients_count(set) > 0);
	else
		refused(ret, error);
	must_be_recipients(set);
	age_recipients_unref(&set);
}

static void add_identities(const char *path)
{
	struct age_identities *set = age_identities_new();
	char *error = NULL, text[AGE_RECIPIENT_TEXT_SIZE];
	int ret = age_identities_add_file(set, path, NULL, &error);
	unsigned int i;

	if (ret == 0)
		assert_true(age_identities_count(set) > 0);
	else
		refused(ret, error);
	for (i = 0; i < age_identities_count(set); i++) {
		age_identities_get_recipient(set, i, text);
		add_recipient(text);
	}
	age_identities_unref(&set);
}

static void read_keys(unsigned int kind, const unsigned char *data, size_t size)
{
	const char *path = test_path("keys");
	char *text;

	if (kind == FUZZ_RECIPIENT) {
		text = strndup((const char *)data, size);
		assert_non_null(text);
		add_recipient(text);
		free(text);
		return;
	}
	test_write_file(path, data, size);
	if (kind == FUZZ_RECIPIENTS)
		add_recipients(path);
	else
		add_identities(path);
}

void fuzz_one(const unsigned char *data, size_t size)
{
	struct fuzz_input in = { data, data + size };
	unsigned int kind = fuzz_byte(&in) % FUZZ_KINDS;

	if (kind <= FUZZ_TRY)
		look(kind, &in);
	else
		read_keys(kind, in.data, fuzz_left(&in));
}

void fuzz_setup(void)
{
	fuzz_keys();
}

static void seed_stack(const char *spec_text, const char *text)
{
	struct stream_context context = { .recipients = test_keys.recipients };
	struct stack_spec *spec = test_stack_parse(spec_text);
	buffer_t *buf = buffer_create_dynamic(default_pool, 1024);
	struct ostream *end = o_stream_create_buffer(buf), *output;
	unsigned char choices[3 + CHOICES_SIZE] = { 0, 40, 80 };

	output = stack_spec_create_output(spec, &context, end, NULL);
	o_stream_nsend_str(output, text);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	o_stream_unref(&end);
	for (; choices[0] <= FUZZ_TRY; choices[0]++) {
		choices[1]++;
		fuzz_seed_with(choices, sizeof(choices), buf->data, buf->used);
	}
	buffer_free(&buf);
	stack_spec_free(&spec);
}

void fuzz_seeds(void)
{
	static const char *const specs[] = {
		"plain",
		"gzip",
		"lz4",
		"dovecot_lz4",
		"age",
		"age | armor",
		"gzip | age",
		"gzip | gzip | gzip",
#ifdef HAVE_ZSTD
		"zstd | age | armor",
#endif
#ifdef HAVE_BZIP2
		"bzip2 | gzip",
#endif
#ifdef HAVE_LZMA
		"xz",
#endif
	};
	static const unsigned char kinds[] = { FUZZ_RECIPIENT, FUZZ_RECIPIENTS,
					       FUZZ_IDENTITIES };
	static const unsigned char as_age[3 + CHOICES_SIZE] = { FUZZ_AUTO };
	unsigned int i;
	buffer_t *key;

	for (i = 0; i < N_ELEMENTS(specs); i++) {
		seed_stack(specs[i], "");
		seed_stack(specs[i], "hello\r\n.. a text\r\n");
	}
	fuzz_seed_files(as_age, sizeof(as_age), "age");
	key = test_read_file(test_path("key"));
	fuzz_seed_with(&kinds[0], 1, test_keys.recipient,
		       strlen(test_keys.recipient));
	fuzz_seed_with(&kinds[1], 1, TEST_RECIPIENT "\r\n# a comment\n",
		       strlen(TEST_RECIPIENT "\r\n# a comment\n"));
	fuzz_seed_with(&kinds[2], 1, key->data, key->used);
	buffer_free(&key);
}
