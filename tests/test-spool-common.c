/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

#include "config.h"
#include "test-spool-common.h"
#include "age-keys.h"
#include "crc32c.h"
#include "file-ops.h"
#include "istream.h"
#include "spool-private.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct age_identities *identities;
static unsigned int spool_number;

int test_spool_setup(void **state ATTR_UNUSED)
{
	char text[AGE_RECIPIENT_TEXT_SIZE], *error;

	identities = age_identities_new();
	if (age_keygen(test_path("key"), text, &error) < 0 ||
	    age_identities_add_file(identities, test_path("key"), NULL,
				    &error) < 0)
		return -1;
	test_write_file(test_path("public"), text, strlen(text));
	return 0;
}

int test_spool_teardown(void **state ATTR_UNUSED)
{
	age_identities_unref(&identities);
	return 0;
}

struct stream_context test_spool_other_keys(void)
{
	struct stream_context keys = { .identities = age_identities_new() };
	char text[AGE_RECIPIENT_TEXT_SIZE], *error;

	(void)unlink(test_path("other-key"));
	if (age_keygen(test_path("other-key"), text, &error) < 0 ||
	    age_identities_add_file(keys.identities, test_path("other-key"),
				    NULL, &error) < 0)
		fail_msg("%s", error);
	return keys;
}

const char *test_spool_dir(void)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "spool%u", spool_number);
	return test_path(name);
}

struct spool *test_spool_open(unsigned int flags)
{
	struct stream_context keys = { .identities = identities };
	struct spool *spool;
	char *error;

	spool = spool_open(test_spool_dir(), flags, &keys, &error);
	if (spool == NULL)
		fail_msg("%s", error);
	return spool;
}

static void init_of(const char *store, const char *body)
{
	struct spool_settings settings = { .body = body, .store = store };
	char *error;

	spool_number++;
	if (spool_init(test_spool_dir(), &settings, &error) < 0)
		fail_msg("%s", error);
}

void test_spool_init(const char *body)
{
	init_of(NULL, body);
}

struct spool *test_spool_new_of(const char *store, const char *body)
{
	char path[600];
	FILE *conf;

	init_of(store, body);
	(void)snprintf(path, sizeof(path), "%s/spool.conf", test_spool_dir());
	conf = fopen(path, "a");
	assert_non_null(conf);
	assert_true(fputs("segment-size = 65536\ncompaction = off\n", conf) >=
		    0);
	assert_int_equal(fclose(conf), 0);
	return test_spool_open(0);
}

struct spool *test_spool_new(const char *body)
{
	test_spool_init(body);
	return test_spool_open(0);
}

int test_spool_put_as(struct spool *spool, const void *data, size_t size,
		      const message_id *id)
{
	struct istream *input = i_stream_create_from_data(data, size);
	email_message *message = email_message_new(id);
	int answer;

	(void)email_message_set_sender(message, "a@example.org");
	(void)email_message_add_recipient(message, "b@example.org");
	email_message_set_body(message, input, 0);
	answer = spool_put(spool, message);
	email_message_unref(&message);
	i_stream_unref(&input);
	return answer;
}

int test_spool_put(struct spool *spool, const void *data, size_t size,
		   message_id *id_r)
{
	spool_new_id(spool, id_r);
	return test_spool_put_as(spool, data, size, id_r);
}

void test_spool_put_many(struct spool *spool, message_id *ids,
			 unsigned int count)
{
	static const char wire[] = TEST_SPOOL_WIRE;
	unsigned int i;

	for (i = 0; i < count; i++)
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&ids[i]),
				 IO_DONE);
}

email_message *test_spool_put_to(struct spool *spool, unsigned int recipients)
{
	static const char wire[] = TEST_SPOOL_WIRE;
	email_message *message;
	message_id id;
	char address[64];
	unsigned int i;

	spool_new_id(spool, &id);
	message = email_message_new(&id);
	(void)email_message_set_sender(message, "a@example.org");
	for (i = 0; i < recipients; i++) {
		(void)snprintf(address, sizeof(address),
			       "somebody-with-a-name-%u@example.org", i);
		assert_int_equal(email_message_add_recipient(message, address),
				 0);
	}
	test_spool_set_body(message, wire, sizeof(wire) - 1);
	assert_int_equal(spool_put(spool, message), IO_DONE);
	return message;
}

