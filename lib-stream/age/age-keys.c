/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "age-keys.h"
#include "age-bech32.h"
#include "age-keys-private.h"
#include "buffer.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"
#include "ostream.h"
#include "panic.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HRP_RECIPIENT "age"
#define HRP_IDENTITY "age-secret-key-"
#define KEY_FILE_MAX ((size_t)16 * 1024 * 1024)
#define KEYS_MAX 1024

static int fail(char **error_r, int error, const char *fmt, ...)
	ATTR_FORMAT(3, 4);
static int fail(char **error_r, int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	*error_r = i_strdup_vprintf(fmt, args);
	va_end(args);
	errno = error;
	return -1;
}

static void need_sodium(void)
{
	/* it may be called again, by any thread */
	if (sodium_init() < 0)
		i_panic("libsodium cannot be initialised");
}

/*
 * Recipients
 */

struct age_recipients *age_recipients_new(void)
{
	struct age_recipients *set = i_new(struct age_recipients, 1);

	need_sodium();
	atomic_init(&set->refcount, 1);
	return set;
}

void age_recipients_ref(struct age_recipients *set)
{
	(void)atomic_fetch_add(&set->refcount, 1);
}

void age_recipients_unref(struct age_recipients **_set)
{
	struct age_recipients *set = *_set;

	*_set = NULL;
	if (set == NULL || atomic_fetch_sub(&set->refcount, 1) > 1)
		return;
	i_free(set->keys);
	i_free(set);
}

unsigned int age_recipients_count(const struct age_recipients *set)
{
	return set->count;
}

void age_recipients_get_text(const struct age_recipients *set, unsigned int i,
			     char text_r[AGE_RECIPIENT_TEXT_SIZE])
{
	i_assert(i < set->count);
	bech32_encode_key(HRP_RECIPIENT, set->keys[i], false, text_r);
}

static int recipients_append(struct age_recipients *set,
			     const unsigned char key[AGE_KEY_SIZE],
			     char **error_r)
{
	unsigned int alloc = set->alloc == 0 ? 4 : set->alloc * 2, i;
	void *keys;

	/* once is enough */
	for (i = 0; i < set->count; i++) {
		if (memcmp(set->keys[i], key, AGE_KEY_SIZE) == 0)
			return 0;
	}
	if (set->count == KEYS_MAX)
		return fail(error_r, EFBIG, "more than %u recipients",
			    KEYS_MAX);
	if (set->count == set->alloc) {
		keys = try_realloc(set->keys, alloc * sizeof(*set->keys));
		if (keys == NULL)
			return fail(error_r, ENOMEM, "out of memory");
		set->keys = keys;
		set->alloc = alloc;
	}
	memcpy(set->keys[set->count++], key, AGE_KEY_SIZE);
	return 0;
}

static int add_recipient(struct age_recipients *set, const char *text,
			 size_t size, char **error_r)
{
	unsigned char key[AGE_KEY_SIZE];

	if (!bech32_decode_key(HRP_RECIPIENT, text, size, false, key))
		return fail(error_r, EINVAL,
			    "not an age recipient (\"age1\" and 58 lower case "
			    "letters and digits, the last six a checksum)");
	return recipients_append(set, key, error_r);
}

int age_recipients_add(struct age_recipients *set, const char *text,
		       char **error_r)
{
	return add_recipient(set, text, strlen(text), error_r);
}

/*
 * Identities
 */

struct age_identities *age_identities_new(void)
{
	struct age_identities *set = i_new(struct age_identities, 1);

	need_sodium();
	atomic_init(&set->refcount, 1);
	return set;
}

void age_identities_ref(struct age_identities *set)
{
	(void)atomic_fetch_add(&set->refcount, 1);
}

void age_identities_unref(struct age_identities **_set)
{
	struct age_identities *set = *_set;

	*_set = NULL;
	if (set == NULL || atomic_fetch_sub(&set->refcount, 1) > 1)
		return;
	/* sodium_free() wipes */
	sodium_free(set->secrets);
	sodium_free(set->passphrase);
	i_free(set);
}

unsigned int age_identities_count(const struct age_identities *set)
{
	return set->count;
}

