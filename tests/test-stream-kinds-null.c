/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Kinds whose functions return NULL, which they may not: who writes or reads is told which
   of the kinds it was, and why where it said so. */

#include "config.h"
#include "macros.h"
#include "mem.h"
#include "ostream-filters.h"
#include "stack-detect.h"
#include "stack-spec.h"
#include "stream-kinds.h"
#include "test-stream-common.h"

#include <errno.h>

/* What errno is when NULL is returned. */
static int why;

static struct transform *no_codec(const struct stream_options *o ATTR_UNUSED)
{
	if (why != 0)
		errno = why;
	return NULL;
}

static struct ostream *no_output(struct ostream *parent ATTR_UNUSED,
				 const struct stream_options *o ATTR_UNUSED)
{
	(void)no_codec(NULL);
	return NULL;
}

static struct istream *no_input(struct istream *parent ATTR_UNUSED,
				const struct stream_options *o ATTR_UNUSED)
{
	(void)no_codec(NULL);
	return NULL;
}

static struct ostream *no_end_output(const char *path ATTR_UNUSED,
				     mode_t mode ATTR_UNUSED)
{
	(void)no_codec(NULL);
	return NULL;
}

static struct istream *no_end_input(const char *path ATTR_UNUSED)
{
	(void)no_codec(NULL);
	return NULL;
}

#define MAGIC "no codec:"

static const struct stream_kind codec = {
	.name = "no-codec",
	.role = STREAM_ROLE_TRANSFORM,
	.help = "a test's",
	.magic = MAGIC,
	.magic_size = sizeof(MAGIC) - 1,
	.options = { { .name = "async",
		       .type = STREAM_OPTION_BOOL,
		       .help = "on a thread of its own" } },
	.encoder = no_codec,
	.decoder = no_codec,
};
static const struct stream_kind plumbing = {
	.name = "no-plumbing",
	.role = STREAM_ROLE_PLUMBING,
	.help = "a test's",
	.output = no_output,
	.input = no_input,
};
static const struct stream_kind end = {
	.name = "no-end",
	.role = STREAM_ROLE_END,
	.help = "a test's",
	.open_output = no_end_output,
	.open_input = no_end_input,
};

static const char *const specs[] = {
	"no-codec | null",
	"no-codec:async=yes | null",
	"hex | no-codec | null",
	"no-codec | hex | null",
	"no-plumbing | null",
	"hex | no-plumbing | null",
	"no-end",
	"hex | no-end",
};

static const struct {
	int why, error;
	const char *words;
} reasons[] = {
	{ ENOMEM, ENOMEM, "memory" },
	{ ENOKEY, ENOKEY, "key" },
	/* which is not that what is read is damaged */
	{ 0, EIO, "gave no reason" },
	{ EINVAL, EIO, "nvalid" },
};

static int setup(void **state ATTR_UNUSED)
{
	return stream_kind_register(&codec, NULL) == 0 &&
			stream_kind_register(&plumbing, NULL) == 0 &&
			stream_kind_register(&end, NULL) == 0 ?
		0 :
		-1;
}

/* That is told of it, with the name of its kind. */
static void must_say(const char *what, const char *text, size_t reason)
{
	if (strstr(text, "no-") == NULL ||
	    strstr(text, reasons[reason].words) == NULL)
		fail_msg("%s: \"%s\"", what, text);
}

static void test_writing(void **state ATTR_UNUSED)
{
	struct stack_spec *spec;
	struct ostream *output;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(specs); i++) {
		for (j = 0; j < N_ELEMENTS(reasons); j++) {
			why = reasons[j].why;
			spec = test_stack_parse(specs[i]);
			output = stack_spec_create_output(spec, NULL, NULL,
							  NULL);
			o_stream_nsend_str(output, "abc");
			assert_int_equal(o_stream_finish(output), -1);
			assert_int_equal(output->stream_errno,
					 reasons[j].error);
			must_say(specs[i], o_stream_get_error(output), j);
			o_stream_abort(output);
			o_stream_destroy(&output);
			stack_spec_free(&spec);
		}
	}
}

static void test_reading(void **state ATTR_UNUSED)
{
	struct stack_spec *spec;
	struct istream *input;
	buffer_t *out;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(specs); i++) {
		for (j = 0; j < N_ELEMENTS(reasons); j++) {
			why = reasons[j].why;
			out = buffer_create_dynamic(default_pool, 64);
			spec = test_stack_parse(specs[i]);
			input = stack_spec_create_input(spec, NULL, NULL, NULL);
			assert_int_equal(test_read_all(input, out),
					 reasons[j].error);
			assert_int_equal(out->used, 0);
			must_say(specs[i], i_stream_get_error(input), j);
			i_stream_destroy(&input);
			stack_spec_free(&spec);
			buffer_free(&out);
		}
	}
}

static void test_what_is_recognised(void **state ATTR_UNUSED)
{
	struct istream *source, *input;
	buffer_t *out;
	size_t i;

	for (i = 0; i < N_ELEMENTS(reasons); i++) {
		why = reasons[i].why;
		out = buffer_create_dynamic(default_pool, 64);
		source = i_stream_create_from_data(MAGIC "abc", 12);
		input = i_stream_create_auto(source, NULL);
		i_stream_unref(&source);
		assert_int_equal(test_read_all(input, out), reasons[i].error);
		must_say("auto", i_stream_get_error(input), i);
		i_stream_destroy(&input);
		buffer_free(&out);
	}
}

/* What was there before the call. */
static void test_an_old_errno_is_no_reason(void **state ATTR_UNUSED)
{
	const struct stream_options options = { .kind = &codec };
	struct ostream *null = o_stream_create_null(), *output;

	why = 0;
	errno = EACCES;
	output = o_stream_create_transform(
		null, stream_kind_transform(&codec, true, &options));
	o_stream_unref(&null);
	assert_int_equal(o_stream_finish(output), -1);
	assert_int_equal(output->stream_errno, EIO);
	o_stream_abort(output);
	o_stream_destroy(&output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writing),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_what_is_recognised),
		cmocka_unit_test(test_an_old_errno_is_no_reason),
	};

	return cmocka_run_group_tests_name("stream-kinds-null", tests, setup,
					   NULL);
}
