/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "age-header.h"
#include "age-base64.h"
#include "base64.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

#define VERSION_LINE "age-encryption.org/v1"
#define B64 sodium_base64_VARIANT_ORIGINAL_NO_PADDING
#define B64_32_SIZE 43 /* characters of 32 bytes, without padding */
#define BODY_COLUMNS 64
#define SCRYPT_SALT_LABEL "age-encryption.org/v1/scrypt"
#define SCRYPT_SALT_SIZE 16

enum stanza_kind {
	STANZA_OTHER,
	STANZA_X25519,
	STANZA_SCRYPT
};

/* What is kept of a stanza until the whole header was read. A mistake in one of
   a known kind counts only when somebody looks at it with that kind of key. */
struct age_stanza {
	enum stanza_kind kind;
	const char *mistake;                  /* NULL: well formed */
	unsigned char share[32];              /* X25519 */
	unsigned char salt[SCRYPT_SALT_SIZE]; /* scrypt */
	unsigned int log_n;
	unsigned char body[AGE_WRAPPED_SIZE];
	size_t body_size; /* also of longer ones */
};

static bool no_memory(struct transform *t)
{
	(void)transform_error(t, ENOMEM, "out of memory");
	return false;
}

/*
 * Writing
 */

static bool append_b64(buffer_t *out, const char *before,
		       const unsigned char data[32])
{
	unsigned char text[BASE64_SIZE(32)];

	base64_groups_encode(base64_letters, data, 32, text);
	return buffer_try_append(out, before, strlen(before)) &&
		buffer_try_append(out, text, B64_32_SIZE) &&
		buffer_try_append(out, "\n", 1);
}

/* One stanza; `secret` is for this one only. */
static bool write_x25519(buffer_t *out,
			 const unsigned char recipient[AGE_KEY_SIZE],
			 const unsigned char file_key[AGE_FILE_KEY_SIZE],
			 const unsigned char secret[AGE_KEY_SIZE],
			 struct transform *t)
{
	unsigned char share[32], shared[32], key[32];
	unsigned char body[AGE_WRAPPED_SIZE];
	bool ok;

	ok = crypto_scalarmult_curve25519_base(share, secret) == 0 &&
		crypto_scalarmult_curve25519(shared, secret, recipient) == 0;
	if (!ok) {
		(void)transform_error(t, EINVAL,
				      "a recipient is a point of low order: "
				      "nobody could keep a secret with it");
	} else {
		age_x25519_wrap_key(share, recipient, shared, key);
		age_wrap(key, file_key, body);
		ok = append_b64(out, "-> X25519 ", share) &&
			append_b64(out, "", body);
		if (!ok)
			(void)no_memory(t);
	}
	sodium_memzero(shared, sizeof(shared));
	sodium_memzero(key, sizeof(key));
	return ok;
}

bool age_header_write(buffer_t *out, const struct age_recipients *recipients,
		      const unsigned char file_key[AGE_FILE_KEY_SIZE],
		      const unsigned char *secrets, struct transform *t)
{
	size_t start = out->used;
	unsigned char mac[32];
	unsigned int i;

	if (!buffer_try_append(out, VERSION_LINE "\n",
			       strlen(VERSION_LINE "\n")))
		return no_memory(t);
	for (i = 0; i < recipients->count; i++) {
		if (!write_x25519(out, recipients->keys[i], file_key,
				  secrets + (size_t)i * AGE_KEY_SIZE, t))
			return false;
	}
	if (!buffer_try_append(out, "---", 3))
		return no_memory(t);
	age_header_mac(file_key, out->data + start, out->used - start, mac);
	return append_b64(out, " ", mac) || no_memory(t);
}

/*
 * Reading
 */

void age_header_init(struct age_header *header)
{
	memset(header, 0, sizeof(*header));
	header->raw =
		buffer_create_dynamic_max(default_pool, 0, AGE_HEADER_MAX);
	header->known = buffer_create_dynamic(default_pool, 0);
	header->state = AGE_HEADER_VERSION;
}

void age_header_free(struct age_header *header)
{
	buffer_free(&header->raw);
	buffer_free(&header->known);
}

static bool bad_header(struct transform *t, const char *why)
{
	(void)transform_error(t, EINVAL, "header: %s", why);
	return false;
}

/* Canonical base64 without padding; *have_r bytes, at most max. */
static bool decode_b64(const char *text, size_t size, unsigned char *out,
		       size_t max, size_t *have_r)
{
	return age_base64_decode(B64, text, size, out, max, have_r);
}

