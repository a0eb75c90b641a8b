/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "fuzz-store.h"

#include "io-infrastructure.h"
#include "stream-kinds.h"
#include "test-stream-common.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#define FILES_MAX 256u
#define NUMBER_1 "01m8mkhee4000fby4d6k4cz78w" /* tests/data/spool-h1 */

struct store_message store_messages[STORE_MESSAGES];
char store_dir[512];

static struct store_tree first; /* the spool as it was made */

/*
 * Trees
 */

static struct store_tree *reading;

static int read_entry(const char *path, const struct stat *st,
		      int type ATTR_UNUSED, struct FTW *ftw ATTR_UNUSED)
{
	const char *name = path + strlen(store_dir);
	struct store_file *file;

	if (strncmp(name, "/messages/", 10) != 0 &&
	    strncmp(name, "/quarantine/", 12) != 0)
		return 0;
	assert_true(reading->count < FILES_MAX);
	file = &reading->files[reading->count++];
	assert_true(strlen(name + 1) < sizeof(file->path));
	(void)snprintf(file->path, sizeof(file->path), "%s", name + 1);
	file->type = st->st_mode & S_IFMT;
	file->data = S_ISREG(st->st_mode) ?
		test_read_file(path) :
		buffer_create_dynamic(default_pool, 1);
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct store_file *)a)->path,
		      ((const struct store_file *)b)->path);
}

void store_tree_read(struct store_tree *tree)
{
	tree->files = calloc(FILES_MAX, sizeof(*tree->files));
	assert_non_null(tree->files);
	tree->count = 0;
	reading = tree;
	assert_int_equal(nftw(store_dir, read_entry, 16, FTW_PHYS), 0);
	qsort(tree->files, tree->count, sizeof(*tree->files), by_path);
}

void store_tree_free(struct store_tree *tree)
{
	while (tree->count > 0)
		buffer_free(&tree->files[--tree->count].data);
	free(tree->files);
	tree->files = NULL;
}

const struct store_file *store_tree_find(const struct store_tree *tree,
					 const char *path)
{
	unsigned int i;

	for (i = 0; i < tree->count; i++) {
		if (strcmp(tree->files[i].path, path) == 0)
			return &tree->files[i];
	}
	return NULL;
}

static bool has_bytes(const buffer_t *a, const buffer_t *b)
{
	return a->used == b->used &&
		(a->used == 0 || memcmp(a->data, b->data, a->used) == 0);
}

bool store_file_has(const struct store_file *file, const buffer_t *data)
{
	return file != NULL && S_ISREG(file->type) &&
		has_bytes(file->data, data);
}

void store_must_stay(const struct store_tree *after,
		     const struct store_file *file)
{
	const struct store_file *now = store_tree_find(after, file->path);

	if (now == NULL || now->type != file->type ||
	    (S_ISREG(file->type) && !store_file_has(now, file->data)))
		fail_msg("%s: gone, or changed", file->path);
}

void store_same_tree(const struct store_tree *a, const struct store_tree *b)
{
	unsigned int i;

	for (i = 0; i < a->count; i++)
		store_must_stay(b, &a->files[i]);
	assert_int_equal(a->count, b->count);
}

/*
 * Messages
 */

void store_path(const struct store_message *m, const char *suffix,
		char path_r[STORE_PATH_SIZE])
{
	(void)snprintf(path_r, STORE_PATH_SIZE, "messages/%s/%s%s",
		       m->text + MESSAGE_ID_TEXT_SIZE - 3, m->text, suffix);
}

/* The fifth word of the line. */
void store_body_suffix(const struct store_version *version, char suffix_r[32])
{
	const char *p = (const char *)version->headers->data;
	unsigned int i;

	for (i = 0; i < 4; i++)
		p = strchr(p, ' ') + 1;
	(void)snprintf(suffix_r, 32, ".%.16s.b", p);
}

struct store_message *store_find(const message_id *id)
{
	unsigned int n;

	for (n = 0; n < STORE_MESSAGES; n++) {
		if (message_id_cmp(&store_messages[n].id, id) == 0)
			return &store_messages[n];
	}
	return NULL;
}

static buffer_t *copy_of(const buffer_t *buf)
{
	buffer_t *copy = buffer_create_dynamic(default_pool, buf->used + 1);

	buffer_append(copy, buf->data, buf->used);
	return copy;
}

/* Its bytes, or those of the spool. NULL: no such file. */
static buffer_t *read_stored(const char *name)
{
	char path[700];

	(void)snprintf(path, sizeof(path), "%s/%s", store_dir, name);
	return access(path, F_OK) == 0 ? test_read_file(path) : NULL;
}

