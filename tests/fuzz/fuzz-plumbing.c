/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Input streams that pass bytes on, one on top of another: read, skipped, seeked, measured,
   closed, in any order, they give what an array and a position in it would; also those that
   end when time passes, until it does. */

#include "config.h"
#include "fuzz-common.h"
#include "fuzz-loop.h"

#include "hash-method.h"

#include <errno.h>
#include <stdlib.h>

#define LAYERS_MAX 4
#define OPS_MAX 200

/* A stream, and what it is to give. */
struct model {
	struct istream *stream;
	buffer_t *plain; /* all of it */
	int error;       /* behind the last byte; 0: a clean end */
	bool fails;      /* who asks for a size may find that of a part */
	/* copies of what streams read from memory */
	buffer_t *kept[LAYERS_MAX + 1];
	unsigned int kept_count;
	void *hash_context;
	struct fuzz_loop loop;
	unsigned int patience; /* milliseconds; 0: however long */
	/* the other child of a tee, and what that is to give */
	struct istream *other;
	buffer_t *other_plain;
};

static struct istream *make_source(struct model *m, const void *data,
				   size_t size, unsigned int how)
{
	buffer_t *copy = buffer_create_dynamic(default_pool, size + 1);

	buffer_append(copy, data, size);
	m->kept[m->kept_count++] = copy;
	if ((how & 0xc0) == 0)
		return i_stream_create_from_data(copy->data, copy->used);
	return test_trickle_create(copy->data, copy->used,
				   (how & 0x3f) == 0x3f ? 65536 :
							  (how & 0x3f) + 1,
				   (how & 0x80) != 0);
}

static void cut(struct model *m, size_t size, int error)
{
	if (size >= m->plain->used)
		return;
	buffer_set_used_size(m->plain, size);
	m->error = error;
}

static void drop(struct model *m, size_t size)
{
	buffer_t *rest = buffer_create_dynamic(default_pool, 64);

	size = I_MIN(size, m->plain->used);
	buffer_append(rest, (const char *)m->plain->data + size,
		      m->plain->used - size);
	buffer_free(&m->plain);
	m->plain = rest;
}

/* The layer begins where the one below stands. */
static void skip_some(struct model *m, size_t size)
{
	const unsigned char *data;
	size_t have, left = 100000;

	size = I_MIN(size, m->plain->used);
	while (m->stream->v_offset < size) {
		assert_true(left-- > 0);
		if (i_stream_read_more(m->stream, &data, &have) < 0)
			fail_msg("%s", i_stream_get_error(m->stream));
		have = I_MIN(have, size - (size_t)m->stream->v_offset);
		i_stream_skip(m->stream, have);
	}
	drop(m, size);
}

static void add_sized(struct model *m, struct istream **next, size_t size,
		      bool min)
{
	*next = min ? i_stream_create_min_sized(m->stream, size) :
		      i_stream_create_sized(m->stream, size);
	if (size <= m->plain->used)
		cut(m, size, min ? 0 : EINVAL);
	else if (m->error == 0)
		m->error = EPIPE;
}

static void add_parts(struct model *m, struct istream **next, unsigned int what,
		      struct fuzz_input *in)
{
	size_t size = fuzz_byte(in);
	unsigned int how = fuzz_byte(in);
	const unsigned char *data = fuzz_take(in, &size);
	struct istream *part = make_source(m, data, size, how);
	struct istream *parts[3] = { m->stream, part, NULL };
	struct istream_chain *chain;

	if (what == 0) {
		*next = i_stream_create_concat(parts);
	} else if (what == 1) {
		*next = i_stream_create_seekable_path(
			parts, (size_t)fuzz_byte(in) * 8 + 32,
			test_path("seekable"));
	} else {
		*next = i_stream_create_chain(&chain, fuzz_byte(in) + 1);
		i_stream_chain_append(chain, m->stream);
		i_stream_chain_append(chain, part);
		i_stream_chain_append_eof(chain);
	}
	if (m->error == 0)
		buffer_append(m->plain, data, size);
	i_stream_unref(&part);
}

static void add_tee(struct model *m, struct istream **next)
{
	struct tee_istream *tee = tee_i_stream_create(m->stream);
	struct istream *other = tee_i_stream_create_child(tee);

	*next = tee_i_stream_create_child(tee);
	if (m->other != NULL) {
		i_stream_unref(&other);
		return;
	}
	m->other = other;
	m->other_plain = buffer_create_dynamic(default_pool, 64);
	buffer_append(m->other_plain, m->plain->data, m->plain->used);
}

