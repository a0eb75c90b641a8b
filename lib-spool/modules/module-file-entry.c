/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Names and the first line of the file store's files. */

#include "config.h"
#include "crc32c.h"
#include "hash-method.h"
#include "istream.h"
#include "mem.h"
#include "module-file-private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "bobbin-h" /* and a number */

void file_name(const message_id *id, const char *suffix,
	       char name_r[FILE_NAME_SIZE])
{
	message_id_to_text(id, name_r);
	(void)snprintf(name_r + MESSAGE_ID_TEXT_SIZE - 1,
		       FILE_NAME_SIZE - (MESSAGE_ID_TEXT_SIZE - 1), "%s",
		       suffix);
}

void file_body_name(const message_id *id,
		    const unsigned char hash[FILE_HASH_SIZE],
		    char name_r[FILE_NAME_SIZE])
{
	char suffix[1 + FILE_NAME_HASH_SIZE * 2 + sizeof(FILE_BODY_SUFFIX)];

	suffix[0] = '.';
	(void)sodium_bin2hex(suffix + 1, FILE_NAME_HASH_SIZE * 2 + 1, hash,
			     FILE_NAME_HASH_SIZE);
	memcpy(suffix + 1 + FILE_NAME_HASH_SIZE * 2, FILE_BODY_SUFFIX,
	       sizeof(FILE_BODY_SUFFIX));
	file_name(id, suffix, name_r);
}

void file_bucket_name(const message_id *id, char name_r[FILE_BUCKET_SIZE])
{
	char text[MESSAGE_ID_TEXT_SIZE];

	/* the last characters are random */
	message_id_to_text(id, text);
	memcpy(name_r, text + MESSAGE_ID_TEXT_SIZE - FILE_BUCKET_SIZE,
	       FILE_BUCKET_SIZE);
}

int file_look(int dir_fd, const char *name)
{
	struct stat st;

	if (file_ops()->fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	if (S_ISREG(st.st_mode))
		return 1;
	errno = EINVAL;
	return -1;
}

/* The name's two characters are its last ten bits. */
static unsigned int bucket_number(const message_id *id)
{
	return (id->bytes[14] & 3u) << 8 | id->bytes[15];
}

static bool is_bucket_new(struct file_store *store, const message_id *id)
{
	unsigned int number = bucket_number(id);
	bool ret;

	(void)pthread_mutex_lock(&store->mutex);
	ret = (store->new_buckets[number / 8] >> number % 8 & 1) != 0;
	(void)pthread_mutex_unlock(&store->mutex);
	return ret;
}

static void note_bucket(struct file_store *store, const message_id *id,
			bool is_new)
{
	unsigned int number = bucket_number(id);
	unsigned char *bits = &store->new_buckets[number / 8];
	unsigned char bit = (unsigned char)(1u << number % 8);

	(void)pthread_mutex_lock(&store->mutex);
	*bits = (unsigned char)(is_new ? *bits | bit : *bits & ~bit);
	(void)pthread_mutex_unlock(&store->mutex);
}

/* Noted before it is there: whoever finds it sees to it that its name is durable, too,
   since who made it may not have come so far, or may have failed. */
static int make_bucket(struct file_store *store, const message_id *id,
		       const char *name)
{
	note_bucket(store, id, true);
	if (file_ops()->mkdirat(store->messages_fd, name, 0700) < 0 &&
	    errno != EEXIST)
		return -1;
	return 0;
}

/* Its name is durable before anything in it is acknowledged. */
static int settle_bucket(struct file_store *store, const message_id *id)
{
	if (!is_bucket_new(store, id))
		return 0;
	if (file_sync_dir_fd(store->messages_fd) < 0)
		return -1;
	note_bucket(store, id, false);
	return 0;
}

int file_open_bucket(struct file_store *store, const message_id *id,
		     bool create)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	char name[FILE_BUCKET_SIZE];
	int fd, error;

	file_bucket_name(id, name);
	fd = file_open(store->messages_fd, name, flags, 0);
	if (!create || (fd < 0 && errno != ENOENT))
		return fd;
	if (fd < 0) {
		if (make_bucket(store, id, name) < 0)
			return -1;
		fd = file_open(store->messages_fd, name, flags, 0);
	}
	if (fd < 0 || settle_bucket(store, id) == 0)
		return fd;
	error = errno;
	(void)file_close(&fd);
	errno = error;
	return -1;
}