void test_spool_change_body(struct spool *spool, const message_id *id,
			    const void *data, size_t size)
{
	email_message *message;

	assert_int_equal(spool_get(spool, id, &message), IO_DONE);
	test_spool_set_body(message, data, size);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
}

int test_spool_write_body(struct spool *spool, email_message *message,
			  const char *text)
{
	test_spool_set_body(message, text, strlen(text));
	return spool_writebody(spool, IO_SYNCHRONOUS, message, 0);
}

int test_spool_write_headers(struct spool *spool, email_message *message)
{
	return spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0);
}

static struct {
	struct spool *spool; /* NULL: nobody is to, or it was */
	message_id id;
} to_remove;

static int removing_openat(int dir, const char *path, int flags, mode_t mode)
{
	struct spool *spool = to_remove.spool;
	size_t size = strlen(path);

	if (spool != NULL && size > 2 && strcmp(path + size - 2, ".b") == 0) {
		to_remove.spool = NULL;
		assert_int_equal(spool_remove(spool, &to_remove.id), IO_DONE);
	}
	return file_ops_system.openat(dir, path, flags, mode);
}

void test_spool_remove_when_opened(struct spool *spool, const message_id *id)
{
	static struct file_ops ops;

	ops = file_ops_system;
	ops.openat = removing_openat;
	to_remove.spool = spool;
	to_remove.id = *id;
	file_ops_set(&ops);
}

void test_spool_must_be_removed(void)
{
	file_ops_set(NULL);
	assert_null(to_remove.spool);
}

void test_spool_must_have(struct spool *spool, const message_id *id,
			  const void *data, size_t size)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	const unsigned char *got;
	email_message *message;
	size_t have;

	if (spool_get(spool, id, &message) != IO_DONE)
		fail_msg("%s", io_get_error());
	assert_string_equal(email_message_get_sender(message), "a@example.org");
	assert_string_equal(email_message_get_recipient(message, 0),
			    "b@example.org");
	assert_int_equal(message->body_len, size);
	while (i_stream_read_more(message->body, &got, &have) > 0) {
		buffer_append(out, got, have);
		i_stream_skip(message->body, have);
	}
	assert_int_equal(message->body->stream_errno, 0);
	assert_int_equal(out->used, size);
	assert_memory_equal(out->data, data, size);
	buffer_free(&out);
	email_message_unref(&message);
}

int test_spool_read(struct spool *spool, const message_id *id, uint64_t offset,
		    buffer_t *out)
{
	const unsigned char *data;
	email_message *message;
	size_t size;
	int error;

	if (out != NULL)
		buffer_set_used_size(out, 0);
	if (spool_get(spool, id, &message) != IO_DONE)
		return io_get_errno();
	i_stream_seek(message->body, offset);
	while (i_stream_read_more(message->body, &data, &size) > 0) {
		if (out != NULL)
			buffer_append(out, data, size);
		i_stream_skip(message->body, size);
	}
	error = message->body->stream_errno;
	email_message_unref(&message);
	return error;
}

static void must_be_damaged(struct spool *spool, const message_id *id,
			    uint64_t offset, const char *what, size_t at)
{
	int error = test_spool_read(spool, id, offset, NULL);

	/* what a stack says first is its own */
	if (error != EINVAL && error != EPIPE)
		fail_msg("%s at %zu: errno %d", what, at, error);
	if (test_spool_damaged(spool, NULL) == 0)
		fail_msg("%s at %zu: verifies", what, at);
}

void test_spool_damage_body(struct spool *spool, const message_id *id,
			    const char *path)
{
	buffer_t *file = test_read_file(path);
	unsigned char *data = buffer_get_modifiable_data(file, NULL);
	size_t size = file->used, i;
	const size_t places[] = { 0, size / 3, size / 2,
				  I_MIN(size, (size_t)65536) - 1, size - 1 };

	for (i = 0; i < N_ELEMENTS(places); i++) {
		data[places[i]] ^= 1;
		test_write_file(path, data, size);
		must_be_damaged(spool, id, 0, "changed", places[i]);
		/* also where nobody wants to see it */
		must_be_damaged(spool, id, 2, "changed and skipped", places[i]);
		data[places[i]] ^= 1;
		test_write_file(path, data, places[i]);
		must_be_damaged(spool, id, 0, "cut", places[i]);
	}
	buffer_append(file, "x", 1);
	test_write_file(path, file->data, size + 1);
	must_be_damaged(spool, id, 0, "longer", size);
	test_write_file(path, file->data, size);
	buffer_free(&file);
	assert_int_equal(test_spool_damaged(spool, NULL), 0);
}