static void add_checked(struct model *m, struct istream **next, bool right)
{
	const struct hash_method *method = hash_method_lookup("crc32c");
	unsigned char digest[4];

	hash_method_get_digest(method, m->plain->data, m->plain->used, digest);
	if (!right)
		digest[1] ^= 1;
	*next = i_stream_create_checked(m->stream, method, digest, "wrong");
	if (!right && m->error == 0)
		m->error = EINVAL;
}

static void replace_nuls(buffer_t *buf)
{
	unsigned char *data = buffer_get_modifiable_data(buf, NULL);
	size_t i;

	for (i = 0; i < buf->used; i++)
		data[i] = data[i] == '\0' ? 0x80 : data[i];
}

static bool never_cancels(uoff_t offset ATTR_UNUSED, void *context ATTR_UNUSED)
{
	return true;
}

static void add_range(struct model *m, struct istream **next, size_t offset,
		      size_t size)
{
	offset = I_MIN(offset, m->plain->used);
	/* see add_layer() */
	if (size == m->plain->used - offset && m->error != 0)
		size++;
	*next = i_stream_create_range(m->stream, m->stream->v_offset + offset,
				      size);
	drop(m, offset);
	cut(m, size, 0);
}

static void add_timeout(struct model *m, struct istream **next_r,
			unsigned int msecs)
{
	*next_r = i_stream_create_timeout(m->stream, msecs);
	if (msecs > 0 && (m->patience == 0 || msecs < m->patience))
		m->patience = msecs;
}

static void add_layer(struct model *m, struct fuzz_input *in)
{
	unsigned int what = fuzz_byte(in);
	size_t n = fuzz_below(in, 300);
	struct istream *next = NULL, *parts[3] = { NULL };

	/* it would wait for the other one */
	if (what >= 0x80 && m->other == NULL)
		skip_some(m, n / 2);
	/* or it would depend on who looks whether the error is met */
	if (n == m->plain->used && m->error != 0)
		n++;
	fuzz_trace("layer %u, %zu%s", what % 17, n,
		   what >= 0x80 ? ", not from the beginning" : "");
	switch (what % 17) {
	case 0:
		next = i_stream_create_limit(m->stream, n);
		cut(m, n, 0);
		break;
	case 1:
		add_range(m, &next, n, fuzz_below(in, 300));
		break;
	case 2:
		add_sized(m, &next, n, false);
		break;
	case 3:
		next = i_stream_create_max_size(m->stream, n);
		cut(m, n, EFBIG);
		break;
	case 4:
	case 5:
	case 6:
		add_parts(m, &next, what % 17 - 4, in);
		break;
	case 7:
		add_tee(m, &next);
		break;
	case 8:
		parts[0] = i_stream_create_error(EINVAL);
		parts[1] = m->stream;
		next = i_stream_create_try(parts);
		i_stream_unref(&parts[0]);
		break;
	case 9:
		next = i_stream_create_hash(
			m->stream, hash_method_lookup("size"), m->hash_context);
		break;
	case 10:
		add_checked(m, &next, n % 2 == 0 && m->error == 0);
		break;
	case 11:
		next = i_stream_create_progress(m->stream, n, never_cancels,
						NULL);
		break;
	case 12:
		next = i_stream_create_nonuls(m->stream, (char)0x80);
		replace_nuls(m->plain);
		break;
	case 13:
		next = i_stream_create_failure_at(m->stream, n, EXDEV, "no");
		cut(m, n, EXDEV);
		if (n == m->plain->used)
			m->error = EXDEV;
		break;
	case 14:
		next = i_stream_create_failure_at_eof(m->stream, EXDEV, "no");
		if (m->error == 0)
			m->error = EXDEV;
		break;
	case 15:
		add_timeout(m, &next, (unsigned int)n);
		break;
	default:
		next = i_stream_create_noop(m->stream);
		break;
	}
	i_stream_unref(&m->stream);
	m->stream = next;
	m->fails = m->fails || m->error != 0;
}

/*
 * Using it
 */

/* What is buffered is what comes next. The size. */
static size_t look(const struct model *m)
{
	const unsigned char *data;
	size_t size, pos = (size_t)m->stream->v_offset;

	data = i_stream_get_data(m->stream, &size);
	if (size == 0)
		return 0;
	assert_true(pos <= m->plain->used && size <= m->plain->used - pos);
	assert_memory_equal(data, (const char *)m->plain->data + pos, size);
	return size;
}

/* So long nobody may have had something to read. */
static bool may_time_out(const struct model *m)
{
	return m->patience > 0 && m->loop.now >= m->patience;
}

