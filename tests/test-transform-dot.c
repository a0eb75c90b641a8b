/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The SMTP wire form: every text of CR, LF, dot and a letter up to six bytes, cut
   at every place and in both directions, against a model that looks at whole
   texts; and the edges that have names. */

#include "config.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>

#define LONGEST 6

/* The n-th text of that length over the four bytes. */
static void make_text(char *text, size_t length, size_t n)
{
	size_t i;

	for (i = 0; i < length; i++, n /= 4)
		text[i] = "\r\n.x"[n % 4];
}

/*
 * The model
 */

struct model {
	char out[4 * LONGEST + 8];
	size_t size;
	size_t taken; /* decoding: bytes up to the end of the final line */
	bool ended;
};

static void add(struct model *m, const char *str)
{
	size_t size = strlen(str);

	memcpy(m->out + m->size, str, size);
	m->size += size;
}

static bool is_at(const char *text, size_t length, size_t pos, const char *what)
{
	size_t size = strlen(what);

	return length - pos >= size && memcmp(text + pos, what, size) == 0;
}

/* RFC 5321 2.3.8 and 4.5.2: line ends become CRLF; a dot that begins a line is
   doubled; the text ends with a line end and a line that is a dot. And where a
   lone CR stands before a dot, which somebody may take for a line's beginning,
   it becomes a line end, too. */
static void model_encode(const char *text, size_t length, bool extra,
			 struct model *m)
{
	char c[2] = "";
	size_t i;
	char before = '\n';

	memset(m, 0, sizeof(*m));
	for (i = 0; i < length; i++) {
		c[0] = text[i];
		if (c[0] == '\n' && before != '\r')
			add(m, "\r");
		if (c[0] == '.' && before == '\r')
			add(m, "\n");
		if (c[0] == '.' && (before == '\n' || before == '\r'))
			add(m, ".");
		add(m, c);
		before = c[0];
	}
	if (before != '\n' || extra)
		add(m, "\r\n");
	add(m, ".\r\n");
}

/* Where the line that begins at pos ends, with its line end; the whole rest, if
   it has none. */
static size_t line_length(const char *text, size_t length, size_t pos,
			  bool loose, size_t *end_size_r)
{
	size_t i;

	for (i = pos; i < length; i++) {
		*end_size_r = is_at(text, length, i, "\r\n") ? 2 :
			loose && text[i] == '\n'             ? 1 :
							       0;
		if (*end_size_r > 0)
			return i + *end_size_r - pos;
	}
	*end_size_r = 0;
	return length - pos;
}

/* Line by line: one that is a dot alone ends the text, any other loses its first
   dot. With trim, the line end before the final line goes, too. */
static void model_decode(const char *text, size_t length, unsigned int flags,
			 struct model *m)
{
	bool loose = (flags & TRANSFORM_DOT_LOOSE_EOT) != 0;
	size_t pos = 0, size, end_size, last_end = 0;

	memset(m, 0, sizeof(*m));
	while (pos < length) {
		size = line_length(text, length, pos, loose, &end_size);
		if (text[pos] == '.' && end_size > 0 && size == 1 + end_size) {
			m->taken = pos + size;
			m->ended = true;
			if ((flags & TRANSFORM_DOT_TRIM_TRAIL) != 0)
				m->size -= last_end;
			return;
		}
		if (text[pos] == '.') {
			pos++;
			size--;
		}
		memcpy(m->out + m->size, text + pos, size);
		m->size += size;
		pos += size;
		last_end = end_size;
	}
	m->taken = length;
}

/*
 * All texts
 */

static void mismatch(const char *text, size_t length, size_t split,
		     const buffer_t *out, const struct model *want)
{
	buffer_t *hex[3];
	int i;

	hex[0] = test_encode(transform_create_json_encoder(), text, length);
	hex[1] = test_encode(transform_create_json_encoder(), want->out,
			     want->size);
	hex[2] = test_encode(transform_create_json_encoder(), out->data,
			     out->used);
	for (i = 0; i < 3; i++)
		buffer_append_c(hex[i], 0);
	fail_msg("\"%s\" cut at %zu: \"%s\" wanted, \"%s\" had",
		 (const char *)hex[0]->data, split, (const char *)hex[1]->data,
		 (const char *)hex[2]->data);
}