/* Makes room for one more in a new guarded region. */
static int identities_grow(struct age_identities *set, char **error_r)
{
	unsigned int alloc = set->alloc == 0 ? 4 : set->alloc * 2;
	struct age_secret *secrets;

	if (set->count < set->alloc)
		return 0;
	if (set->count >= KEYS_MAX)
		return fail(error_r, EFBIG, "more than %u identities",
			    KEYS_MAX);
	/* it is locked into memory where the limits allow that */
	secrets = sodium_allocarray(alloc, sizeof(*secrets));
	if (secrets == NULL)
		return fail(error_r, ENOMEM, "out of memory");
	if (set->count > 0)
		memcpy(secrets, set->secrets, set->count * sizeof(*secrets));
	sodium_free(set->secrets);
	set->secrets = secrets;
	set->alloc = alloc;
	return 0;
}

static int add_identity(struct age_identities *set, const char *text,
			size_t size, char **error_r)
{
	struct age_secret *slot;

	if (identities_grow(set, error_r) < 0)
		return -1;
	slot = &set->secrets[set->count];
	if (!bech32_decode_key(HRP_IDENTITY, text, size, true, slot->secret))
		return fail(error_r, EINVAL,
			    "not an age identity of a kind that is known here "
			    "(\"AGE-SECRET-KEY-1\" and 58 upper case letters "
			    "and digits, the last six a checksum)");
	(void)crypto_scalarmult_curve25519_base(slot->recipient, slot->secret);
	set->count++;
	return 0;
}

int age_identities_add(struct age_identities *set, const char *text,
		       char **error_r)
{
	return add_identity(set, text, strlen(text), error_r);
}

int age_identities_add_passphrase(struct age_identities *set,
				  const char *passphrase,
				  unsigned int max_log_n, char **error_r)
{
	size_t size = strlen(passphrase) + 1;

	if (size == 1)
		return fail(error_r, EINVAL, "the passphrase is empty");
	if (max_log_n < 1 || max_log_n > 22)
		return fail(error_r, EINVAL,
			    "the largest work factor must be 1 to 22");
	sodium_free(set->passphrase);
	set->passphrase = sodium_malloc(size);
	if (set->passphrase == NULL)
		return fail(error_r, ENOMEM, "out of memory");
	memcpy(set->passphrase, passphrase, size);
	set->max_log_n = max_log_n;
	return 0;
}

void age_identities_get_recipient(const struct age_identities *set,
				  unsigned int i,
				  char text_r[AGE_RECIPIENT_TEXT_SIZE])
{
	i_assert(i < set->count);
	bech32_encode_key(HRP_RECIPIENT, set->secrets[i].recipient, false,
			  text_r);
}

/*
 * Files of keys
 */

/* A file's text, in guarded memory. */
struct key_file {
	char *data;
	size_t size;
	bool exposed; /* others than its owner may read it */
};

static int read_key_fd(int fd, const char *path, struct key_file *file,
		       char **error_r)
{
	struct stat st;
	size_t alloc = 65536; /* a pipe has no size: enough for many keys */
	ssize_t ret;

	if (file_ops()->fstat(fd, &st) < 0)
		return fail(error_r, errno, "fstat(%s) failed: %s", path,
			    strerror(errno));
	if (S_ISREG(st.st_mode)) {
		if (st.st_size > (off_t)KEY_FILE_MAX)
			return fail(error_r, EFBIG,
				    "%s: larger than a file of keys may be "
				    "(16 MiB)",
				    path);
		alloc = (size_t)st.st_size + 1;
		file->exposed = (st.st_mode & 077) != 0;
	}
	file->data = sodium_malloc(alloc);
	if (file->data == NULL)
		return fail(error_r, ENOMEM, "%s: out of memory", path);
	while (file->size < alloc) {
		ret = file_read(fd, file->data + file->size,
				alloc - file->size);
		if (ret < 0)
			return fail(error_r, errno, "read(%s) failed: %s", path,
				    strerror(errno));
		if (ret == 0)
			return 0;
		file->size += (size_t)ret;
	}
	return fail(error_r, EFBIG, "%s: larger than %zu bytes", path,
		    alloc - 1);
}

typedef int add_key_t(void *set, const char *text, size_t size, char **error_r);

static int add_recipient_line(void *set, const char *text, size_t size,
			      char **error_r)
{
	return add_recipient(set, text, size, error_r);
}

static int add_identity_line(void *set, const char *text, size_t size,
			     char **error_r)
{
	return add_identity(set, text, size, error_r);
}

