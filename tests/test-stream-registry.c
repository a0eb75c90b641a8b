/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Kinds of the program's own: what is taken, what specs make of it, and what is refused.
   One that is registered stays, so each test has kinds of its own. */

#include "config.h"
#include "istream-filters.h"
#include "macros.h"
#include "mem.h"
#include "ostream-filters.h"
#include "stack-detect.h"
#include "stack-spec.h"
#include "stream-kinds.h"
#include "test-stream-common.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/*
 * A codec: adds a number to each byte, behind a magic
 */

#define MAGIC "shifted:"

struct shift {
	struct transform transform;
	unsigned char by;
	size_t head; /* bytes of the magic that are done */
};

static enum transform_status shift_process(struct transform *t,
					   struct transform_io *io,
					   enum transform_op op)
{
	struct shift *shift = container_of(t, struct shift, transform);
	bool decodes = (t->class_->flags & TRANSFORM_DECODER) != 0;

	for (; !decodes && shift->head < sizeof(MAGIC) - 1; shift->head++) {
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
		*io->out++ = (unsigned char)MAGIC[shift->head];
	}
	for (; shift->head < sizeof(MAGIC) - 1 && io->in < io->in_end;
	     shift->head++) {
		if (*io->in++ != (unsigned char)MAGIC[shift->head])
			return transform_error(t, EINVAL, "it is not shifted");
	}
	while (io->in < io->in_end) {
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
		*io->out++ =
			(unsigned char)(*io->in++ +
					(decodes ? -shift->by : shift->by));
	}
	if (op == TRANSFORM_RUN)
		return TRANSFORM_NEED_IN;
	return decodes ? TRANSFORM_END : TRANSFORM_DONE;
}

static void shift_reset(struct transform *t)
{
	container_of(t, struct shift, transform)->head = 0;
	transform_clear_error(t);
}

static void shift_free(struct transform *t)
{
	i_free(container_of(t, struct shift, transform));
}

static struct transform *shift_new(bool decodes,
				   const struct stream_options *options)
{
	static const struct transform_class classes[] = {
		{ .name = "shift",
		  .flags = TRANSFORM_TRAILER,
		  .min_out = 1,
		  .process = shift_process,
		  .reset = shift_reset,
		  .free = shift_free },
		{ .name = "shift",
		  .flags = TRANSFORM_DECODER | TRANSFORM_UNFRAMED,
		  .min_out = 1,
		  .process = shift_process,
		  .reset = shift_reset,
		  .free = shift_free },
	};
	struct shift *shift = i_new(struct shift, 1);

	shift->transform.class_ = &classes[decodes ? 1 : 0];
	shift->by = (unsigned char)options->values[0].number;
	/* the one whose magic is another's too */
	if (strcmp(options->kind->name, "shift-twice") == 0)
		shift->by = (unsigned char)(shift->by * 2);
	return &shift->transform;
}

static struct transform *shift_encoder(const struct stream_options *options)
{
	return shift_new(false, options);
}

static struct transform *shift_decoder(const struct stream_options *options)
{
	return shift_new(true, options);
}

#define SHIFT                                                         \
	.role = STREAM_ROLE_TRANSFORM, .flags = STREAM_KIND_LOSSLESS, \
	.help = "each byte is another", .encoder = shift_encoder,     \
	.decoder = shift_decoder,                                     \
	.options = { { .name = "by",                                  \
		       .type = STREAM_OPTION_INT,                     \
		       .decodes = true,                               \
		       .max = 255,                                    \
		       .def = 1,                                      \
		       .help = "so much is added" },                  \
		     { .name = "async",                               \
		       .type = STREAM_OPTION_BOOL,                    \
		       .help = "on a thread of its own" },            \
		     { .name = "tag",                                 \
		       .type = STREAM_OPTION_WORD,                    \
		       .decodes = true,                               \
		       .help = "a word" } }