static bool is_model(const buffer_t *out, const struct model *want)
{
	return out->used == want->size &&
		(want->size == 0 ||
		 memcmp(out->data, want->out, want->size) == 0);
}

static void check_encoder(struct transform *t, const char *text, size_t length,
			  const struct model *want, buffer_t *out)
{
	enum transform_status first, second;
	size_t split;

	for (split = 0; split <= length; split++) {
		buffer_set_used_size(out, 0);
		t->class_->reset(t);
		first = test_process(t, text, split, TRANSFORM_RUN, out, NULL);
		second = test_process(t, text + split, length - split,
				      TRANSFORM_FINISH, out, NULL);
		if (first != TRANSFORM_NEED_IN || second != TRANSFORM_DONE ||
		    !is_model(out, want))
			mismatch(text, length, split, out, want);
	}
}

/* A text that is cut was given but for what may be part of its end: a CR, and
   with trim the line end before it. */
static bool is_cut_model(const buffer_t *out, const struct model *want,
			 unsigned int flags)
{
	size_t kept = (flags & TRANSFORM_DOT_TRIM_TRAIL) != 0 ? 3 : 1;

	return out->used <= want->size && out->used + kept >= want->size &&
		(out->used == 0 ||
		 memcmp(out->data, want->out, out->used) == 0);
}

static void check_decoder(struct transform *t, unsigned int flags,
			  const char *text, size_t length,
			  const struct model *want, buffer_t *out)
{
	enum transform_status status;
	size_t split, taken, more;

	for (split = 0; split <= length; split++) {
		buffer_set_used_size(out, 0);
		t->class_->reset(t);
		status = test_process(t, text, split, TRANSFORM_RUN, out,
				      &taken);
		if (status == TRANSFORM_NEED_IN) {
			assert_int_equal(taken, split);
			status = test_process(t, text + split, length - split,
					      TRANSFORM_FINISH, out, &more);
			taken += more;
		}
		if (status !=
			    (want->ended ? TRANSFORM_END : TRANSFORM_NEED_IN) ||
		    taken != want->taken ||
		    !(want->ended ? is_model(out, want) :
				    is_cut_model(out, want, flags)))
			mismatch(text, length, split, out, want);
	}
}

static void for_all_texts(struct transform *t, bool decode, unsigned int flags)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	size_t length, n, count = 1;
	char text[LONGEST];
	struct model want;

	for (length = 0; length <= LONGEST; length++, count *= 4) {
		for (n = 0; n < count; n++) {
			make_text(text, length, n);
			if (decode) {
				model_decode(text, length, flags, &want);
				check_decoder(t, flags, text, length, &want,
					      out);
			} else {
				model_encode(text, length, flags != 0, &want);
				check_encoder(t, text, length, &want, out);
			}
		}
	}
	buffer_free(&out);
	transform_free(&t);
}

static void test_encoder_is_the_model(void **state ATTR_UNUSED)
{
	for_all_texts(transform_create_dot_encoder(false), false, 0);
	for_all_texts(transform_create_dot_encoder(true), false, 1);
}

static void test_decoder_is_the_model(void **state ATTR_UNUSED)
{
	unsigned int flags;

	for (flags = 0; flags < 4; flags++)
		for_all_texts(transform_create_dot_decoder(flags), true, flags);
}

/* However it was written, what the encoder makes ends where it says, for a
   strict and for a loose reader, and never before. */
static void test_no_text_ends_early(void **state ATTR_UNUSED)
{
	buffer_t *wire = buffer_create_dynamic(default_pool, 64);
	struct transform *t = transform_create_dot_encoder(false);
	size_t length, n, count = 1;
	char text[LONGEST];
	struct model m;
	unsigned int flags;

	for (length = 0; length <= LONGEST; length++, count *= 4) {
		for (n = 0; n < count; n++) {
			make_text(text, length, n);
			buffer_set_used_size(wire, 0);
			t->class_->reset(t);
			(void)test_process(t, text, length, TRANSFORM_FINISH,
					   wire, NULL);
			for (flags = 0; flags < 4; flags++) {
				model_decode((const char *)wire->data,
					     wire->used, flags, &m);
				assert_true(m.ended);
				assert_int_equal(m.taken, wire->used);
			}
		}
	}
	transform_free(&t);
	buffer_free(&wire);
}