void file_entry_format(const struct file_entry *entry,
		       char line_r[FILE_LINE_MAX])
{
	char id[MESSAGE_ID_TEXT_SIZE], hash[FILE_HASH_SIZE * 2 + 1];
	char headers_crc[FILE_CRC_SIZE * 2 + 1];
	size_t size;

	message_id_to_text(&entry->id, id);
	(void)sodium_bin2hex(hash, sizeof(hash), entry->body_hash,
			     FILE_HASH_SIZE);
	(void)sodium_bin2hex(headers_crc, sizeof(headers_crc),
			     entry->headers_crc, FILE_CRC_SIZE);
	(void)snprintf(line_r, FILE_LINE_MAX,
		       MAGIC "2 %s %" PRIu64 " %" PRIu64 " %s %s %s %s ", id,
		       entry->version, entry->body_len, hash,
		       entry->headers_stack, entry->body_stack, headers_crc);
	size = strlen(line_r);
	(void)snprintf(line_r + size, FILE_LINE_MAX - size, "%08" PRIx32 "\n",
		       crc32c(0, line_r, size));
}

void file_entry_line_crc(const struct file_entry *entry,
			 char crc_r[FILE_LINE_CRC_SIZE])
{
	char line[FILE_LINE_MAX];

	file_entry_format(entry, line);
	memcpy(crc_r, line + strlen(line) - FILE_LINE_CRC_SIZE,
	       FILE_LINE_CRC_SIZE - 1);
	crc_r[FILE_LINE_CRC_SIZE - 1] = '\0';
}

static bool parse_number(const char *text, uint64_t *number_r)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number_r = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0;
}

static bool parse_stack(const char *text, char stack_r[FILE_STACK_SIZE])
{
	size_t size = strlen(text);

	if (size == 0 || size >= FILE_STACK_SIZE)
		return false;
	memcpy(stack_r, text, size + 1);
	return true;
}

static bool parse_digest(const char *text, unsigned char *digest_r, size_t size)
{
	return strlen(text) == size * 2 &&
		sodium_hex2bin(digest_r, size, text, size * 2, NULL, NULL,
			       NULL) == 0;
}

#define WORDS_MAX 9 /* of number 2; a line of number 1 has one less */

/* Splits at single spaces; false unless there are exactly so many words. */
static bool split_words(char *line, char *words[WORDS_MAX], unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		words[i] = line;
		line = strchr(line, ' ');
		if ((line == NULL) != (i == count - 1))
			return false;
		if (line != NULL)
			*line++ = '\0';
	}
	return true;
}

/* False: of a newer version. */
static bool parse_magic(const char *line, bool *has_headers_crc_r)
{
	*has_headers_crc_r = strncmp(line, MAGIC "2 ", sizeof(MAGIC) + 1) == 0;
	return *has_headers_crc_r ||
		strncmp(line, MAGIC "1 ", sizeof(MAGIC) + 1) == 0;
}

static bool parse_words(struct file_entry *entry, char *line)
{
	char *words[WORDS_MAX];

	return split_words(line, words,
			   entry->has_headers_crc ? WORDS_MAX :
						    WORDS_MAX - 1) &&
		message_id_from_text(words[1], &entry->id) &&
		parse_number(words[2], &entry->version) &&
		parse_number(words[3], &entry->body_len) &&
		parse_digest(words[4], entry->body_hash, FILE_HASH_SIZE) &&
		parse_stack(words[5], entry->headers_stack) &&
		parse_stack(words[6], entry->body_stack) &&
		(!entry->has_headers_crc ||
		 parse_digest(words[7], entry->headers_crc, FILE_CRC_SIZE));
}

bool file_entry_parse(struct file_entry *entry, char *line, const char **why_r)
{
	char *crc_text = strrchr(line, ' '), crc[9];

	errno = EINVAL;
	*why_r = "its first line is malformed";
	if (crc_text == NULL || strncmp(line, MAGIC, sizeof(MAGIC) - 1) != 0)
		return false;
	(void)snprintf(crc, sizeof(crc), "%08" PRIx32,
		       crc32c(0, line, (size_t)(crc_text + 1 - line)));
	if (strcmp(crc, crc_text + 1) != 0) {
		*why_r = "the checksum of its first line is wrong";
		return false;
	}
	if (!parse_magic(line, &entry->has_headers_crc)) {
		errno = ENOTSUP;
		return false;
	}
	if (parse_words(entry, line))
		return true;
	errno = EINVAL;
	return false;
}

char *file_path(const struct file_store *store, const message_id *id,
		const char *name)
{
	char bucket[FILE_BUCKET_SIZE];

	file_bucket_name(id, bucket);
	return i_strdup_printf("%s/messages/%s/%s", store->spool->dir, bucket,
			       name);
}

static int line_fail(const char *path, int error, const char *why)
{
	errno = error;
	if (error == ENOTSUP)
		io_set_error("%s was written by a newer version of Bobbin: "
			     "read it with that one",
			     path);
	else
		io_set_error("%s is damaged: %s", path, why);
	return -1;
}

static int read_line(struct istream *input, const message_id *id,
		     struct file_entry *entry, const char *path)
{
	struct file_entry found;
	const char *why;
	char *line;