static const struct stream_kind shift_kind = { .name = "shift",
					       SHIFT,
					       .magic = MAGIC,
					       .magic_size =
						       sizeof(MAGIC) - 1 };
static const struct stream_kind twice_kind = { .name = "shift-twice", SHIFT };

static void must_register(const struct stream_kind *kind)
{
	char *error = NULL;

	if (stream_kind_register(kind, &error) < 0)
		fail_msg("%s", error);
}

static int setup(void **state ATTR_UNUSED)
{
	return stream_kind_register(&shift_kind, NULL) == 0 &&
			stream_kind_register(&twice_kind, NULL) == 0 ?
		0 :
		-1;
}

/*
 * What it is good for
 */

static buffer_t *write_through(const struct stack_spec *spec, const char *text)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	struct ostream *end = o_stream_create_buffer(buf), *output;

	output = stack_spec_create_output(spec, NULL, end, NULL);
	o_stream_unref(&end);
	o_stream_nsend_str(output, text);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	return buf;
}

static void test_a_spec_names_it(void **state ATTR_UNUSED)
{
	static const struct {
		const char *spec, *stored;
		const char *decoding; /* STACK_SPEC_DECODING */
	} rows[] = {
		{ "shift", MAGIC "bcd", "shift" },
		{ "shift:2", MAGIC "cde", "shift:2" },
		{ "shift:by=2,async=yes", MAGIC "cde", "shift:2" },
		/* the functions are told which of the kinds it is */
		{ "shift-twice:2", MAGIC "efg", "shift-twice:2" },
		{ "shift:0 | hex", "736869667465643a616263", "shift:0|hex" },
		{ "hex | shift:0", MAGIC "616263", "hex|shift:0" },
		{ "shift:tag=one.two-3_x", MAGIC "bcd",
		  "shift:tag=one.two-3_x" },
	};
	struct istream *source, *input;
	struct stack_spec *spec;
	buffer_t *stored;
	char *decoding;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spec = test_stack_parse(rows[i].spec);
		decoding = stack_spec_format(spec, STACK_SPEC_DECODING);
		assert_string_equal(decoding, rows[i].decoding);
		stored = write_through(spec, "abc");
		assert_string_equal(buffer_c_str(stored), rows[i].stored);
		stack_spec_free(&spec);

		/* what a record says is enough to read it */
		spec = test_stack_parse(decoding);
		source = i_stream_create_from_buffer(stored);
		input = stack_spec_create_input(spec, NULL, source, NULL);
		i_stream_unref(&source);
		test_gives(input, "abc", 0);
		stack_spec_free(&spec);
		i_free(decoding);
		buffer_free(&stored);
	}
}

static void test_settings_keep_words(void **state ATTR_UNUSED)
{
	struct stack_spec *spec = test_stack_parse("shift:3,tag=blue | hex");
	char *text = stack_spec_format(spec, STACK_SPEC_SETTINGS);

	assert_string_equal(text, "shift:3,tag=blue | hex");
	i_free(text);
	stack_spec_free(&spec);
}

static void test_values_of_words(void **state ATTR_UNUSED)
{
	static const char *const bad[] = {
		"shift:tag=a/b",
		"shift:tag=\"a b\"",
		"shift:tag=\"a|b\"",
		"shift:tag=abcdefghijklmnopqrstuvwxyz123456",
	};
	struct stack_spec *spec;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(bad); i++) {
		assert_null(stack_spec_parse(bad[i], &error));
		if (strstr(error, "tag must be a word of at most 31") == NULL)
			fail_msg("%s: %s", bad[i], error);
		i_free(error);
	}
	spec = test_stack_parse("shift:tag=abcdefghijklmnopqrstuvwxyz12345");
	stack_spec_free(&spec);
}

