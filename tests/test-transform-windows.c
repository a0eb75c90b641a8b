/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The transforms of text take most bytes in runs and some one by one: whatever the
   windows are, what comes out, how much is taken and what an error says are those of one
   byte at a time. */

#include "config.h"
#include "test-stream-common.h"
#include "base64.h"
#include "transform-age.h"
#include "transforms.h"

#include <sodium.h>
#include <string.h>

#define TEXT_SIZE 240
#define ENCODED_MAX 2048

struct outcome {
	enum transform_status status;
	size_t taken, used;
	unsigned char out[ENCODED_MAX];
	char error[200];
};

/* All of data through windows of so many bytes. */
static void run(struct transform *t, const unsigned char *data, size_t size,
		size_t in_window, size_t out_window, struct outcome *outcome)
{
	struct transform_io io;
	size_t pos = 0, end;

	memset(outcome, 0, sizeof(*outcome));
	transform_clear_error(t);
	t->class_->reset(t);
	do {
		end = pos + I_MIN(in_window, size - pos);
		io.in = data + pos;
		io.in_end = data + end;
		io.out = outcome->out + outcome->used;
		io.out_end = io.out + out_window;
		assert_true(outcome->used + out_window <= ENCODED_MAX);
		outcome->status = t->class_->process(
			t, &io, end < size ? TRANSFORM_RUN : TRANSFORM_FINISH);
		assert_true(io.in <= io.in_end && io.out <= io.out_end);
		pos = (size_t)(io.in - data);
		outcome->used = (size_t)(io.out - outcome->out);
	} while (outcome->status == TRANSFORM_NEED_OUT ||
		 (outcome->status == TRANSFORM_NEED_IN && end < size));
	outcome->taken = pos;
	if (outcome->status == TRANSFORM_ERROR)
		(void)snprintf(outcome->error, sizeof(outcome->error), "%s",
			       t->error);
}

static void assert_same(const char *name, const struct outcome *a,
			const struct outcome *b)
{
	if (a->status == b->status && a->taken == b->taken &&
	    a->used == b->used && memcmp(a->out, b->out, a->used) == 0 &&
	    strcmp(a->error, b->error) == 0)
		return;
	fail_msg("%s: status %d or %d, %zu or %zu bytes taken, %zu or %zu out, "
		 "\"%s\" or \"%s\"",
		 name, (int)a->status, (int)b->status, a->taken, b->taken,
		 a->used, b->used, a->error, b->error);
}

static const struct {
	size_t in, more_out; /* beyond the least that a class gets */
} windows[] = {
	{ SIZE_MAX, 600 }, { SIZE_MAX, 0 }, { 2, 1 },    { 3, 600 },
	{ 4, 2 },          { 5, 3 },        { 57, 600 }, { 65, 47 },
	{ 66, 48 },        { 67, 600 },     { 78, 75 },
};

static void assert_windows(const char *name, struct transform *t,
			   const unsigned char *data, size_t size)
{
	size_t min_out = t->class_->min_out, i;
	static struct outcome want, got;

	run(t, data, size, 1, min_out, &want);
	for (i = 0; i < N_ELEMENTS(windows); i++) {
		run(t, data, size, windows[i].in, min_out + windows[i].more_out,
		    &got);
		assert_same(name, &want, &got);
	}
}

static struct transform *base64_lines(void)
{
	return transform_create_base64_encoder(76);
}

static struct transform *base64_short_lines(void)
{
	return transform_create_base64_encoder(8);
}

static struct transform *base64url(void)
{
	return transform_create_base64url_encoder(0);
}

static struct transform *qp_text(void)
{
	return transform_create_qp_encoder(false);
}

static struct transform *qp_binary(void)
{
	return transform_create_qp_encoder(true);
}

static struct transform *qp_decoder(void)
{
	return transform_create_qp_decoder(false);
}

static struct transform *qp_loose(void)
{
	return transform_create_qp_decoder(true);
}

static const struct {
	const char *name;
	struct transform *(*encoder)(void);
	struct transform *(*decoder)(void);
} codecs[] = {
	{ "base64, lines of 76", base64_lines,
	  transform_create_base64_decoder },
	{ "base64, lines of 8", base64_short_lines,
	  transform_create_base64_decoder },
	{ "base64url", base64url, transform_create_base64url_decoder },
	{ "armor", transform_create_armor_encoder,
	  transform_create_armor_decoder },
	{ "hex", transform_create_hex_encoder, transform_create_hex_decoder },
	{ "json", transform_create_json_encoder,
	  transform_create_json_decoder },
	{ "qp", qp_text, qp_decoder },
	{ "qp, binary", qp_binary, qp_decoder },
	{ "qp, loose", qp_text, qp_loose },
};

/* Lines of several lengths; blanks at their ends, bytes that are escaped, characters
   of two and of three bytes, and one that is cut. */
static void make_text(unsigned char text[TEXT_SIZE])
{
	static const char sample[] =
		"Subject: caf\xc3\xa9 = \"1 \xe2\x82\xac\"\r\n\t\\ \r\n"
		"a line that is longer than seventy six characters by a few, "
		"so that it is broken \r\nb \nand\rc\x01\xff=41=\r\n\xe2\x82x";
	size_t i;

	for (i = 0; i < TEXT_SIZE; i++)
		text[i] = (unsigned char)sample[i % (sizeof(sample) - 1)];
}

static void test_encoders(void **state ATTR_UNUSED)
{
	unsigned char text[TEXT_SIZE];
	struct transform *t;
	size_t i, size;

	make_text(text);
	for (i = 0; i < N_ELEMENTS(codecs); i++) {
		t = codecs[i].encoder();
		for (size = 0; size <= TEXT_SIZE; size++)
			assert_windows(codecs[i].name, t, text, size);
		transform_free(&t);
	}
}