	i_stream_set_max_buffer_size(input, FILE_LINE_MAX);
	line = i_stream_read_next_line(input);
	if (line == NULL && input->stream_errno != 0 &&
	    input->stream_errno != ENOBUFS) {
		errno = input->stream_errno;
		io_set_error("%s", i_stream_get_error(input));
		return -1;
	}
	if (line == NULL || i_stream_last_line_crlf(input))
		return line_fail(path, EINVAL, "its first line is malformed");
	if (!file_entry_parse(&found, line, &why))
		return line_fail(path, errno, why);
	if (message_id_cmp(&found.id, id) != 0)
		return line_fail(path, EINVAL, "it is about another message");
	*entry = found;
	i_stream_set_max_buffer_size(input, 65536);
	return 0;
}

static int open_regular(int bucket_fd, const char *name, const char *path)
{
	int fd = file_open_regular(bucket_fd, name);

	if (fd >= 0)
		return fd;
	if (errno == EINVAL)
		io_set_error("%s is damaged: it is not a regular file", path);
	else
		io_set_error("open(%s) failed: %s", path, strerror(errno));
	return -1;
}

/* A stream that stands behind the line; NULL with errno. */
static struct istream *open_line(const struct file_store *store, int bucket_fd,
				 const message_id *id, struct file_entry *entry)
{
	struct istream *input = NULL;
	char name[FILE_NAME_SIZE];
	int fd, error;
	char *path;

	file_name(id, FILE_HEADERS_SUFFIX, name);
	path = file_path(store, id, name);
	fd = open_regular(bucket_fd, name, path);
	error = errno;
	if (fd >= 0) {
		input = i_stream_create_fd_autoclose(&fd, 0);
		i_stream_set_name(input, path);
		if (read_line(input, id, entry, path) < 0) {
			error = errno;
			i_stream_unref(&input);
		}
	}
	i_free(path);
	errno = error;
	return input;
}

int file_entry_open(struct file_store *store, int bucket_fd,
		    const message_id *id, struct file_entry *entry,
		    struct istream **input_r)
{
	struct istream *file = open_line(store, bucket_fd, id, entry);

	if (file == NULL)
		return -1;
	*input_r = file;
	if (!entry->has_headers_crc)
		return 0;
	*input_r = i_stream_create_checked(
		file, hash_method_lookup("crc32c"), entry->headers_crc,
		"the headers are damaged: their checksum is wrong: restore the "
		"file from a copy, or remove the message (bobbin spool verify "
		"names all that are damaged)");
	i_stream_unref(&file);
	return 0;
}

int file_entry_read(struct file_store *store, int bucket_fd,
		    const message_id *id, struct file_entry *entry)
{
	struct istream *file = open_line(store, bucket_fd, id, entry);

	if (file == NULL)
		return -1;
	i_stream_destroy(&file);
	return 0;
}

int file_find_body(int bucket_fd, const message_id *id,
		   const unsigned char hash[FILE_HASH_SIZE],
		   char name_r[FILE_NAME_SIZE])
{
	int ret;

	file_body_name(id, hash, name_r);
	ret = file_look(bucket_fd, name_r);
	if (ret != 0)
		return ret;
	file_name(id, FILE_BODY_SUFFIX, name_r);
	return file_look(bucket_fd, name_r);
}

static int open_body_name(struct file_store *store, int bucket_fd,
			  const message_id *id, const char *name)
{
	char *path = file_path(store, id, name);
	int fd, error;

	fd = open_regular(bucket_fd, name, path);
	error = errno;
	i_free(path);
	errno = error;
	return fd;
}

int file_open_body(struct file_store *store, int bucket_fd,
		   const struct file_entry *entry, char name_r[FILE_NAME_SIZE])
{
	int fd;

	/* the first body of a message lies there beside a later one, until that
	   one's headers are durable */
	file_body_name(&entry->id, entry->body_hash, name_r);
	fd = open_body_name(store, bucket_fd, &entry->id, name_r);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	file_name(&entry->id, FILE_BODY_SUFFIX, name_r);
	return open_body_name(store, bucket_fd, &entry->id, name_r);
}

struct istream *file_body_stream(const struct file_store *store,
				 const struct file_entry *entry,
				 const char *name, int *fd)
{
	struct istream *file = i_stream_create_fd_autoclose(fd, 0), *input;
	char *path = file_path(store, &entry->id, name);

	i_stream_set_name(file, path);
	i_free(path);
	input = spool_check_file(file, entry->body_hash);
	i_stream_unref(&file);
	return input;
}

int file_body_missing(struct file_store *store, const message_id *id)
{
	char name[FILE_NAME_SIZE];
	char *path;

	file_name(id, FILE_BODY_SUFFIX, name);
	path = file_path(store, id, name);
	errno = EINVAL;
	io_set_error("the message is damaged: its body %s is missing", path);
	i_free(path);
	errno = EINVAL;
	return -1;
}