static void test_lists_have_it(void **state ATTR_UNUSED)
{
	const struct stream_kind *kind;
	unsigned int i, builtin = 0, seen = 0;
	char *error;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		if (kind == &shift_kind || kind == &twice_kind)
			seen++;
		else if (seen == 0)
			builtin++;
	}
	assert_int_equal(seen, 2);
	assert_true(builtin > 20);
	assert_ptr_equal(stream_kind_lookup("shift-twice", 11), &twice_kind);
	assert_null(stack_spec_parse("shitf", &error));
	assert_non_null(strstr(error, "did you mean \"shift\"?"));
	i_free(error);
}

static void test_data_is_recognised(void **state ATTR_UNUSED)
{
	struct istream *source = i_stream_create_from_data(MAGIC "bcd", 11);
	struct istream *input = i_stream_create_auto(source, NULL);

	assert_ptr_equal(stream_kind_recognise(MAGIC, sizeof(MAGIC) - 1, NULL),
			 &shift_kind);
	i_stream_unref(&source);
	test_gives(input, "abc", 0);
}

/*
 * Plumbing and ends
 */

static struct ostream *pass_output(struct ostream *parent,
				   const struct stream_options *options)
{
	return o_stream_create_limit(parent, (uoff_t)options->values[0].number);
}

static struct istream *pass_input(struct istream *parent,
				  const struct stream_options *options)
{
	return i_stream_create_limit(parent, (uoff_t)options->values[0].number);
}

static buffer_t *kept;
static char *kept_path;

static struct ostream *keep_output(const char *path, mode_t mode ATTR_UNUSED)
{
	i_free(kept_path);
	kept_path = i_strdup(path);
	return o_stream_create_buffer(kept);
}

static struct istream *keep_input(const char *path ATTR_UNUSED)
{
	return i_stream_create_from_buffer(kept);
}

static void test_plumbing_and_ends(void **state ATTR_UNUSED)
{
	static const struct stream_kind pass = {
		.name = "at-most",
		.role = STREAM_ROLE_PLUMBING,
		.help = "so many bytes",
		.options = { { .name = "size",
			       .type = STREAM_OPTION_SIZE,
			       .required = true,
			       .help = "bytes" } },
		.output = pass_output,
		.input = pass_input,
	};
	static const struct stream_kind keep = {
		.name = "keep",
		.role = STREAM_ROLE_END,
		.help = "in memory",
		.options = { { .name = "name",
			       .type = STREAM_OPTION_PATH,
			       .help = "of the buffer" } },
		.open_output = keep_output,
		.open_input = keep_input,
	};
	struct stream_context context = { .base_dir = "/base" };
	struct stack_spec *spec;
	struct ostream *output;

	must_register(&pass);
	must_register(&keep);
	kept = buffer_create_dynamic(default_pool, 64);
	spec = test_stack_parse("hex | at-most:1K | keep:here");
	output = stack_spec_create_output(spec, &context, NULL, NULL);
	o_stream_nsend_str(output, "abc");
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	assert_string_equal(buffer_c_str(kept), "616263");
	assert_string_equal(kept_path, "/base/here");
	test_gives(stack_spec_create_input(spec, &context, NULL, NULL), "abc",
		   0);
	stack_spec_free(&spec);
	i_free(kept_path);
	buffer_free(&kept);
}

/*
 * What is refused
 */