/* The same for exactly `want` bytes. */
static bool decode_b64_exact(const char *text, size_t size, unsigned char *out,
			     size_t want)
{
	size_t have;

	return decode_b64(text, size, out, want, &have) && have == want;
}

static struct age_stanza *last_stanza(struct age_header *header)
{
	size_t size;
	unsigned char *data = buffer_get_modifiable_data(header->known, &size);

	return (struct age_stanza *)(void *)(data + size -
					     sizeof(struct age_stanza));
}

/* [1-9][0-9]*, at most 255. */
static bool parse_log_n(const char *text, size_t size, unsigned int *log_n_r)
{
	unsigned int value = 0;
	size_t i;

	if (size == 0 || size > 3 || text[0] == '0')
		return false;
	for (i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned int)(text[i] - '0');
	}
	*log_n_r = value;
	return value <= 255;
}

struct stanza_arg {
	const char *text;
	size_t size;
};

static void parse_x25519(struct age_stanza *stanza,
			 const struct stanza_arg *args, unsigned int count)
{
	stanza->kind = STANZA_X25519;
	if (count != 2)
		stanza->mistake = "an X25519 stanza needs one argument";
	else if (!decode_b64_exact(args[1].text, args[1].size, stanza->share,
				   sizeof(stanza->share)))
		stanza->mistake = "the share of an X25519 stanza is not 32 "
				  "bytes of canonical base64";
}

static void parse_scrypt(struct age_stanza *stanza,
			 const struct stanza_arg *args, unsigned int count)
{
	stanza->kind = STANZA_SCRYPT;
	if (count != 3)
		stanza->mistake = "a scrypt stanza needs two arguments";
	else if (!decode_b64_exact(args[1].text, args[1].size, stanza->salt,
				   sizeof(stanza->salt)))
		stanza->mistake = "the salt of a scrypt stanza is not 16 bytes "
				  "of canonical base64";
	else if (!parse_log_n(args[2].text, args[2].size, &stanza->log_n))
		stanza->mistake = "the work factor of a scrypt stanza is not a "
				  "number";
}

/* No kind that is known here has more. */
#define ARGS_MAX 4

/* Splits "-> TYPE ARG ARG": each argument one or more visible characters, one
   space between them. *count_r counts also those that have no slot. */
static bool split_args(const char *line, size_t size,
		       struct stanza_arg args[ARGS_MAX], unsigned int *count_r)
{
	size_t start = 0, i;

	*count_r = 0;
	for (i = 0; i <= size; i++) {
		if (i < size && line[i] >= 0x21 && line[i] <= 0x7e)
			continue;
		if (i == start || (i < size && line[i] != ' '))
			return false;
		if (*count_r < ARGS_MAX) {
			args[*count_r].text = line + start;
			args[*count_r].size = i - start;
		}
		(*count_r)++;
		start = i + 1;
	}
	return true;
}

static bool is_arg(const struct stanza_arg *arg, const char *text)
{
	return arg->size == strlen(text) &&
		memcmp(arg->text, text, arg->size) == 0;
}

static bool take_stanza_line(struct age_header *header, struct transform *t,
			     const char *line, size_t size)
{
	struct stanza_arg args[ARGS_MAX];
	struct age_stanza stanza;
	unsigned int count;

	if (size < 3 || memcmp(line, "-> ", 3) != 0)
		return bad_header(t, "a line is neither a stanza nor the end");
	if (!split_args(line + 3, size - 3, args, &count))
		return bad_header(t, "a stanza's arguments are malformed");
	memset(&stanza, 0, sizeof(stanza));
	if (is_arg(&args[0], "X25519")) {
		parse_x25519(&stanza, args, count);
	} else if (is_arg(&args[0], "scrypt")) {
		parse_scrypt(&stanza, args, count);
		header->scrypt_count++;
	}
	header->stanza_count++;
	if (!buffer_try_append(header->known, &stanza, sizeof(stanza)))
		return no_memory(t);
	header->state = AGE_HEADER_BODY;
	return true;
}

/* The body is complete; kinds that are not known are forgotten again. */
static void end_stanza(struct age_header *header)
{
	struct age_stanza *stanza = last_stanza(header);

	if (stanza->kind == STANZA_OTHER)
		buffer_set_used_size(header->known,
				     header->known->used - sizeof(*stanza));
	else if (stanza->mistake == NULL &&
		 stanza->body_size != AGE_WRAPPED_SIZE)
		stanza->mistake = "the body of a stanza is not 32 bytes long";
	header->state = AGE_HEADER_STANZA;
}

