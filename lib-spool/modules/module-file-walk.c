/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Going through all of the file store, whatever lies in its directories. */

#include "config.h"
#include "module-file-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int file_walk_dir(int parent_fd, const char *name, file_dir_entry_t *callback,
		  void *context)
{
	struct dirent *entry;
	bool more = true;
	int fd, old_errno;
	DIR *dir;

	fd = file_open(parent_fd, name,
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	dir = file_ops()->fdopendir(fd);
	if (dir == NULL) {
		old_errno = errno;
		(void)file_close(&fd);
		errno = old_errno;
		return -1;
	}
	do {
		errno = 0;
		entry = file_ops()->readdir(dir);
		if (entry == NULL)
			break;
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			more = callback(fd, entry->d_name, context);
	} while (more);
	old_errno = entry == NULL ? errno : 0;
	(void)file_ops()->closedir(dir);
	errno = old_errno;
	return old_errno == 0 ? 0 : -1;
}

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
	int error; /* the first errno */
};

static bool visit_file(int bucket_fd, const char *name, void *context)
{
	struct store_walk *walk = context;
	enum file_kind kind;
	message_id id;

	if (parse_name(name, &id, &kind))
		walk->stopped = !walk->visit(walk->store, bucket_fd, name, &id,
					     kind, walk->context);
	return !walk->stopped;
}

static bool visit_bucket(int messages_fd, const char *name, void *context)
{
	struct store_walk *walk = context;

	if (strlen(name) != FILE_BUCKET_SIZE - 1)
		return true; /* tmp */
	if (file_walk_dir(messages_fd, name, visit_file, walk) < 0 &&
	    walk->error == 0)
		walk->error = errno;
	return !walk->stopped;
}

int file_walk(struct file_store *store, file_visit_t *visit, void *context)
{
	struct store_walk walk = { .store = store,
				   .visit = visit,
				   .context = context };

	if (file_walk_dir(store->messages_fd, ".", visit_bucket, &walk) < 0 &&
	    walk.error == 0)
		walk.error = errno;
	errno = walk.error;
	return walk.error == 0 ? 0 : -1;
}