static void must_refuse(const struct stream_kind *kind, int error,
			const char *words)
{
	char *text = NULL;

	errno = 0;
	if (stream_kind_register(kind, &text) == 0)
		fail_msg("%s: it was taken, though %s", kind->name, words);
	assert_int_equal(errno, error);
	if (strstr(text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, words);
	i_free(text);
}

/* A kind that is right but for this. */
#define FAULT(words, change)                         \
	do {                                         \
		struct stream_kind k = shift_kind;   \
		struct stream_option *o = k.options; \
                                                     \
		k.name = "f";                        \
		o[0].name = "o";                     \
		change;                              \
		must_refuse(&k, EINVAL, words);      \
	} while (0)

static void test_what_is_refused(void **state ATTR_UNUSED)
{
	FAULT("its name is no word", k.name = NULL);
	FAULT("its name is no word", k.name = "");
	FAULT("its name is no word", k.name = "UPPER");
	FAULT("its name is no word", k.name = "a:b");
	FAULT("its name is no word",
	      k.name = "abcdefghijklmnopqrstuvwxyz123456");
	FAULT("means something else", k.name = "plain");
	FAULT("means something else", k.name = "auto");
	FAULT("its help is no line", k.help = NULL);
	FAULT("its help is no line", k.help = "a\nb");
	FAULT("flags are not known", k.flags = STREAM_KIND_FLAGS + 1);
	FAULT("its magic", k.magic = NULL);
	FAULT("its magic", k.magic_size = 0);
	FAULT("its magic is too long", k.magic_size = STREAM_KIND_HEAD_MAX + 1);
	FAULT("its magic is too long",
	      k.confirm_size = STREAM_KIND_HEAD_MAX + 1);
	FAULT("role is not known",
	      k.role = (enum stream_role)(STREAM_ROLE_END + 1));
	FAULT("an encoder and a decoder", k.encoder = NULL);
	FAULT("an encoder and a decoder", k.decoder = NULL);
	FAULT("an output and an input",
	      (k.role = STREAM_ROLE_PLUMBING, k.output = pass_output));
	FAULT("an output and an input",
	      (k.role = STREAM_ROLE_PLUMBING, k.input = pass_input));
	FAULT("an open_output and an open_input",
	      (k.role = STREAM_ROLE_END, k.open_output = keep_output));
	FAULT("an open_output and an open_input",
	      (k.role = STREAM_ROLE_END, k.open_input = keep_input));
	FAULT("the first option of an end",
	      (k.role = STREAM_ROLE_END, k.open_output = keep_output,
	       k.open_input = keep_input));
	FAULT("no option but its path",
	      (k.role = STREAM_ROLE_END, k.open_output = keep_output,
	       k.open_input = keep_input, o[0].type = STREAM_OPTION_PATH,
	       o[0].decodes = false));
	FAULT("an option's name", o[1].name = "a=b");
	FAULT("an option's help", o[1].help = NULL);
	FAULT("an option's help", o[1].help = "a\nb");
	FAULT("an option's type is not known",
	      o[0].type = (enum stream_option_type)(STREAM_OPTION_WORD + 1));
	FAULT("an option's range", o[0].min = o[0].max + 1);
	FAULT("an option's range", o[0].multiple = -1);
	FAULT("an option's default", o[0].def = 256);
	FAULT("an option's default", o[0].min = 2);
	FAULT("an option's default", (o[0].def = 0, o[0].no_zero = true));
	FAULT("an option's default", o[0].multiple = 2);
	FAULT("an option's default",
	      (o[0].type = STREAM_OPTION_SIZE, o[0].min = 2));
	FAULT("an option's default",
	      (o[0].type = STREAM_OPTION_SIZE, o[0].min = o[0].def = -1));
	FAULT("an option's default", o[1].def = 2);
	FAULT("an option that decodes", o[0].type = STREAM_OPTION_PATH);
	FAULT("async is not a BOOL", o[1].type = STREAM_OPTION_INT);
	FAULT("two of its options", o[2].name = "o");
	FAULT("too many options",
	      (o[3] = o[4] = o[5] = o[2], o[3].name = "a", o[4].name = "b",
	       o[5].name = "c"));
	assert_null(stream_kind_lookup("f", 1));
}

static void test_what_must_be_given_has_no_default(void **state ATTR_UNUSED)
{
	static struct stream_kind kind;

	kind = shift_kind;
	kind.name = "shift-given";
	kind.options[0].min = 2;
	kind.options[0].required = true;
	must_register(&kind);
}

static void test_why_is_told_who_asks(void **state ATTR_UNUSED)
{
	struct stream_kind kind = shift_kind;

	kind.name = "";
	errno = 0;
	assert_int_equal(stream_kind_register(&kind, NULL), -1);
	assert_int_equal(errno, EINVAL);
}

static void test_names_are_taken_once(void **state ATTR_UNUSED)
{
	static const struct stream_kind gzip = { .name = "gzip", SHIFT };
	static const struct stream_kind shift = { .name = "shift", SHIFT };
	const struct stream_kind *kind;
	unsigned int i, before = 0;

	while (stream_kind_get(before) != NULL)
		before++;
	must_refuse(&gzip, EEXIST, "there is a kind of this name");
	must_refuse(&shift, EEXIST,
		    "the kind \"shift\" cannot be registered: there is a kind "
		    "of this name");
	/* two modules of one shared object */
	must_register(&shift_kind);
	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++)
		assert_ptr_not_equal(kind, &shift);
	assert_int_equal(i, before);
}

