/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a scan does to a file store, against what its files said before. */

#include "config.h"
#include "fuzz-store.h"

static const char *name_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

static bool is_in(const char *path, const char *dir)
{
	return strncmp(path, dir, strlen(dir)) == 0;
}

/* Put aside: not there, but in quarantine under its name, or that and a number. */
static void must_be_aside(const struct store_tree *before,
			  const struct store_tree *after,
			  const struct store_file *file)
{
	size_t size = strlen(name_of(file->path));
	unsigned int i;

	if (store_tree_find(after, file->path) != NULL)
		fail_msg("%s: not put aside", file->path);
	for (i = 0; i < after->count; i++) {
		const struct store_file *aside = &after->files[i];

		if (is_in(aside->path, "quarantine/") &&
		    strncmp(name_of(aside->path), name_of(file->path), size) ==
			    0 &&
		    aside->type == file->type &&
		    (!S_ISREG(file->type) ||
		     store_file_has(aside, file->data)) &&
		    store_tree_find(before, aside->path) == NULL)
			return;
	}
	fail_msg("%s: not in quarantine", file->path);
}

static bool is_reason(const struct store_file *file)
{
	size_t size = strlen(file->path);

	return is_in(file->path, "quarantine/") && size > 4 &&
		strcmp(file->path + size - 4, ".why") == 0;
}

/* Whether there is the header file that a reason is for. */
static bool has_its_file(const struct store_tree *tree,
			 const struct store_file *reason)
{
	char path[STORE_PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%.*s",
		       (int)strlen(reason->path) - 4, reason->path);
	return store_tree_find(tree, path) != NULL;
}

/* Of what was put aside of it. */
static void must_be_reasoned(const struct store_tree *before,
			     const struct store_tree *after,
			     const struct store_message *m)
{
	unsigned int i;

	for (i = 0; i < after->count; i++) {
		const struct store_file *file = &after->files[i];

		if (is_reason(file) && is_in(name_of(file->path), m->text) &&
		    file->data->used > 0 && has_its_file(after, file) &&
		    !has_its_file(before, file))
			return;
	}
	fail_msg("message %s: put aside without a reason", m->text);
}

/* The message that has a name like this in its own directory, or NULL. */
static const struct store_message *owner_of(const struct store_file *file)
{
	unsigned int i;

	for (i = 0; i < STORE_MESSAGES; i++) {
		if (store_is_of(file, &store_messages[i]))
			return &store_messages[i];
	}
	return NULL;
}

static bool is_body(const char *path)
{
	size_t size = strlen(path);

	return size > 2 && strcmp(path + size - 2, ".b") == 0;
}

/* What the scan is to think of it. */
static bool is_handed_out(const struct store_scan *scan, unsigned int n)
{
	const struct store_seen *seen = &scan->seen[n];

	return seen->version != NULL && seen->body_there &&
		(!scan->repairs || seen->headers);
}

static bool is_put_aside(const struct store_scan *scan, unsigned int n)
{
	const struct store_seen *seen = &scan->seen[n];

	return seen->there && !seen->newer && !is_handed_out(scan, n);
}

/* Where files were moved to where nobody looks for them. */
static bool may_be_misplaced(const struct store_tree *tree)
{
	static const char elsewhere[] = "messages/zz/";
	unsigned int i;

	for (i = 0; i < tree->count; i++) {
		if (strncmp(tree->files[i].path, elsewhere,
			    sizeof(elsewhere) - 1) == 0)
			return true;
	}
	return false;
}

static void check_file(const struct store_scan *scan,
		       const struct store_tree *before,
		       const struct store_tree *after,
		       const struct store_file *file)
{
	const struct store_message *m = owner_of(file);
	const struct store_seen *seen;
	bool swept;

	/* a reason alone is what is left of what somebody put back */
	if (m == NULL && is_reason(file) && !has_its_file(before, file))
		return;
	if (m == NULL) {
		store_must_stay(after, file);
		return;
	}
	if (m->forged)
		return;
	seen = &scan->seen[m - store_messages];
	/* its headers may be there */
	if (is_body(file->path) && !seen->there && may_be_misplaced(before))
		return;
	/* a whole one took its place, or it is nobody's */
	swept = is_body(file->path) &&
		(!seen->there ||
		 (seen->body && strcmp(file->path, seen->body_path) != 0));
	if (!swept && is_put_aside(scan, (unsigned int)(m - store_messages)))
		must_be_aside(before, after, file);
	else if (!swept)
		store_must_stay(after, file);
	else if (!S_ISDIR(file->type) &&
		 store_tree_find(after, file->path) != NULL)
		fail_msg("%s: still there, and nobody's", file->path);
}

unsigned int store_check_scan(const struct store_scan *scan,
			      const struct store_tree *before,
			      const struct store_tree *after)
{
	unsigned int i, aside = 0;

	for (i = 0; i < before->count; i++)
		check_file(scan, before, after, &before->files[i]);
	for (i = 0; i < STORE_MESSAGES; i++) {
		if (store_messages[i].forged || !is_put_aside(scan, i))
			continue;
		must_be_reasoned(before, after, &store_messages[i]);
		aside++;
	}
	return aside;
}

void store_note_found(const message_id *id, void *context)
{
	struct store_scan *scan = context;
	const struct store_message *m = store_find(id);

	if (m == NULL)
		scan->others++;
	else
		scan->found[m - store_messages]++;
}

void store_check_found(const struct store_scan *scan, unsigned int others)
{
	unsigned int i;

	assert_int_equal(scan->others, others);
	for (i = 0; i < STORE_MESSAGES; i++) {
		if (store_messages[i].forged)
			assert_true(scan->found[i] <= 1);
		else if (scan->found[i] != (is_handed_out(scan, i) ? 1 : 0))
			fail_msg("message %s: handed out %u times",
				 store_messages[i].text, scan->found[i]);
	}
}