static bool take_body_line(struct age_header *header, struct transform *t,
			   const char *line, size_t size)
{
	struct age_stanza *stanza = last_stanza(header);
	unsigned char data[BODY_COLUMNS];
	size_t have, room;

	if (size > BODY_COLUMNS)
		return bad_header(t, "a line of a stanza's body is too long");
	if (!decode_b64(line, size, data, sizeof(data), &have))
		return bad_header(t, "a stanza's body is not canonical base64");
	room = sizeof(stanza->body) -
		I_MIN(sizeof(stanza->body), stanza->body_size);
	if (room > 0)
		memcpy(stanza->body + stanza->body_size, data,
		       I_MIN(have, room));
	stanza->body_size += have;
	if (size < BODY_COLUMNS)
		end_stanza(header);
	return true;
}

static bool take_end_line(struct age_header *header, struct transform *t,
			  const char *line, size_t size)
{
	if (header->stanza_count == 0)
		return bad_header(t, "there is no stanza");
	if (size != 4 + B64_32_SIZE || line[3] != ' ' ||
	    !decode_b64_exact(line + 4, B64_32_SIZE, header->mac,
			      sizeof(header->mac)))
		return bad_header(t, "the end line is malformed");
	header->mac_size = header->line_start + 3;
	header->state = AGE_HEADER_END;
	return true;
}

/* A whole line, without its LF. */
static bool take_line(struct age_header *header, struct transform *t,
		      const char *line, size_t size)
{
	switch (header->state) {
	case AGE_HEADER_VERSION:
		if (size != strlen(VERSION_LINE) ||
		    memcmp(line, VERSION_LINE, size) != 0)
			return bad_header(t, "not an age v1 file");
		header->state = AGE_HEADER_STANZA;
		return true;
	case AGE_HEADER_STANZA:
		if (size >= 3 && memcmp(line, "---", 3) == 0)
			return take_end_line(header, t, line, size);
		return take_stanza_line(header, t, line, size);
	case AGE_HEADER_BODY:
		return take_body_line(header, t, line, size);
	case AGE_HEADER_END:
		break;
	}
	return false;
}

/* What is no age file is told by its first wrong byte. */
static bool version_may_follow(const struct age_header *header)
{
	size_t size = I_MIN(header->raw->used, strlen(VERSION_LINE));

	return header->state != AGE_HEADER_VERSION ||
		memcmp(header->raw->data, VERSION_LINE, size) == 0;
}

/* Up to an LF, or all there is. */
static bool take_bytes(struct age_header *header, struct transform *t,
		       const unsigned char *data, size_t size, bool line_ends)
{
	const char *line;

	if (size > AGE_HEADER_MAX - header->raw->used)
		return bad_header(t, "larger than 128 KiB");
	if (!buffer_try_append(header->raw, data, size))
		return no_memory(t);
	if (!version_may_follow(header))
		return bad_header(t, "not an age v1 file");
	if (!line_ends)
		return true;
	line = (const char *)header->raw->data + header->line_start;
	if (!take_line(header, t, line,
		       header->raw->used - 1 - header->line_start))
		return false;
	header->line_start = header->raw->used;
	return true;
}

size_t age_header_feed(struct age_header *header, struct transform *t,
		       const unsigned char *data, size_t size, bool *failed_r)
{
	const unsigned char *lf;
	size_t taken = 0, len;

	*failed_r = false;
	while (taken < size && header->state != AGE_HEADER_END) {
		lf = memchr(data + taken, '\n', size - taken);
		len = lf == NULL ? size - taken :
				   (size_t)(lf + 1 - (data + taken));
		if (!take_bytes(header, t, data + taken, len, lf != NULL)) {
			*failed_r = true;
			return taken;
		}
		taken += len;
	}
	return taken;
}

/*
 * Unwrapping
 */

/* 1: opened; 0: not for this key; -1: the stanza is wrong. */
static int open_x25519(const struct age_stanza *stanza,
		       const struct age_secret *identity, struct transform *t,
		       unsigned char file_key_r[AGE_FILE_KEY_SIZE])
{
	unsigned char shared[32], key[32];
	bool ok;

	/* -1 means a share of low order: the secret would be known to all */
	if (crypto_scalarmult_curve25519(shared, identity->secret,
					 stanza->share) != 0) {
		(void)bad_header(t, "an X25519 share of low order");
		return -1;
	}
	age_x25519_wrap_key(stanza->share, identity->recipient, shared, key);
	ok = age_unwrap(key, stanza->body, file_key_r);
	sodium_memzero(shared, sizeof(shared));
	sodium_memzero(key, sizeof(key));
	return ok ? 1 : 0;
}