/*
 * Threads, until there is no room left
 */

#define THREADS 4

static struct stream_kind many[STREAM_KINDS_OWN_MAX];
static char names[STREAM_KINDS_OWN_MAX][STREAM_KIND_NAME_MAX + 1];
static pthread_barrier_t start;

struct registrar {
	pthread_t thread;
	unsigned int number, taken;
	bool wrong;
};

/* Registers each THREADS-th of them, and finds it. */
static void *registrar_main(void *context)
{
	struct registrar *r = context;
	const struct stream_kind *kind;
	unsigned int i;

	(void)pthread_barrier_wait(&start);
	for (i = r->number; i < STREAM_KINDS_OWN_MAX; i += THREADS) {
		if (stream_kind_register(&many[i], NULL) == 0) {
			kind = stream_kind_lookup(names[i], strlen(names[i]));
			r->wrong = r->wrong || kind != &many[i];
			r->taken++;
		} else {
			r->wrong = r->wrong || errno != ENOSPC;
		}
	}
	return NULL;
}

static void test_threads_fill_the_room(void **state ATTR_UNUSED)
{
	struct stream_kind one_more = shift_kind;
	struct registrar registrars[THREADS];
	unsigned int i, builtin = 0, before = 0, after = 0, taken = 0;

	/* the first of our own */
	while (stream_kind_get(builtin) != &shift_kind)
		builtin++;
	while (stream_kind_get(before) != NULL)
		before++;
	for (i = 0; i < STREAM_KINDS_OWN_MAX; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "many-%u", i);
		many[i] = shift_kind;
		many[i].name = names[i];
	}
	assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
	for (i = 0; i < THREADS; i++) {
		registrars[i] = (struct registrar){ .number = i };
		assert_int_equal(pthread_create(&registrars[i].thread, NULL,
						registrar_main, &registrars[i]),
				 0);
	}
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(registrars[i].thread, NULL), 0);
		assert_false(registrars[i].wrong);
		taken += registrars[i].taken;
	}
	(void)pthread_barrier_destroy(&start);
	while (stream_kind_get(after) != NULL)
		after++;
	assert_int_equal(after - before, taken);
	assert_int_equal(after, builtin + STREAM_KINDS_OWN_MAX);
	one_more.name = "one-more";
	must_refuse(&one_more, ENOSPC, "there are too many");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_spec_names_it),
		cmocka_unit_test(test_settings_keep_words),
		cmocka_unit_test(test_values_of_words),
		cmocka_unit_test(test_lists_have_it),
		cmocka_unit_test(test_data_is_recognised),
		cmocka_unit_test(test_plumbing_and_ends),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_what_must_be_given_has_no_default),
		cmocka_unit_test(test_why_is_told_who_asks),
		cmocka_unit_test(test_names_are_taken_once),
		cmocka_unit_test(test_threads_fill_the_room),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
