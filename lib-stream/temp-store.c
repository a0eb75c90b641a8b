/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "temp-store.h"
#include "buffer.h"
#include "file-ops.h"
#include "mem.h"
#include "panic.h"
#include "temp-file.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#define NO_FALLBACK ", and memory is not to be used instead"

struct temp_store {
	buffer_t *memory; /* NULL while the bytes are in the file */
	struct temp_file *file;
	size_t max_memory; /* SIZE_MAX once a file was tried and given up */
	bool encrypted;
	bool no_fallback;
	temp_store_open_t *open;
	void *context;
	char *path;
	char *error;
};

static int store_fail(struct temp_store *store, int error, const char *what)
{
	i_free(store->error);
	store->error = store->path == NULL ?
		i_strdup_printf("%s: %s", what, strerror(error)) :
		i_strdup_printf("%s (its place was %s): %s", what, store->path,
				strerror(error));
	errno = error;
	return -1;
}

/* Plain text of what is to be encrypted on disk does not stay in freed memory. */
static void free_memory(struct temp_store *store, buffer_t **memory)
{
	size_t size;
	void *data;

	if (store->encrypted && *memory != NULL) {
		data = buffer_get_modifiable_data(*memory, &size);
		sodium_memzero(data, size);
	}
	buffer_free(memory);
}

struct temp_store *temp_store_new(size_t max_memory, bool encrypted,
				  temp_store_open_t *open, void *context)
{
	struct temp_store *store = i_new(struct temp_store, 1);

	store->memory = buffer_create_dynamic(default_pool, 0);
	store->max_memory = max_memory;
	store->encrypted = encrypted;
	store->open = open;
	store->context = context;
	return store;
}

void temp_store_free(struct temp_store **_store)
{
	struct temp_store *store = *_store;

	if (store == NULL)
		return;
	*_store = NULL;
	free_memory(store, &store->memory);
	temp_file_free(&store->file);
	i_free(store->path);
	i_free(store->error);
	i_free(store);
}

void temp_store_set_encrypted(struct temp_store *store, bool encrypted)
{
	i_assert(temp_store_size(store) == 0);
	store->encrypted = encrypted;
}

void temp_store_set_no_fallback(struct temp_store *store)
{
	i_assert(temp_store_size(store) == 0);
	store->no_fallback = true;
}

uoff_t temp_store_size(const struct temp_store *store)
{
	return store->file != NULL ? temp_file_size(store->file) :
				     store->memory->used;
}

/*
 * From memory to a file, and back
 */

/* A file with the bytes of the memory in it; NULL with errno. */
static struct temp_file *make_file(struct temp_store *store)
{
	const char *path = NULL;
	struct temp_file *file = NULL;
	int fd, error;

	fd = store->open(&path, store->context);
	error = errno;
	i_free(store->path);
	store->path = i_strdup(path);
	if (fd >= 0) {
		file = temp_file_new(fd, store->encrypted);
		error = errno;
		if (file == NULL)
			(void)file_close(&fd);
	}
	if (file != NULL &&
	    temp_file_write(file, 0, store->memory->data, store->memory->used) <
		    0) {
		error = errno;
		temp_file_free(&file);
	}
	errno = error;
	return file;
}

/* Where that fails everything stays as it is, for good; or it is an error. */
static int move_to_file(struct temp_store *store)
{
	struct temp_file *file = make_file(store);

	if (file == NULL && store->no_fallback)
		return store_fail(store, errno,
				  "no temporary file can be made" NO_FALLBACK);
	store->max_memory = SIZE_MAX;
	if (file == NULL)
		return 0;
	store->file = file;
	free_memory(store, &store->memory);
	return 0;
}

static int move_to_memory(struct temp_store *store)
{
	uoff_t size = temp_store_size(store);
	buffer_t *memory;
	void *data;

	store->max_memory = SIZE_MAX;
	if (store->file == NULL)
		return 0;
	memory = buffer_create_dynamic(default_pool, 0);
	data = size > SIZE_MAX ? NULL :
				 buffer_try_reserve(memory, (size_t)size);
	if (data == NULL) {
		buffer_free(&memory);
		return store_fail(store, ENOMEM,
				  "the temporary file takes no more, and "
				  "memory has no room for it");
	}
	if (temp_file_rescue(store->file, data) < 0) {
		buffer_free(&memory);
		return store_fail(store, errno,
				  "the temporary file cannot be read back");
	}
	buffer_set_used_size(memory, (size_t)size);
	store->memory = memory;
	temp_file_free(&store->file);
	return 0;
}

/* The file failed, with errno. */
static int leave_file(struct temp_store *store, const char *what)
{
	return store->no_fallback ? store_fail(store, errno, what) :
				    move_to_memory(store);
}

static int leave_full_file(struct temp_store *store)
{
	return leave_file(store,
			  "the temporary file cannot be "
			  "written" NO_FALLBACK);
}

int temp_store_move_to_memory(struct temp_store *store)
{
	errno = ENOSPC;
	return leave_full_file(store);
}

int temp_store_finish(struct temp_store *store)
{
	if (!store->no_fallback || store->file == NULL ||
	    temp_file_flush(store->file) == 0)
		return 0;
	return leave_full_file(store);
}

/*
 * Bytes
 */

int temp_store_write(struct temp_store *store, uoff_t offset, const void *data,
		     size_t size)
{
	if (size == 0)
		return 0;
	if (store->file == NULL && store->max_memory != SIZE_MAX &&
	    (offset > store->max_memory ||
	     size > store->max_memory - (size_t)offset) &&
	    move_to_file(store) < 0)
		return -1;
	if (store->file != NULL) {
		if (temp_file_write(store->file, offset, data, size) == 0)
			return 0;
		if (leave_full_file(store) < 0)
			return -1;
	}
	if (offset > SIZE_MAX ||
	    !buffer_try_write(store->memory, (size_t)offset, data, size))
		return store_fail(store, ENOMEM, "out of memory");
	return 0;
}

int temp_store_read(struct temp_store *store, uoff_t offset, void *data,
		    size_t size)
{
	i_assert(offset <= temp_store_size(store) &&
		 size <= temp_store_size(store) - offset);
	if (size == 0)
		return 0;
	if (store->file != NULL) {
		if (temp_file_read(store->file, offset, data, size) == 0)
			return 0;
		/* it may have been the write of another part */
		if (leave_file(store,
			       "the temporary file cannot be read "
			       "back") < 0)
			return -1;
	}
	memcpy(data, store->memory->data + offset, size);
	return 0;
}

const char *temp_store_get_error(const struct temp_store *store)
{
	return store->error == NULL ? "<no error>" : store->error;
}

bool temp_store_in_file(const struct temp_store *store)
{
	return store->file != NULL;
}

const unsigned char *temp_store_memory(const struct temp_store *store)
{
	return store->memory == NULL ? NULL : store->memory->data;
}

int temp_store_take_fd(struct temp_store *store)
{
	int fd;

	if (store->file == NULL || store->encrypted)
		return -1;
	fd = temp_file_take_fd(&store->file);
	if (fd >= 0)
		store->memory = buffer_create_dynamic(default_pool, 0);
	return fd;
}