void store_add_version(struct store_message *m, const buffer_t *wire,
		       uint64_t number)
{
	struct store_version *v = &m->versions[m->count];
	char path[STORE_PATH_SIZE], suffix[32];

	assert_true(m->count < STORE_VERSIONS);
	store_path(m, ".h", path);
	v->headers = read_stored(path);
	assert_non_null(v->headers);
	v->number = number;
	if (wire == NULL) {
		v->body = copy_of(v[-1].body);
		v->wire = copy_of(v[-1].wire);
	} else {
		store_body_suffix(v, suffix);
		store_path(m, suffix, path);
		v->body = read_stored(path);
		if (v->body == NULL) {
			store_path(m, ".b", path);
			v->body = read_stored(path);
		}
		assert_non_null(v->body);
		v->wire = copy_of(wire);
	}
	m->count++;
}

static void drop_version(struct store_message *m)
{
	struct store_version *v = &m->versions[--m->count];

	buffer_free(&v->headers);
	buffer_free(&v->body);
	buffer_free(&v->wire);
}

/*
 * The spool as it was made
 */

static void set_stack(const char *stack)
{
	char path[600], conf[300];

	(void)snprintf(path, sizeof(path), "%s/spool.conf", store_dir);
	(void)snprintf(conf, sizeof(conf),
		       "version = 1\nstore = file\nbody = %s\nheaders = %s\n",
		       stack, stack);
	test_write_file(path, conf, strlen(conf));
}

static buffer_t *make_body(unsigned int n, unsigned int version)
{
	buffer_t *wire = buffer_create_dynamic(default_pool, 1024);
	size_t size = n == 1 ? 9000 : 40 * n;
	char head[64];

	(void)snprintf(head, sizeof(head), "Subject: %u %u\r\n\r\n", n,
		       version);
	buffer_append(wire, head, strlen(head));
	while (wire->used < size)
		buffer_append(wire, head, strlen(head) - 2);
	buffer_append(wire, ".\r\n", 3);
	return wire;
}

static struct spool *open_to_make(void)
{
	struct stream_context keys = { .identities = test_keys.identities };
	char *error;
	struct spool *spool = spool_open(store_dir, 0, &keys, &error);

	if (spool == NULL)
		fail_msg("%s", error);
	return spool;
}

static void make_id(struct store_message *m, unsigned int n)
{
	memset(&m->id, 0, sizeof(m->id));
	m->id.bytes[1] = 0x8b;
	m->id.bytes[6] = (unsigned char)n;
	/* two directories */
	m->id.bytes[15] = n % 2 == 0 ? 37 : 74;
	message_id_to_text(&m->id, m->text);
}

static void put_message(struct spool *spool, struct store_message *m,
			unsigned int n)
{
	email_message *message = email_message_new(&m->id);
	buffer_t *wire = make_body(n, 0);

	(void)email_message_set_sender(message, "a@example.org");
	(void)email_message_add_recipient(message, "b@example.org");
	email_message_set_arrival(message, UINT64_C(1700000000000));
	test_spool_set_body(message, wire->data, wire->used);
	assert_int_equal(spool_put(spool, message), IO_DONE);
	email_message_unref(&message);
	store_add_version(m, wire, 1);
	buffer_free(&wire);
}

static void change_body(struct spool *spool, struct store_message *m,
			unsigned int n)
{
	buffer_t *wire = make_body(n, 1);

	test_spool_change_body(spool, &m->id, wire->data, wire->used);
	store_add_version(m, wire, 2);
	buffer_free(&wire);
}

static void change_headers(struct spool *spool, struct store_message *m)
{
	email_message *message;

	assert_int_equal(spool_get(spool, &m->id, &message), IO_DONE);
	(void)email_message_set_value(message, "a", "b", "c");
	assert_int_equal(test_spool_write_headers(spool, message), IO_DONE);
	email_message_unref(&message);
	store_add_version(m, NULL, 2);
}

/* One of before, whose line is of number 1. */
static void put_number_1(struct store_message *m)
{
	static const char *const names[] = { "headers", "body" };
	char from[100], to[700], path[STORE_PATH_SIZE];
	buffer_t *file;
	unsigned int i;

	assert_true(message_id_from_text(NUMBER_1, &m->id));
	message_id_to_text(&m->id, m->text);
	store_path(m, "", path);
	(void)snprintf(to, sizeof(to), "%s/%s", store_dir, path);
	*strrchr(to, '/') = '\0';
	assert_true(mkdir(to, 0700) == 0 || errno == EEXIST);
	for (i = 0; i < 2; i++) {
		(void)snprintf(from, sizeof(from), "spool-h1/%s.%s", NUMBER_1,
			       names[i]);
		file = test_read_file(test_data_path(from));
		store_path(m, i == 0 ? ".h" : ".b", path);
		(void)snprintf(to, sizeof(to), "%s/%s", store_dir, path);
		test_write_file(to, file->data, file->used);
		if (i == 1)
			store_add_version(m, file, 1);
		buffer_free(&file);
	}
}