/*
 * What has a name
 */

static struct transform *strict(void)
{
	return transform_create_dot_decoder(0);
}

static struct transform *trimming(void)
{
	return transform_create_dot_decoder(TRANSFORM_DOT_TRIM_TRAIL);
}

static struct transform *loose(void)
{
	return transform_create_dot_decoder(TRANSFORM_DOT_LOOSE_EOT);
}

static void test_strict(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "an empty text", TEST_BYTES(".\r\n"), TEST_BYTES(""), 0,
		  NULL },
		{ "a line", TEST_BYTES("a\r\n.\r\n"), TEST_BYTES("a\r\n"), 0,
		  NULL },
		{ "doubled dots", TEST_BYTES("..\r\n...\r\n.a\r\n.\r\n"),
		  TEST_BYTES(".\r\n..\r\na\r\n"), 0, NULL },
		{ "what follows is another's", TEST_BYTES(".\r\nQUIT\r\n"),
		  TEST_BYTES(""), 0, NULL },
		/* the ways by which mail was smuggled */
		{ "LF . LF", TEST_BYTES("a\n.\nb\r\n.\r\n"),
		  TEST_BYTES("a\n.\nb\r\n"), 0, NULL },
		{ "LF . CRLF", TEST_BYTES("a\n.\r\nb\r\n.\r\n"),
		  TEST_BYTES("a\n.\r\nb\r\n"), 0, NULL },
		{ "CRLF . LF", TEST_BYTES("a\r\n.\nb\r\n.\r\n"),
		  TEST_BYTES("a\r\n\nb\r\n"), 0, NULL },
		{ "CRLF . CR", TEST_BYTES("a\r\n.\rb\r\n.\r\n"),
		  TEST_BYTES("a\r\n\rb\r\n"), 0, NULL },
		{ "CR . CR", TEST_BYTES("a\r.\rb\r\n.\r\n"),
		  TEST_BYTES("a\r.\rb\r\n"), 0, NULL },
		{ "CRLF . CR CRLF", TEST_BYTES("a\r\n.\r\r\nb\r\n.\r\n"),
		  TEST_BYTES("a\r\n\r\r\nb\r\n"), 0, NULL },
		{ "NUL before the dot", TEST_BYTES("a\r\n\0.\r\nb\r\n.\r\n"),
		  TEST_BYTES("a\r\n\0.\r\nb\r\n"), 0, NULL },

		{ "nothing", TEST_BYTES(""), TEST_BYTES(""), EPIPE,
		  "the input is empty" },
		{ "no final line", TEST_BYTES("a\r\n"), TEST_BYTES("a\r\n"),
		  EPIPE, "the input ends too early (at byte 3 of the input" },
		{ "a final line cut behind its dot", TEST_BYTES("a\r\n."),
		  TEST_BYTES("a\r\n"), EPIPE, "ends too early" },
		{ "and behind its CR", TEST_BYTES("a\r\n.\r"),
		  TEST_BYTES("a\r\n"), EPIPE, "ends too early" },
	};

	test_decodings(strict, rows, N_ELEMENTS(rows));
}

static void test_trim(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "no line end before", TEST_BYTES(".\r\n"), TEST_BYTES(""), 0,
		  NULL },
		{ "only a line end", TEST_BYTES("\r\n.\r\n"), TEST_BYTES(""), 0,
		  NULL },
		{ "one line end of two", TEST_BYTES("a\r\n\r\n.\r\n"),
		  TEST_BYTES("a\r\n"), 0, NULL },
		{ "a CR before it stays", TEST_BYTES("a\r\r\n.\r\n"),
		  TEST_BYTES("a\r"), 0, NULL },
	};

	test_decodings(trimming, rows, N_ELEMENTS(rows));
}