/* It says that this is the end. */
static void must_be_the_end(const struct model *m, size_t size)
{
	const struct istream *s = m->stream;

	assert_true(s->eof);
	if (s->stream_errno == ETIMEDOUT) {
		assert_true(may_time_out(m));
		return;
	}
	assert_true(s->v_offset + size >= m->plain->used);
	if (s->stream_errno != 0)
		assert_true(strlen(i_stream_get_error(m->stream)) > 0);
	/* who went on farther may get another one */
	if (s->v_offset > m->plain->used)
		return;
	if (s->stream_errno != m->error)
		fail_msg("errno %d, not %d", s->stream_errno, m->error);
}

/* False: nothing more is to be had. */
static bool read_once(const struct model *m)
{
	size_t before = look(m), after;
	ssize_t ret = i_stream_read(m->stream);

	after = look(m);
	if (ret > 0)
		assert_true(after == before + (size_t)ret);
	if (ret == 0)
		assert_false(m->stream->blocking);
	if (ret == -2)
		assert_true(after > 0);
	if (ret == -1)
		must_be_the_end(m, after);
	return ret != -1;
}

static void read_line(const struct model *m)
{
	size_t pos = (size_t)m->stream->v_offset, size, left;
	const char *from = (const char *)m->plain->data + pos, *lf;
	const char *line = i_stream_read_next_line(m->stream);

	if (line == NULL)
		return;
	assert_true(pos < m->plain->used);
	left = m->plain->used - pos;
	lf = memchr(from, '\n', left);
	assert_non_null(lf);
	size = (size_t)(lf - from);
	assert_int_equal(m->stream->v_offset, pos + size + 1);
	if (size > 0 && from[size - 1] == '\r') {
		size--;
		assert_true(i_stream_last_line_crlf(m->stream));
	}
	if (size > 0)
		assert_memory_equal(line, from, size);
	assert_int_equal(line[size], '\0');
}

/* Who asked for the size met an error: then who reads gets that, and nothing before it. */
static void must_have_failed(const struct model *m)
{
	assert_true(m->fails || may_time_out(m));
	assert_int_not_equal(m->stream->stream_errno, 0);
	assert_true(strlen(i_stream_get_error(m->stream)) > 0);
}

/* False: it fails. */
static bool ask_size(const struct model *m, bool exact)
{
	uoff_t before = m->stream->v_offset, size = 0;
	int ret = i_stream_get_size(m->stream, exact, &size);

	if (ret > 0 && exact && m->error == 0)
		assert_int_equal(size, m->plain->used);
	if (ret >= 0)
		assert_int_equal(m->stream->v_offset, before);
	else
		must_have_failed(m);
	return ret >= 0;
}

static bool ask_stat(const struct model *m, bool exact)
{
	uoff_t before = m->stream->v_offset;
	const struct stat *st;
	int ret = i_stream_stat(m->stream, exact, &st);

	if (ret == 0 && exact && st->st_size != -1 && m->error == 0)
		assert_int_equal(st->st_size, m->plain->used);
	if (ret == 0)
		assert_int_equal(m->stream->v_offset, before);
	else
		must_have_failed(m);
	return ret == 0;
}

static void read_wanted(const struct model *m, size_t wanted)
{
	const unsigned char *data;
	size_t size;
	int ret = i_stream_read_bytes(m->stream, &data, &size, wanted);

	assert_int_equal(size, look(m));
	if (ret > 0)
		assert_true(size >= wanted);
	if (ret == -1)
		must_be_the_end(m, size);
}

static void read_limited(const struct model *m, size_t limit)
{
	const unsigned char *data;
	size_t size;
	int ret = i_stream_read_limited(m->stream, &data, &size, limit);

	assert_true(size <= limit);
	assert_true(size <= look(m));
	if (ret > 0)
		assert_true(size > 0);
	if (ret == -1)
		must_be_the_end(m, size);
}

/* Somebody else reads a part of it, and leaves the stream behind that. */
static void read_by_view(const struct model *m, size_t limit)
{
	uoff_t start = m->stream->v_offset;
	struct istream *view = i_stream_create_limit(m->stream, limit);
	const unsigned char *data;
	size_t size = 0;

	if (i_stream_read_more(view, &data, &size) > 0) {
		assert_true(start + size <= m->plain->used);
		assert_memory_equal(data, (const char *)m->plain->data + start,
				    size);
		size -= size / 3;
		i_stream_skip(view, size);
	} else {
		size = 0;
	}
	i_stream_destroy(&view);
	assert_int_equal(m->stream->v_offset, start + size);
}