/* The encoding of a text, whole and with each byte of it another one. */
static void test_decoders(void **state ATTR_UNUSED)
{
	static const char others[] = "=\r\n Aq0+-\\\x80";
	static struct outcome encoded, plain;
	unsigned char text[TEXT_SIZE], was;
	struct transform *e, *d;
	size_t i, j, k;

	make_text(text);
	for (i = 0; i < N_ELEMENTS(codecs); i++) {
		e = codecs[i].encoder();
		d = codecs[i].decoder();
		/* which leaves a group of base64 that is padded */
		run(e, text, TEXT_SIZE - 5, SIZE_MAX, ENCODED_MAX, &encoded);
		assert_windows(codecs[i].name, d, encoded.out, encoded.used);
		run(d, encoded.out, encoded.used, SIZE_MAX, ENCODED_MAX,
		    &plain);
		if (strncmp(codecs[i].name, "json", 4) != 0)
			assert_memory_equal(plain.out, text, TEXT_SIZE - 5);
		for (j = 0; j < encoded.used; j++) {
			was = encoded.out[j];
			for (k = 0; k < sizeof(others) - 1; k++) {
				encoded.out[j] = (unsigned char)others[k];
				assert_windows(codecs[i].name, d, encoded.out,
					       encoded.used);
			}
			encoded.out[j] = was;
		}
		transform_free(&e);
		transform_free(&d);
	}
}

/* Under UBSan: nothing is added to no address. */
static void test_a_window_without_an_address(void **state ATTR_UNUSED)
{
	struct transform *ts[2];
	unsigned char out[100];
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(codecs); i++) {
		ts[0] = codecs[i].encoder();
		ts[1] = codecs[i].decoder();
		for (j = 0; j < N_ELEMENTS(ts); j++) {
			struct transform_io io = { NULL, NULL, out,
						   out + sizeof(out) };

			assert_int_not_equal(
				ts[j]->class_->process(ts[j], &io,
						       TRANSFORM_FINISH),
				TRANSFORM_ERROR);
			transform_free(&ts[j]);
		}
	}
}

#define LINE "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2"
#define BEGIN "-----BEGIN AGE ENCRYPTED FILE-----"
#define END "-----END AGE ENCRYPTED FILE-----"

/* Armor where a line that is full has no place. */
static void test_full_lines_of_armor(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name, *text, *error;
	} rows[] = {
		{ "all is well", BEGIN "\n" LINE "\r\n" LINE "\n" END "\n",
		  NULL },
		{ "before the first line", LINE "\n" BEGIN "\n" END "\n",
		  "line 1" },
		{ "behind the last line",
		  BEGIN "\n" LINE "\n" END "\n" LINE "\n", "line 4" },
		{ "behind a short line",
		  BEGIN "\n" LINE "\nQUJD\n" LINE "\n" END "\n", "line 4" },
	};
	struct transform *t = transform_create_armor_decoder();
	static struct outcome outcome;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		assert_windows(rows[i].name, t,
			       (const unsigned char *)rows[i].text,
			       strlen(rows[i].text));
		run(t, (const unsigned char *)rows[i].text,
		    strlen(rows[i].text), SIZE_MAX, ENCODED_MAX, &outcome);
		assert_int_equal(outcome.status == TRANSFORM_ERROR,
				 rows[i].error != NULL);
		assert_true(rows[i].error == NULL ||
			    strstr(outcome.error, rows[i].error) != NULL);
	}
	transform_free(&t);
}

/* The groups of lib/base64.h are libsodium's. */
static void test_base64_groups(void **state ATTR_UNUSED)
{
	static const struct {
		const char *letters;
		int variant;
	} rows[] = {
		{ base64_letters, sodium_base64_VARIANT_ORIGINAL },
		{ base64url_letters, sodium_base64_VARIANT_URLSAFE },
	};
	unsigned char data[256], text[BASE64_SIZE(256)], back[256];
	struct base64_values values;
	char want[BASE64_SIZE(256) + 1];
	unsigned int i, size;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 37);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		base64_values_init(&values, rows[i].letters);
		for (size = 0; size <= sizeof(data); size++) {
			(void)sodium_bin2base64(want, sizeof(want), data, size,
						rows[i].variant);
			base64_groups_encode(rows[i].letters, data, size, text);
			assert_int_equal(strlen(want), BASE64_SIZE(size));
			assert_memory_equal(text, want, strlen(want));
			/* a padded group is none of letters alone */
			assert_int_equal(base64_groups_decode(&values, text,
							      (size + 2) / 3,
							      back),
					 size / 3);
			assert_memory_equal(back, data, size / 3 * 3);
		}
	}
}

/* Each byte at each place of a group is a letter or ends the run there. */
static void test_base64_letters(void **state ATTR_UNUSED)
{
	unsigned char text[12], out[9];
	struct base64_values values;
	unsigned int c, place;

	base64_values_init(&values, base64_letters);
	for (c = 0; c < 256; c++) {
		for (place = 0; place < 4; place++) {
			memset(text, 'A', sizeof(text));
			text[4 + place] = (unsigned char)c;
			assert_int_equal(
				base64_groups_decode(&values, text, 3, out),
				c != 0 &&
						strchr(base64_letters,
						       (int)c) != NULL ?
					3 :
					1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encoders),
		cmocka_unit_test(test_decoders),
		cmocka_unit_test(test_a_window_without_an_address),
		cmocka_unit_test(test_full_lines_of_armor),
		cmocka_unit_test(test_base64_groups),
		cmocka_unit_test(test_base64_letters),
	};

	return cmocka_run_group_tests_name("transform-windows", tests, NULL,
					   NULL);
}
