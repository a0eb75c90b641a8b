/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A plain file holds the bytes where they belong. In an encrypted one chunk n is at n
   times the size of a sealed chunk, and always a whole one. Each sealing has a number
   of its own, which is its nonce: a chunk that is written once more never meets its
   old nonce again. The numbers of the current ones are kept in memory, so that a chunk
   in another one's place, or an old one, is as wrong as one that was changed. What was
   never written is a hole, in memory as in the file. */

#include "config.h"
#include "temp-file.h"
#include "age/age-aead.h"
#include "block-cache.h"
#include "endian-io.h"
#include "file-ops.h"
#include "temp-seals.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/uio.h>

#define CHUNK_SIZE ((size_t)IO_BLOCK_SIZE)
#define SEALED_SIZE (CHUNK_SIZE + AGE_TAG_SIZE)
/* Far beyond any disk, and far from where arithmetic on offsets would end. */
#define MAX_SIZE ((uoff_t)INT64_MAX / 4)

struct temp_file {
	int fd;
	uoff_t size;
	/* how far a plain file itself reaches */
	uoff_t stored_end;

	/* The chunk in memory, with zeros behind its last byte. */
	unsigned char *chunk;
	uint64_t current;
	bool loaded; /* there is one */
	bool dirty;  /* the disk does not have it so */

	bool encrypted;
	struct age_aead aead;
	struct temp_seals seals;
	uint64_t last_seal;
};

/*
 * The disk
 */