/* Gives each line that is neither empty nor a comment to add(). */
static int add_lines(const char *path, const char *data, size_t size,
		     const char *what, add_key_t *add, void *set,
		     char **error_r)
{
	const char *end = data + size, *lf;
	unsigned int line = 0, added = 0;
	char *reason;
	size_t len;

	for (; data < end; data = lf + 1) {
		line++;
		lf = memchr(data, '\n', (size_t)(end - data));
		if (lf == NULL)
			lf = end;
		len = (size_t)(lf - data);
		if (len > 0 && data[len - 1] == '\r')
			len--;
		if (len > 0 && data[0] != '#') {
			if (add(set, data, len, &reason) < 0) {
				(void)fail(error_r, errno, "%s: line %u: %s",
					   path, line, reason);
				i_free(reason);
				return -1;
			}
			added++;
		}
		if (lf == end)
			break;
	}
	if (added == 0)
		return fail(error_r, EINVAL, "%s: there is no %s in it", path,
			    what);
	return 0;
}

static int add_key_fd(int fd, const char *path, const char *what,
		      add_key_t *add, void *set, bool *exposed_r,
		      char **error_r)
{
	struct key_file file = { NULL, 0, false };
	int ret, old_errno;

	ret = read_key_fd(fd, path, &file, error_r);
	if (ret == 0)
		ret = add_lines(path, file.data, file.size, what, add, set,
				error_r);
	if (ret == 0 && exposed_r != NULL)
		*exposed_r = file.exposed;
	old_errno = errno;
	sodium_free(file.data);
	errno = old_errno;
	return ret;
}

static int add_key_file(const char *path, const char *what, add_key_t *add,
			void *set, bool *exposed_r, char **error_r)
{
	int fd, ret, old_errno;

	fd = file_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
	if (fd < 0)
		return fail(error_r, errno, "open(%s) failed: %s", path,
			    strerror(errno));
	ret = add_key_fd(fd, path, what, add, set, exposed_r, error_r);
	old_errno = errno;
	(void)file_close(&fd);
	errno = old_errno;
	return ret;
}

int age_recipients_add_file(struct age_recipients *set, const char *path,
			    char **error_r)
{
	return add_key_file(path, "recipient", add_recipient_line, set, NULL,
			    error_r);
}

int age_recipients_add_fd(struct age_recipients *set, int fd, const char *name,
			  char **error_r)
{
	return add_key_fd(fd, name, "recipient", add_recipient_line, set, NULL,
			  error_r);
}

int age_identities_add_file(struct age_identities *set, const char *path,
			    bool *exposed_r, char **error_r)
{
	return add_key_file(path, "identity", add_identity_line, set, exposed_r,
			    error_r);
}

/*
 * New keys
 */

static void send_key_file(struct ostream *output, const char *recipient,
			  const char *identity)
{
	char created[64];
	struct tm tm;
	time_t now = time(NULL);

	if (gmtime_r(&now, &tm) != NULL &&
	    strftime(created, sizeof(created),
		     "# created: %Y-%m-%dT%H:%M:%SZ\n", &tm) > 0)
		o_stream_nsend_str(output, created);
	o_stream_nsend_str(output, "# public key: ");
	o_stream_nsend_str(output, recipient);
	o_stream_nsend_str(output, "\n");
	o_stream_nsend_str(output, identity);
	o_stream_nsend_str(output, "\n");
}

int age_keygen(const char *path, char text_r[AGE_RECIPIENT_TEXT_SIZE],
	       char **error_r)
{
	struct age_secret key;
	char identity[AGE_IDENTITY_TEXT_SIZE];
	struct ostream *output;
	int ret = 0;

	need_sodium();
	randombytes_buf(key.secret, sizeof(key.secret));
	(void)crypto_scalarmult_curve25519_base(key.recipient, key.secret);
	bech32_encode_key(HRP_IDENTITY, key.secret, true, identity);
	bech32_encode_key(HRP_RECIPIENT, key.recipient, false, text_r);
	/* not corked: what is sent goes straight to the file, and no buffer of
	   ours keeps the secret */
	output = o_stream_create_file_atomic(
		path, 0600, OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
	send_key_file(output, text_r, identity);
	sodium_memzero(&key, sizeof(key));
	sodium_memzero(identity, sizeof(identity));
	if (o_stream_finish(output) <= 0)
		ret = fail(error_r, output->stream_errno, "%s",
			   o_stream_get_error(output));
	o_stream_destroy(&output);
	return ret;
}