static int open_scrypt(const struct age_stanza *stanza,
		       const struct age_identities *set, struct transform *t,
		       unsigned char file_key_r[AGE_FILE_KEY_SIZE])
{
	unsigned char salt[sizeof(SCRYPT_SALT_LABEL) - 1 + SCRYPT_SALT_SIZE];
	unsigned char key[32];
	bool ok;

	if (stanza->log_n > set->max_log_n) {
		(void)transform_error(t, EINVAL,
				      "header: a scrypt work factor of %u is "
				      "more than the %u that are allowed",
				      stanza->log_n, set->max_log_n);
		return -1;
	}
	memcpy(salt, SCRYPT_SALT_LABEL, sizeof(SCRYPT_SALT_LABEL) - 1);
	memcpy(salt + sizeof(SCRYPT_SALT_LABEL) - 1, stanza->salt,
	       SCRYPT_SALT_SIZE);
	if (crypto_pwhash_scryptsalsa208sha256_ll(
		    (const unsigned char *)set->passphrase,
		    strlen(set->passphrase), salt, sizeof(salt),
		    1ULL << stanza->log_n, 8, 1, key, sizeof(key)) != 0) {
		(void)transform_error(t, ENOMEM, "out of memory for scrypt");
		return -1;
	}
	ok = age_unwrap(key, stanza->body, file_key_r);
	sodium_memzero(key, sizeof(key));
	return ok ? 1 : 0;
}

static int open_stanza(const struct age_stanza *stanza,
		       const struct age_identities *set, struct transform *t,
		       unsigned char file_key_r[AGE_FILE_KEY_SIZE])
{
	unsigned int i;
	int ret = 0;

	if ((stanza->kind == STANZA_X25519 && set->count == 0) ||
	    (stanza->kind == STANZA_SCRYPT && set->passphrase == NULL))
		return 0;
	if (stanza->mistake != NULL) {
		(void)bad_header(t, stanza->mistake);
		return -1;
	}
	if (stanza->kind == STANZA_SCRYPT)
		return open_scrypt(stanza, set, t, file_key_r);
	for (i = 0; i < set->count && ret == 0; i++)
		ret = open_x25519(stanza, &set->secrets[i], t, file_key_r);
	return ret;
}

/* Every stanza is looked at, also behind the one that opens: a mistake in any
   is the header's. */
static int open_stanzas(const struct age_header *header,
			const struct age_identities *set, struct transform *t,
			unsigned char file_key_r[AGE_FILE_KEY_SIZE])
{
	const struct age_stanza *stanzas = (const void *)header->known->data;
	size_t count = header->known->used / sizeof(*stanzas), i;
	unsigned char key[AGE_FILE_KEY_SIZE];
	int ret, found = 0;

	for (i = 0; i < count; i++) {
		ret = open_stanza(&stanzas[i], set, t,
				  found ? key : file_key_r);
		if (ret < 0)
			return -1;
		if (ret > 0)
			found = 1;
	}
	sodium_memzero(key, sizeof(key));
	return found;
}

int age_header_unwrap(const struct age_header *header,
		      const struct age_identities *identities,
		      struct transform *t,
		      unsigned char file_key_r[AGE_FILE_KEY_SIZE])
{
	unsigned char mac[32];
	int ret;

	if (header->scrypt_count > 0 && header->stanza_count > 1) {
		(void)bad_header(t, "a scrypt stanza must stand alone");
		return -1;
	}
	ret = open_stanzas(header, identities, t, file_key_r);
	if (ret < 0)
		return -1;
	if (ret == 0) {
		(void)transform_error(t, ENOKEY,
				      "no identity matches any of the "
				      "recipients: it takes another key");
		return -1;
	}
	age_header_mac(file_key_r, header->raw->data, header->mac_size, mac);
	if (sodium_memcmp(mac, header->mac, sizeof(mac)) != 0) {
		sodium_memzero(file_key_r, AGE_FILE_KEY_SIZE);
		(void)transform_error(t, EINVAL,
				      "header MAC: the header was changed");
		return -1;
	}
	return 0;
}
