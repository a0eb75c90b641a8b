/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Going through all of the file store, whatever lies in its directories. */

#include "config.h"
#include "module-file-private.h"
#include "buffer.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* "ID.h", "ID.b" or "ID.HASH.b"; false for any other name. */
static bool parse_name(const char *name, message_id *id_r,
		       enum file_kind *kind_r)
{
	const size_t hash_size = 1 + FILE_NAME_HASH_SIZE * 2;
	const size_t id_size = MESSAGE_ID_TEXT_SIZE - 1;
	char text[MESSAGE_ID_TEXT_SIZE];
	const char *suffix = name + id_size;

	if (strlen(name) < id_size)
		return false;
	memcpy(text, name, id_size);
	text[id_size] = '\0';
	if (!message_id_from_text(text, id_r))
		return false;
	if (strcmp(suffix, FILE_HEADERS_SUFFIX) == 0) {
		*kind_r = FILE_KIND_HEADERS;
		return true;
	}
	*kind_r = FILE_KIND_BODY;
	if (*suffix == '.' &&
	    strspn(suffix + 1, "0123456789abcdef") == hash_size - 1)
		suffix += hash_size;
	return strcmp(suffix, FILE_BODY_SUFFIX) == 0;
}

struct store_walk {
	struct file_store *store;
	file_visit_t *visit;
	void *context;
	bool stopped;
	int error;                     /* the first errno */
	char failed[FILE_BUCKET_SIZE]; /* of which bucket; "": of messages/ */
	const char *bucket;            /* the one that is read */
	uint64_t misplaced;            /* names in another one than theirs */
	buffer_t *names; /* of the messages' files in a bucket, NULs between */
};

/* errno */
static void note_error(struct store_walk *walk)
{
	if (walk->error != 0)
		return;
	walk->error = errno;
	if (walk->bucket != NULL)
		memcpy(walk->failed, walk->bucket, sizeof(walk->failed));
}

/* In another directory nobody would look for it. */
static bool is_in_its_bucket(const struct store_walk *walk,
			     const message_id *id)
{
	char bucket[FILE_BUCKET_SIZE];

	file_bucket_name(id, bucket);
	return strcmp(bucket, walk->bucket) == 0;
}

static bool take_name(int bucket_fd ATTR_UNUSED, const char *name,
		      void *context)
{
	struct store_walk *walk = context;
	enum file_kind kind;
	message_id id;

	if (!parse_name(name, &id, &kind))
		return true;
	if (!is_in_its_bucket(walk, &id)) {
		walk->misplaced++;
		return true;
	}
	if (buffer_try_append(walk->names, name, strlen(name) + 1))
		return true;
	errno = ENOMEM;
	note_error(walk);
	return false;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in order; i_free() them. NULL: no memory. */
static const char **sort_names(const buffer_t *names, size_t *count_r)
{
	const char *name = (const char *)names->data;
	const char *end = name + names->used, **sorted;
	size_t count = 0;

	/* no name is shorter than this */
	sorted =
		try_calloc(names->used / MESSAGE_ID_TEXT_SIZE, sizeof(*sorted));
	for (; sorted != NULL && name < end; name += strlen(name) + 1)
		sorted[count++] = name;
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), compare_names);
	*count_r = count;
	return sorted;
}

static void visit_names(struct store_walk *walk, int bucket_fd)
{
	const char **names;
	enum file_kind kind;
	size_t count, i;
	message_id id;

	names = sort_names(walk->names, &count);
	if (names == NULL) {
		errno = ENOMEM;
		note_error(walk);
		return;
	}
	for (i = 0; i < count && !walk->stopped; i++) {
		if ((i > 0 && strcmp(names[i], names[i - 1]) == 0) ||
		    !parse_name(names[i], &id, &kind))
			continue;
		walk->stopped = !walk->visit(walk->store, bucket_fd, names[i],
					     &id, kind, walk->context);
	}
	i_free(names);
}

/* All names are read before the first one is visited: what is renamed meanwhile may
   get another place in its directory, and be read for a second time. */
static void read_bucket(struct store_walk *walk, int messages_fd)
{
	int fd;

	buffer_set_used_size(walk->names, 0);
	if (spool_walk_dir(messages_fd, walk->bucket, take_name, walk) < 0)
		note_error(walk);
	if (walk->names->used == 0)
		return;
	fd = file_open(messages_fd, walk->bucket,
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd >= 0)
		visit_names(walk, fd);
	else
		note_error(walk);
	(void)file_close(&fd);
}

static bool visit_bucket(int messages_fd, const char *name, void *context)
{
	struct store_walk *walk = context;

	if (strlen(name) != FILE_BUCKET_SIZE - 1)
		return true; /* tmp */
	walk->bucket = name;
	read_bucket(walk, messages_fd);
	walk->bucket = NULL;
	return !walk->stopped;
}

int file_walk_and_count(struct file_store *store, file_visit_t *visit,
			void *context, uint64_t *misplaced_r)
{
	struct store_walk walk = { .store = store,
				   .visit = visit,
				   .context = context };

	walk.names = buffer_create_dynamic(default_pool, 1024);
	if (spool_walk_dir(store->messages_fd, ".", visit_bucket, &walk) < 0)
		note_error(&walk);
	buffer_free(&walk.names);
	*misplaced_r = walk.misplaced;
	if (walk.error == 0)
		return 0;
	errno = walk.error;
	io_set_error("reading %s/messages%s%s failed: %s", store->spool->dir,
		     *walk.failed == '\0' ? "" : "/", walk.failed,
		     strerror(walk.error));
	errno = walk.error;
	return -1;
}

int file_walk(struct file_store *store, file_visit_t *visit, void *context)
{
	uint64_t misplaced;

	return file_walk_and_count(store, visit, context, &misplaced);
}