static bool count_entry(const struct spool_entry *entry, void *context)
{
	unsigned int *counts = context;

	/* these tests store what is no wire form, too */
	counts[0]++;
	if (entry->problem != NULL && entry->error != EILSEQ)
		counts[1]++;
	return true;
}

unsigned int test_spool_damaged(struct spool *spool, unsigned int *total_r)
{
	unsigned int counts[2] = { 0, 0 };
	char *error;

	assert_int_equal(spool_verify(spool, count_entry, counts, &error), 0);
	if (total_r != NULL)
		*total_r = counts[0];
	return counts[1];
}

void test_spool_file(const message_id *id, const char *suffix, char path[512])
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(id, text);
	(void)snprintf(path, 512, "%s/messages/%s/%s%s", test_spool_dir(),
		       text + 24, text, suffix);
}

void test_spool_replace_word(const char *path, unsigned int word,
			     const char *text, const char *end)
{
	buffer_t *file = test_read_file(path);
	char *line = strndup((const char *)file->data, file->used), *p = line;
	char *rest = strchr(line, '\n') + 1, made[4096];
	size_t body = (size_t)(rest - line), size;
	unsigned int i;

	*strrchr(line, '\n') = '\0';
	rest[-1] = '\0';
	for (i = 0; i < word; i++)
		p = strchr(p, ' ') + 1;
	/* what is behind it, without the checksum */
	*strrchr(line, ' ') = '\0';
	(void)snprintf(made, sizeof(made), "%.*s%s%s ", (int)(p - line), line,
		       text, strchr(p, ' ') == NULL ? "" : strchr(p, ' '));
	size = strlen(made);
	(void)snprintf(made + size, sizeof(made) - size, "%08x%s",
		       (unsigned int)crc32c(0, made, size), end);
	size = strlen(made);
	memcpy(made + size, (const char *)file->data + body, file->used - body);
	test_write_file(path, made, size + file->used - body);
	free(line);
	buffer_free(&file);
}

const char *test_spool_segment(unsigned int number)
{
	static char path[600];

	(void)snprintf(path, sizeof(path), "%s/journal/%08u.seg",
		       test_spool_dir(), number);
	return path;
}

struct scan_result {
	unsigned int count;
	message_id last;
};

static void found(const message_id *id, void *context)
{
	struct scan_result *result = context;

	result->count++;
	result->last = *id;
}

unsigned int test_spool_scan(struct spool *spool)
{
	struct scan_result result = { .count = 0 };

	spool_start_scan(spool, found, NULL, &result);
	spool_wait_scan(spool);
	return result.count;
}

unsigned int test_spool_scan_again(struct spool **spool)
{
	unsigned int flags = (*spool)->flags;

	spool_close(spool);
	*spool = test_spool_open(flags);
	return test_spool_scan(*spool);
}

void test_spool_count_strays(struct spool *spool, struct spool_strays *strays_r)
{
	char *error;

	if (spool_count_strays(spool, strays_r, &error) < 0)
		fail_msg("%s", error);
}

struct test_spool_files test_spool_files_in(const char *name)
{
	struct test_spool_files files = { 0 };
	struct dirent *entry;
	char path[600];
	DIR *listing;

	(void)snprintf(path, sizeof(path), "%s/%s", test_spool_dir(), name);
	listing = opendir(path);
	assert_non_null(listing);
	while ((entry = readdir(listing)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		files.count++;
		(void)snprintf(files.path, sizeof(files.path), "%s/%s", path,
			       entry->d_name);
	}
	(void)closedir(listing);
	return files;
}

void test_spool_set_body(email_message *message, const void *data, size_t size)
{
	struct istream *input = i_stream_create_from_data(data, size);

	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
}

unsigned int test_spool_count_files(const message_id *id)
{
	char path[512];
	unsigned int count = 0;
	struct dirent *entry;
	DIR *dir;

	test_spool_file(id, "", path);
	*strrchr(path, '/') = '\0';
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			count++;
	}
	(void)closedir(dir);
	return count;
}