static void make_messages(void)
{
	static const struct {
		const char *stack; /* NULL: of number 1 */
		bool secret, absent, headers, body;
	} rows[STORE_MESSAGES] = {
		{ "", .secret = false },
		{ "", .headers = true },
		{ TEST_SPOOL_ZSTD, .secret = false },
		{ TEST_SPOOL_ZSTD, .body = true },
		{ "gzip", .headers = true },
		{ "lz4", .secret = false },
		{ TEST_SPOOL_ZSTD "|age", .secret = true },
		{ NULL, .secret = false },
		{ "", .absent = true, .body = true },
		{ "age", .secret = true, .body = true },
	};
	struct spool *spool;
	unsigned int n;

	for (n = 0; n < STORE_MESSAGES; n++) {
		struct store_message *m = &store_messages[n];

		m->secret = rows[n].secret;
		m->absent = rows[n].absent;
		if (rows[n].stack == NULL) {
			put_number_1(m);
			m->made = m->count;
			continue;
		}
		set_stack(rows[n].stack);
		make_id(m, n);
		spool = open_to_make();
		put_message(spool, m, n);
		if (rows[n].body)
			change_body(spool, m, n);
		if (rows[n].headers)
			change_headers(spool, m);
		if (rows[n].absent)
			assert_int_equal(spool_remove(spool, &m->id), IO_DONE);
		spool_close(&spool);
		m->made = m->count;
	}
}

void store_setup(void)
{
	struct spool_settings settings = { .store = "file" };
	char stack[200], path[600], *error;

	(void)snprintf(store_dir, sizeof(store_dir), "%s", test_path("fuzzed"));
	(void)snprintf(stack, sizeof(stack), "age:recipient=%s",
		       test_keys.recipient);
	settings.body = stack;
	if (spool_init(store_dir, &settings, &error) < 0)
		fail_msg("%s", error);
	make_messages();
	set_stack(TEST_SPOOL_ZSTD);
	/* one that is there for who puts files where they do not belong */
	(void)snprintf(path, sizeof(path), "%s/messages/zz", store_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	store_tree_read(&first);
}

void store_restore(void)
{
	static const char *const dirs[] = { "messages", "quarantine" };
	char path[700];
	unsigned int i;

	for (i = 0; i < STORE_MESSAGES; i++) {
		struct store_message *m = &store_messages[i];

		while (m->count > m->made)
			drop_version(m);
		m->forged = false;
		if (m->newer != NULL)
			buffer_free(&m->newer);
	}
	for (i = 0; i < N_ELEMENTS(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", store_dir, dirs[i]);
		test_remove_tree(path);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	for (i = 0; i < first.count; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", store_dir,
			       first.files[i].path);
		if (S_ISDIR(first.files[i].type))
			assert_int_equal(mkdir(path, 0700), 0);
		else
			test_write_file(path, first.files[i].data->data,
					first.files[i].data->used);
	}
}

/*
 * What its files say
 */

/* With its LF. */
static size_t line_size(const buffer_t *file)
{
	const char *lf = file->used > 0 ? memchr(file->data, '\n', file->used) :
					  NULL;

	return lf == NULL ? 0 : (size_t)(lf + 1 - (const char *)file->data);
}

static bool has_line(const buffer_t *file, const buffer_t *of)
{
	size_t size = line_size(of);

	return size > 0 && line_size(file) == size &&
		memcmp(file->data, of->data, size) == 0;
}

static void look_at_body(const struct store_tree *tree,
			 const struct store_message *m, struct store_seen *seen)
{
	const struct store_file *file;
	char suffix[32];

	store_body_suffix(seen->version, suffix);
	store_path(m, suffix, seen->body_path);
	file = store_tree_find(tree, seen->body_path);
	if (file == NULL) {
		store_path(m, ".b", seen->body_path);
		file = store_tree_find(tree, seen->body_path);
	}
	seen->body_there = file != NULL && S_ISREG(file->type);
	seen->body = store_file_has(file, seen->version->body);
}

bool store_is_of(const struct store_file *file, const struct store_message *m)
{
	char start[STORE_PATH_SIZE];

	store_path(m, "", start);
	return strncmp(file->path, start, strlen(start)) == 0;
}

void store_look(const struct store_tree *tree, const struct store_message *m,
		struct store_seen *seen_r)
{
	const struct store_file *file;
	char path[STORE_PATH_SIZE];
	unsigned int i;

	memset(seen_r, 0, sizeof(*seen_r));
	for (i = 0; i < tree->count; i++)
		seen_r->odd |= !S_ISREG(tree->files[i].type) &&
			store_is_of(&tree->files[i], m);
	store_path(m, ".h", path);
	file = store_tree_find(tree, path);
	seen_r->there = file != NULL;
	if (file == NULL || !S_ISREG(file->type))
		return;
	/* also where it came from another message */
	for (i = 0; i < STORE_MESSAGES; i++)
		seen_r->newer |= store_messages[i].newer != NULL &&
			has_line(file->data, store_messages[i].newer);
	for (i = 0; i < m->count; i++) {
		if (has_line(file->data, m->versions[i].headers))
			seen_r->version = &m->versions[i];
	}
	if (seen_r->version == NULL)
		return;
	seen_r->headers = store_file_has(file, seen_r->version->headers);
	look_at_body(tree, m, seen_r);
}

bool store_is_whole(const struct store_seen *seen)
{
	return seen->version != NULL && seen->headers && seen->body;
}