/* The other child of a tee reads at its own pace. */
static void read_other(const struct model *m, unsigned int n)
{
	const unsigned char *data;
	size_t size;

	(void)i_stream_read(m->other);
	data = i_stream_get_data(m->other, &size);
	if (size == 0)
		return;
	assert_true(m->other->v_offset + size <= m->other_plain->used);
	assert_memory_equal(
		data, (const char *)m->other_plain->data + m->other->v_offset,
		size);
	i_stream_skip(m->other, I_MIN(size, (size_t)n));
}

static void drop_other(struct model *m)
{
	i_stream_unref(&m->other);
	if (m->other_plain != NULL)
		buffer_free(&m->other_plain);
}

/* False: it has failed, or was closed. */
static bool use(struct model *m, struct fuzz_input *in)
{
	struct istream *s = m->stream;
	unsigned int what = fuzz_byte(in), n = fuzz_byte(in);

	fuzz_trace("at %llu: operation %u, %u", (unsigned long long)s->v_offset,
		   what % 17, n);
	switch (what % 17) {
	case 0:
	case 1:
	case 2:
		(void)read_once(m);
		break;
	case 3:
	case 4:
		i_stream_skip(s, I_MIN((size_t)n, look(m)));
		break;
	case 5:
		/* also what was not read, or is not there */
		i_stream_skip(s, n);
		break;
	case 6:
	case 7:
		n = n * 2 + (what >> 7);
		if (n >= s->v_offset || s->seekable) {
			if (what % 17 == 6)
				i_stream_seek(s, n);
			else
				i_stream_seek_mark(s, n);
			if (s->stream_errno == 0)
				assert_int_equal(s->v_offset, n);
		}
		break;
	case 8:
		i_stream_set_max_buffer_size(s, n + 1);
		break;
	case 9:
		if (!ask_size(m, n % 2 == 0))
			return false;
		break;
	case 10:
		if (!ask_stat(m, n % 2 == 0))
			return false;
		break;
	case 11:
		read_wanted(m, n + 1);
		break;
	case 12:
		read_limited(m, n + 1);
		break;
	case 13:
		read_line(m);
		break;
	case 14:
		read_by_view(m, n);
		break;
	case 15:
		fuzz_loop_pass(&m->loop, n % 64);
		break;
	default:
		if (n != 0x55 && m->other != NULL)
			read_other(m, n);
		if (n != 0x55)
			break;
		i_stream_close(s);
		assert_int_equal(i_stream_read(s), -1);
		assert_int_equal(s->stream_errno, EPIPE);
		break;
	}
	(void)look(m);
	return s->stream_errno == 0;
}

/* All that is left comes, and then the end. */
static void read_rest(const struct model *m)
{
	size_t left = 1000000;

	while (read_once(m)) {
		assert_true(left-- > 0);
		i_stream_skip(m->stream, look(m));
	}
}

void fuzz_one(const unsigned char *data, size_t size)
{
	struct fuzz_input in = { data, data + size };
	struct model m = { .error = 0 };
	unsigned int i, count;
	size_t source_size;
	bool good = true;

	fuzz_loop_begin(&m.loop);
	m.hash_context = calloc(1, hash_method_lookup("size")->context_size);
	assert_non_null(m.hash_context);
	count = fuzz_byte(&in) % (LAYERS_MAX + 1);
	i = fuzz_byte(&in);
	source_size = fuzz_below(&in, 600);
	data = fuzz_take(&in, &source_size);
	m.stream = make_source(&m, data, source_size, i);
	m.plain = buffer_create_dynamic(default_pool, 64);
	buffer_append(m.plain, data, source_size);
	for (i = 0; i < count; i++)
		add_layer(&m, &in);
	fuzz_trace("%zu bytes, errno %d", m.plain->used, m.error);
	for (i = 0; i < OPS_MAX && fuzz_left(&in) > 0; i++)
		good = good && use(&m, &in);
	/* the slowest child decides */
	drop_other(&m);
	if (good)
		read_rest(&m);
	i_stream_unref(&m.stream);
	buffer_free(&m.plain);
	for (i = 0; i < m.kept_count; i++)
		buffer_free(&m.kept[i]);
	free(m.hash_context);
	fuzz_loop_end(&m.loop);
}

void fuzz_setup(void)
{
}

void fuzz_seeds(void)
{
	static const char text[] = "a line\r\nand another\n.\r\n\0 the last";
	unsigned char seed[300];
	uint32_t state = 7;
	unsigned int i, j;

	for (i = 0; i < 100; i++) {
		for (j = 0; j < sizeof(seed); j++)
			seed[j] = (unsigned char)(test_random(&state) >> 11);
		seed[0] = (unsigned char)i;
		seed[2] = 0;
		seed[3] = sizeof(text) - 1;
		memcpy(seed + 4, text, sizeof(text) - 1);
		fuzz_seed(seed, sizeof(seed));
	}
}