static void test_loose(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "only LF", TEST_BYTES("a\n.\nb"), TEST_BYTES("a\n"), 0,
		  NULL },
		{ "LF before", TEST_BYTES("a\n.\r\nb"), TEST_BYTES("a\n"), 0,
		  NULL },
		{ "LF behind", TEST_BYTES("a\r\n.\nb"), TEST_BYTES("a\r\n"), 0,
		  NULL },
		{ "a lone CR is none", TEST_BYTES("a\r.\rb\n.\n"),
		  TEST_BYTES("a\r.\rb\n"), 0, NULL },
		{ "dots behind LF", TEST_BYTES("a\n..b\n.\n"),
		  TEST_BYTES("a\n.b\n"), 0, NULL },
	};

	test_decodings(loose, rows, N_ELEMENTS(rows));
}

/* The reader of what follows finds it, byte by byte as well. */
static void test_what_follows_stays(void **state ATTR_UNUSED)
{
	static const char wire[] = "a\r\n.\r\nQUIT\r\n";
	static const size_t steps[] = { 1, 5, 100 };
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	struct istream *source, *input;
	size_t i;

	for (i = 0; i < N_ELEMENTS(steps); i++) {
		buffer_set_used_size(out, 0);
		source = test_trickle_create(wire, strlen(wire), steps[i],
					     false);
		input = i_stream_create_transform(source, strict());
		assert_int_equal(test_read_all(input, out), 0);
		i_stream_destroy(&input);
		assert_int_equal(source->v_offset, 6);
		buffer_set_used_size(out, 0);
		assert_int_equal(test_read_all(source, out), 0);
		assert_int_equal(out->used, 6);
		assert_memory_equal(out->data, "QUIT\r\n", 6);
		i_stream_destroy(&source);
	}
	buffer_free(&out);
}

/* Who sends what follows gets an error for it. */
static void test_sent_behind_the_end(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 16);

	assert_int_equal(test_decode_push(strict(), "a\r\n.\r\nQ", 7, 100, out),
			 EINVAL);
	assert_non_null(strstr(test_stream_error,
			       "data after the end (at byte 6 of the input"));
	assert_int_equal(out->used, 3);
	buffer_free(&out);
}

/* The wide copies of long text see a dot and a LF at each place of a block. */
static void test_long_lines(void **state ATTR_UNUSED)
{
	static const struct {
		const char *plain, *wire;
	} rows[] = { { "\n", "\r\n" },       { "\n.", "\r\n.." },
		     { "\r\n.", "\r\n.." },  { "\r.", "\r\n.." },
		     { "\r\n", "\r\n" },     { ".", "." },
		     { "\n\n", "\r\n\r\n" }, { "\r\r\n", "\r\r\n" } };
	char plain[128], want[128];
	buffer_t *out = buffer_create_dynamic(default_pool, 128), *wire;
	size_t i, before, size, want_size;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		for (before = 1; before < 64; before++) {
			memset(plain, 'x', sizeof(plain));
			memset(want, 'x', sizeof(want));
			size = strlen(rows[i].plain);
			memcpy(plain + before, rows[i].plain, size);
			want_size = strlen(rows[i].wire);
			memcpy(want + before, rows[i].wire, want_size);
			memcpy(want + before + want_size + 33, "\r\n.\r\n", 5);
			size += before + 33;
			want_size += before + 33 + 5;
			wire = test_encode(transform_create_dot_encoder(false),
					   plain, size);
			assert_int_equal(wire->used, want_size);
			assert_memory_equal(wire->data, want, want_size);
			assert_int_equal(test_decode(trimming(), wire->data,
						     wire->used, out),
					 0);
			buffer_free(&wire);
			/* the same text, with CRLF */
			wire = test_encode(transform_create_dot_encoder(false),
					   out->data, out->used);
			assert_int_equal(wire->used, want_size);
			assert_memory_equal(wire->data, want, want_size);
			buffer_free(&wire);
		}
	}
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encoder_is_the_model),
		cmocka_unit_test(test_decoder_is_the_model),
		cmocka_unit_test(test_no_text_ends_early),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_loose),
		cmocka_unit_test(test_what_follows_stays),
		cmocka_unit_test(test_sent_behind_the_end),
		cmocka_unit_test(test_long_lines),
	};

	return cmocka_run_group_tests_name("transform-dot", tests, NULL, NULL);
}
