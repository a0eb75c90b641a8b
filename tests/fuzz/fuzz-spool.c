/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "fuzz-spool.h"

#include "io-infrastructure.h"

#include <ftw.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILES_MAX 64u

/*
 * Randomness that is the same in each run
 */

static _Atomic uint32_t random_state = 1;

static uint32_t next_random(void)
{
	uint32_t state = random_state;

	(void)test_random(&state);
	random_state = state;
	return state;
}

static const char *random_name(void)
{
	return "repeated";
}

static void random_buf(void *buf, size_t size)
{
	unsigned char *p = buf;

	while (size-- > 0)
		*p++ = (unsigned char)(next_random() >> 11);
}

static struct randombytes_implementation repeated_random = {
	.implementation_name = random_name,
	.random = next_random,
	.buf = random_buf,
};

/*
 * The spool as it was
 */

struct fuzz_message fuzz_messages[FUZZ_MESSAGES];
const struct fuzz_file *fuzz_segments[FUZZ_SEGMENTS_MAX];
unsigned int fuzz_segment_count;
const struct fuzz_file *fuzz_body_file;
char fuzz_spool_dir[512];

static struct fuzz_file files[FILES_MAX];
static unsigned int file_count;

static buffer_t *make_body(unsigned int n, unsigned int version)
{
	buffer_t *wire = buffer_create_dynamic(default_pool, 1024);
	size_t size = n == FUZZ_LARGE_MESSAGE ?
		TEST_SPOOL_LARGE :
		(n * 977 + version * 333) % 9000;
	char head[64];

	(void)snprintf(head, sizeof(head), "Subject: %u %u\r\n\r\n", n,
		       version);
	buffer_append(wire, head, strlen(head));
	while (wire->used < size)
		buffer_append(wire, head, strlen(head) - 2);
	buffer_append(wire, "\r\n.\r\n", 5);
	return wire;
}

void fuzz_make_id(unsigned int n, message_id *id)
{
	memset(id, 0, sizeof(*id));
	id->bytes[1] = 0x8b;
	id->bytes[5] = (unsigned char)(n >> 8);
	id->bytes[6] = (unsigned char)n;
	id->bytes[15] = (unsigned char)(n * 37);
}

static void put_message(struct spool *spool, struct fuzz_message *m,
			unsigned int n)
{
	buffer_t *body = make_body(n, 0);

	fuzz_make_id(n, &m->id);
	m->bodies[m->body_count++] = body;
	m->version = 1;
	assert_int_equal(test_spool_put_as(spool, body->data, body->used,
					   &m->id),
			 IO_DONE);
}

static void change_message(struct spool *spool, struct fuzz_message *m,
			   unsigned int n)
{
	email_message *message;

	if (n % 4 == 1) {
		m->bodies[m->body_count] = make_body(n, 1);
		test_spool_change_body(spool, &m->id,
				       m->bodies[m->body_count]->data,
				       m->bodies[m->body_count]->used);
		m->body_count++;
	} else {
		/* headers, or states alone */
		assert_int_equal(spool_get(spool, &m->id, &message), IO_DONE);
		if (n % 4 == 2)
			(void)email_message_set_value(message, "a", "b", "c");
		(void)email_message_set_recipient_state(
			message, 0, EMAIL_RECIPIENT_DELIVERED, "250 ok");
		assert_int_equal(test_spool_write_headers(spool, message),
				 IO_DONE);
		email_message_unref(&message);
	}
	m->version++;
}

static void fill_spool(struct spool **spool)
{
	unsigned int n;

	for (n = 0; n < FUZZ_MESSAGES; n++) {
		put_message(*spool, &fuzz_messages[n], n);
		if (n >= 3 && n % 3 == 0)
			change_message(*spool, &fuzz_messages[n - 2], n);
		if (n >= 6 && n % 5 == 0) {
			fuzz_messages[n - 6].removed = true;
			assert_int_equal(spool_remove(*spool,
						      &fuzz_messages[n - 6].id),
					 IO_DONE);
		}
		if (n == FUZZ_MESSAGES / 2 || n == FUZZ_MESSAGES - 3) {
			spool_close(spool);
			*spool = test_spool_open(0);
		}
	}
}

static int keep_entry(const char *path, const struct stat *st ATTR_UNUSED,
		      int type, struct FTW *ftw ATTR_UNUSED)
{
	struct fuzz_file *file = &files[file_count];

	assert_true(file_count < FILES_MAX);
	assert_true(strlen(path) < sizeof(file->path));
	(void)snprintf(file->path, sizeof(file->path), "%s",
		       path + strlen(fuzz_spool_dir));
	file->data = type == FTW_F ? test_read_file(path) : NULL;
	file_count++;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct fuzz_file *)a)->path,
		      ((const struct fuzz_file *)b)->path);
}

static void keep_spool(void)
{
	unsigned int i;
	size_t size;

	(void)snprintf(fuzz_spool_dir, sizeof(fuzz_spool_dir), "%s",
		       test_spool_dir());
	assert_int_equal(nftw(fuzz_spool_dir, keep_entry, 16, FTW_PHYS), 0);
	qsort(files, file_count, sizeof(*files), by_path);
	for (i = 0; i < file_count; i++) {
		size = strlen(files[i].path);
		if (size > 4 && strcmp(files[i].path + size - 4, ".seg") == 0) {
			assert_true(fuzz_segment_count < FUZZ_SEGMENTS_MAX);
			fuzz_segments[fuzz_segment_count++] = &files[i];
		}
		if (strstr(files[i].path, "bodies/") != NULL)
			fuzz_body_file = &files[i];
	}
	assert_true(fuzz_segment_count >= 4);
	assert_non_null(fuzz_body_file);
}

void fuzz_spool_restore(void)
{
	char path[900];
	unsigned int i;

	/* not as it began: no segment has the incarnation of another */
	random_state = 12345;
	for (i = 0; i < FUZZ_MESSAGES; i++) {
		fuzz_messages[i].touched = false;
		fuzz_messages[i].added = 0;
	}
	test_remove_tree(fuzz_spool_dir);
	for (i = 0; i < file_count; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", fuzz_spool_dir,
			       files[i].path);
		if (files[i].data == NULL)
			assert_int_equal(mkdir(path, 0700), 0);
		else
			test_write_file(path, files[i].data->data,
					files[i].data->used);
	}
}

void fuzz_spool_setup(void)
{
	struct spool *spool;

	assert_int_equal(randombytes_set_implementation(&repeated_random), 0);
	spool = test_spool_new_of("journal", "");
	fill_spool(&spool);
	spool_close(&spool);
	keep_spool();
}

struct fuzz_message *fuzz_find_message(const message_id *id)
{
	unsigned int n;

	for (n = 0; n < FUZZ_MESSAGES; n++) {
		if (message_id_cmp(&fuzz_messages[n].id, id) == 0)
			return &fuzz_messages[n];
	}
	return NULL;
}