static int open_named(const char *path_prefix)
{
	uint32_t random[4];
	char *path;
	int fd, error;

	randombytes_buf(random, sizeof(random));
	path = i_strdup_printf("%s%08x%08x%08x%08x", path_prefix, random[0],
			       random[1], random[2], random[3]);
	fd = file_open(AT_FDCWD, path,
		       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	/* what would keep its name shall hold nothing */
	if (fd >= 0 && file_ops()->unlinkat(AT_FDCWD, path, 0) < 0) {
		error = errno;
		(void)file_close(&fd);
		errno = error;
	}
	i_free(path);
	return fd;
}

int temp_file_open(const char *path_prefix)
{
	char *dir = file_dirname(path_prefix);
	int fd;

	fd = file_open(AT_FDCWD, dir, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC,
		       0600);
	i_free(dir);
	/* EISDIR and ENOENT are what a kernel says that does not know it */
	if (fd < 0 &&
	    (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT ||
	     errno == EINVAL))
		fd = open_named(path_prefix);
	return fd;
}

static int write_all(int fd, const unsigned char *data, size_t size,
		     uoff_t offset)
{
	struct iovec iov;
	ssize_t ret;

	while (size > 0) {
		iov.iov_base = (void *)(uintptr_t)data;
		iov.iov_len = size;
		ret = file_pwritev(fd, &iov, 1, (off_t)offset);
		if (ret == 0)
			errno = ENOSPC;
		if (ret <= 0)
			return -1;
		data += ret;
		size -= (size_t)ret;
		offset += (uoff_t)ret;
	}
	return 0;
}

static int read_all(int fd, unsigned char *data, size_t size, uoff_t offset)
{
	ssize_t ret;

	while (size > 0) {
		ret = file_pread(fd, data, size, (off_t)offset);
		if (ret == 0)
			errno = EIO; /* somebody has cut it */
		if (ret <= 0)
			return -1;
		data += ret;
		size -= (size_t)ret;
		offset += (uoff_t)ret;
	}
	return 0;
}

/*
 * Chunks
 */

static void seal_nonce(unsigned char nonce[AGE_AEAD_NONCE_SIZE], uint64_t seal)
{
	memset(nonce, 0, AGE_AEAD_NONCE_SIZE);
	put_be64(nonce + AGE_AEAD_NONCE_SIZE - sizeof(seal), seal);
}

/* How much of chunk `index` is in front of `end`. */
static size_t chunk_part(uint64_t index, uoff_t end)
{
	uoff_t start = index * CHUNK_SIZE;

	return end <= start ? 0 :
			      (size_t)I_MIN(end - start, (uoff_t)CHUNK_SIZE);
}

static int store_sealed(struct temp_file *file)
{
	unsigned char nonce[AGE_AEAD_NONCE_SIZE];
	uint64_t seal = ++file->last_seal; /* one that was tried is used up */
	unsigned char *sealed;
	int ret = -1;

	if (temp_seals_reserve(&file->seals, file->current) < 0)
		return -1;
	sealed = block_get(SEALED_SIZE);
	if (sealed == NULL)
		return -1;
	seal_nonce(nonce, seal);
	if (age_aead_seal(&file->aead, nonce, file->chunk, CHUNK_SIZE, sealed))
		ret = write_all(file->fd, sealed, SEALED_SIZE,
				file->current * SEALED_SIZE);
	else
		errno = ENOMEM;
	block_put(&sealed, SEALED_SIZE, 0);
	if (ret == 0)
		temp_seals_set(&file->seals, file->current, seal);
	return ret;
}

static int store_plain(struct temp_file *file)
{
	size_t size = chunk_part(file->current, file->size);
	uoff_t start = file->current * CHUNK_SIZE;

	if (write_all(file->fd, file->chunk, size, start) < 0)
		return -1;
	file->stored_end = I_MAX(file->stored_end, start + size);
	return 0;
}

/* Where this fails the chunk is still in memory, and to be stored. */
static int store_chunk(struct temp_file *file)
{
	if (!file->dirty)
		return 0;
	if ((file->encrypted ? store_sealed(file) : store_plain(file)) < 0)
		return -1;
	file->dirty = false;
	return 0;
}

/* data: SEALED_SIZE bytes; the chunk is in the first CHUNK_SIZE of them. */
static int read_chunk(struct temp_file *file, uint64_t index,
		      unsigned char *data)
{
	unsigned char nonce[AGE_AEAD_NONCE_SIZE];
	uint64_t seal;
	size_t size;

	if (!file->encrypted) {
		/* where nothing was written the file has zeros, too */
		size = chunk_part(index, file->stored_end);
		memset(data + size, 0, CHUNK_SIZE - size);
		return read_all(file->fd, data, size, index * CHUNK_SIZE);
	}
	seal = temp_seals_get(&file->seals, index);
	if (seal == 0) {
		memset(data, 0, CHUNK_SIZE);
		return 0;
	}
	if (read_all(file->fd, data, SEALED_SIZE, index * SEALED_SIZE) < 0)
		return -1;
	seal_nonce(nonce, seal);
	if (!age_aead_open(&file->aead, nonce, data, SEALED_SIZE, data)) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

static int load_chunk(struct temp_file *file, uint64_t index)
{
	if (file->loaded && file->current == index)
		return 0;
	if (store_chunk(file) < 0)
		return -1;
	file->loaded = false;
	if (read_chunk(file, index, file->chunk) < 0)
		return -1;
	file->current = index;
	file->loaded = true;
	return 0;
}

/*
 * The file
 */

struct temp_file *temp_file_new(int fd, bool encrypted)
{
	unsigned char key[AGE_AEAD_KEY_SIZE], *chunk;
	struct temp_file *file;

	if (encrypted && sodium_init() < 0) {
		errno = ENOSYS;
		return NULL;
	}
	chunk = block_get(SEALED_SIZE);
	if (chunk == NULL)
		return NULL;
	file = i_new(struct temp_file, 1);
	file->fd = fd;
	file->chunk = chunk;
	file->encrypted = encrypted;
	if (encrypted) {
		randombytes_buf(key, sizeof(key));
		age_aead_set_key(&file->aead, key);
		sodium_memzero(key, sizeof(key));
	}
	return file;
}

void temp_file_free(struct temp_file **_file)
{
	struct temp_file *file = *_file;

	if (file == NULL)
		return;
	*_file = NULL;
	/* nobody will read what a late error could have lost */
	(void)file_close(&file->fd);
	block_put(&file->chunk, SEALED_SIZE, file->encrypted ? SEALED_SIZE : 0);
	age_aead_clear(&file->aead);
	temp_seals_free(&file->seals);
	i_free(file);
}

int temp_file_take_fd(struct temp_file **_file)
{
	struct temp_file *file = *_file;
	int fd;

	i_assert(!file->encrypted);
	if (store_chunk(file) < 0)
		return -1;
	fd = file->fd;
	file->fd = -1;
	temp_file_free(_file);
	return fd;
}

uoff_t temp_file_size(const struct temp_file *file)
{
	return file->size;
}

int temp_file_write(struct temp_file *file, uoff_t offset, const void *_data,
		    size_t size)
{
	const unsigned char *data = _data;
	size_t start, part;

	if (offset > MAX_SIZE || size > MAX_SIZE - offset) {
		errno = EFBIG;
		return -1;
	}
	while (size > 0) {
		if (load_chunk(file, offset / CHUNK_SIZE) < 0)
			return -1;
		start = (size_t)(offset % CHUNK_SIZE);
		part = I_MIN(size, CHUNK_SIZE - start);
		memcpy(file->chunk + start, data, part);
		file->dirty = true;
		data += part;
		size -= part;
		offset += part;
		file->size = I_MAX(file->size, offset);
	}
	return 0;
}

int temp_file_flush(struct temp_file *file)
{
	return store_chunk(file);
}

int temp_file_read(struct temp_file *file, uoff_t offset, void *_data,
		   size_t size)
{
	unsigned char *data = _data;
	size_t start, part;

	i_assert(offset <= file->size && size <= file->size - offset);
	while (size > 0) {
		if (load_chunk(file, offset / CHUNK_SIZE) < 0)
			return -1;
		start = (size_t)(offset % CHUNK_SIZE);
		part = I_MIN(size, CHUNK_SIZE - start);
		memcpy(data, file->chunk + start, part);
		data += part;
		size -= part;
		offset += part;
	}
	return 0;
}

int temp_file_rescue(struct temp_file *file, unsigned char *data)
{
	unsigned char *chunk = block_get(SEALED_SIZE);
	uint64_t index;
	size_t size;
	int ret = 0;

	if (chunk == NULL)
		return -1;
	for (index = 0; (size = chunk_part(index, file->size)) > 0; index++) {
		if (file->loaded && file->current == index) {
			memcpy(data, file->chunk, size);
		} else {
			ret = read_chunk(file, index, chunk);
			if (ret < 0)
				break;
			memcpy(data, chunk, size);
		}
		data += size;
	}
	block_put(&chunk, SEALED_SIZE, file->encrypted ? SEALED_SIZE : 0);
	return ret;
}
