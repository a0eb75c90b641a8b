/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What becomes of the files of a file store. */

#include "config.h"
#include "fuzz-common.h"
#include "fuzz-store.h"

#include <stdlib.h>
#include <unistd.h>

static void full_path(const char *path, char full_r[700])
{
	(void)snprintf(full_r, 700, "%s/%s", store_dir, path);
}

/* Of a message's files, and names that are like theirs. */
static void choose_path(struct fuzz_input *in, char full_r[700])
{
	static const char *const suffixes[] = {
		".h",     ".b", ".b.1",     ".h.1",
		".h.why", "",   ".h.1.why", ".0123456789abcdef.b",
	};
	unsigned int which = fuzz_byte(in), kind = fuzz_byte(in);
	const struct store_message *m = &store_messages[which % STORE_MESSAGES];
	char path[STORE_PATH_SIZE], suffix[32];

	store_body_suffix(&m->versions[kind / 16 % m->made], suffix);
	if (kind % 16 < N_ELEMENTS(suffixes))
		(void)snprintf(suffix, sizeof(suffix), "%s",
			       suffixes[kind % 16]);
	else if (kind % 16 >= 12)
		(void)snprintf(suffix, sizeof(suffix), "%s",
			       kind % 2 == 0 ? ".h" : ".b");
	store_path(m, suffix, path);
	/* elsewhere */
	if (which / STORE_MESSAGES % 8 == 7)
		(void)snprintf(path, sizeof(path), "messages/zz/%s%s", m->text,
			       suffix);
	if (which / STORE_MESSAGES % 8 == 6)
		(void)snprintf(path, sizeof(path), "%s/%s%s",
			       kind >= 128 ? "messages/tmp" : "quarantine",
			       m->text, suffix);
	full_path(path, full_r);
}

/* NULL: there is none, or it is no file. */
static buffer_t *read_regular(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) ?
		test_read_file(path) :
		NULL;
}

/* Where something else has the name, it stays. */
static void write_regular(const char *path, const void *data, size_t size)
{
	struct stat st;

	if (lstat(path, &st) < 0 || S_ISREG(st.st_mode))
		test_write_file(path, data, size);
}

static void change_file(const char *path, unsigned int how,
			struct fuzz_input *in)
{
	buffer_t *file = read_regular(path);
	size_t offset = fuzz_byte(in) << 8, size;
	const unsigned char *data;

	offset |= fuzz_byte(in);
	if (file == NULL)
		return;
	if (file->used > 0 && how < 2) {
		offset %= file->used;
		((unsigned char *)buffer_get_modifiable_data(
			file, NULL))[offset] ^= (unsigned char)fuzz_byte(in);
	} else if (file->used > 0 && how == 2) {
		buffer_set_used_size(file, offset % file->used);
	} else {
		size = offset % 64;
		data = fuzz_take(in, &size);
		buffer_append(file, data, size);
	}
	test_write_file(path, file->data, file->used);
	buffer_free(&file);
}

/* Another message's, or of before. */
static void copy_file(const char *path, struct fuzz_input *in)
{
	unsigned int which = fuzz_byte(in), n = fuzz_byte(in);
	const struct store_message *m = &store_messages[which % STORE_MESSAGES];
	const struct store_version *v = &m->versions[n / 2 % m->made];
	const buffer_t *file = n % 2 == 0 ? v->headers : v->body;

	write_regular(path, file->data, file->used);
}

static void make_other_kind(const char *path, unsigned int kind)
{
	char target[STORE_PATH_SIZE], full[700];

	(void)unlink(path);
	switch (kind % 4) {
	case 0:
		(void)mkdir(path, 0700);
		break;
	case 1:
		(void)mkfifo(path, 0600);
		break;
	case 2:
		(void)symlink("/nonexistent/x", path);
		break;
	default:
		/* to a message's file */
		store_path(&store_messages[0], ".h", target);
		full_path(target, full);
		(void)symlink(full, path);
		break;
	}
}

/* A word of the line of a message's headers, with the right checksum: nothing is claimed of
   what that is then, but where the number tells that it is newer. */
#define NO_HASH                            \
	"00000000000000000000000000000000" \
	"00000000000000000000000000000000"
static void forge_line(struct fuzz_input *in)
{
	static const char *const texts[] = {
		"bobbin-h3",
		"bobbin-h1",
		"0",
		"18446744073709551615",
		"plain",
		"gzip",
		"",
		"zstd|age",
		"nosuch",
		"xz|xz|xz",
		"1",
		"dot|hex|base64|qp|lz4",
		"gzip|base64|crlf",
		"lz4",
		NO_HASH,
	};
	unsigned int which = fuzz_byte(in), word = fuzz_byte(in) % 8;
	struct store_message *m = &store_messages[which % STORE_MESSAGES];
	const char *text = texts[fuzz_byte(in) % N_ELEMENTS(texts)];
	char path[STORE_PATH_SIZE], full[700];
	struct store_seen seen;
	struct store_tree tree;

	store_tree_read(&tree);
	store_look(&tree, m, &seen);
	store_tree_free(&tree);
	if (seen.version == NULL || word == 1)
		return;
	store_path(m, ".h", path);
	full_path(path, full);
	if (word == 0 && strcmp(text, "bobbin-h3") == 0) {
		test_spool_replace_word(full, word, text, "\n");
		if (m->newer != NULL)
			buffer_free(&m->newer);
		m->newer = test_read_file(full);
		return;
	}
	test_spool_replace_word(full, word, text, "\n");
	m->forged = true;
}

void store_damage(struct fuzz_input *in)
{
	unsigned int what = fuzz_byte(in) % 12;
	char path[700], other[700];
	const unsigned char *data;
	size_t size;

	if (what == 11) {
		forge_line(in);
		return;
	}
	choose_path(in, path);
	fuzz_trace("damage %u: %s", what, path);
	switch (what) {
	case 4:
		(void)remove(path);
		break;
	case 5:
	case 6:
		choose_path(in, other);
		fuzz_trace("   %s", other);
		if (what == 5)
			(void)rename(path, other);
		else
			(void)link(path, other);
		break;
	case 7:
	case 8:
		copy_file(path, in);
		break;
	case 9:
		make_other_kind(path, fuzz_byte(in));
		break;
	case 10:
		size = fuzz_byte(in);
		data = fuzz_take(in, &size);
		write_regular(path, data, size);
		break;
	default:
		change_file(path, what, in);
		break;
	}
}
