/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output that has to be the same however it is sent: what writes text, in pieces or at once,
   or read; channels that share one output, read back by the other side, which reads any
   bytes, too, as the same channels however they come; and functions that are written to,
   which get each byte once and in order, refuse some, and are asked again when they said
   so. */

#include "config.h"
#include "fuzz-common.h"
#include "fuzz-loop.h"

#include "stack-spec.h"
#include "test-taker.h"

#include <errno.h>
#include <stdlib.h>

#define CHANNELS 3u
#define CHOICES_SIZE 24
#define OPS_MAX 300

/*
 * Text
 */

static const char *const encoders[] = {
	"dot",
	"dot:extra_crlf=yes",
	"qp",
	"qp:binary=yes",
	"json",
	"crlf",
	"lf",
	"hex",
	"base64",
	"base64:76",
	"base64url:line=4",
	"armor",
};

static int send_all(struct ostream *output, struct test_sink *sink,
		    const unsigned char *data, size_t size,
		    struct fuzz_input *choices)
{
	if (choices == NULL)
		return o_stream_send(output, data, size) == (ssize_t)size ?
			fuzz_finish(output, sink, 0) :
			EIO;
	return fuzz_send(output, sink, data, size, choices) == 0 ?
		fuzz_finish(output, sink, 7) :
		EIO;
}

/* With choices: in pieces, and the sink is full for a while. */
static buffer_t *encode(const struct stack_spec *spec,
			const unsigned char *data, size_t size,
			struct fuzz_input *choices)
{
	struct test_sink *sink = test_sink_create(
		choices == NULL ? SIZE_MAX : fuzz_byte(choices),
		choices == NULL ? 0 : fuzz_byte(choices));
	struct ostream *output =
		stack_spec_create_output(spec, NULL, sink->stream, NULL);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);

	if (choices != NULL)
		o_stream_set_max_buffer_size(output, fuzz_byte(choices) + 1);
	if (send_all(output, sink, data, size, choices) != 0)
		fail_msg("%s", o_stream_get_error(output));
	buffer_append(out, sink->data->data, sink->data->used);
	o_stream_destroy(&output);
	test_sink_free(&sink);
	return out;
}

static buffer_t *read_encoded(const struct stack_spec *spec,
			      const unsigned char *data, size_t size,
			      struct fuzz_input *choices)
{
	const struct stream_kind *kind = stack_spec_layer_kind(spec, 0);
	size_t step = fuzz_byte(choices) + 1;
	struct istream *source =
		test_trickle_create(data, size, step, step % 2 == 0);
	struct stream_options options;
	struct istream *input;
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	unsigned int i;

	memset(&options, 0, sizeof(options));
	for (i = 0; kind->options[i].name != NULL; i++)
		options.values[i].number = kind->options[i].def;
	input = i_stream_create_transform(
		source, stream_kind_transform(kind, true, &options));
	i_stream_set_max_buffer_size(input, fuzz_byte(choices) + 1);
	assert_int_equal(fuzz_read(input, out, choices), 0);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	return out;
}

static void encode_text(struct fuzz_input *in)
{
	const char *text = encoders[fuzz_byte(in) % N_ELEMENTS(encoders)];
	struct stack_spec *spec = test_stack_parse(text);
	size_t choices_size = CHOICES_SIZE, size;
	struct fuzz_input choices, same;
	buffer_t *whole, *pieces, *pulled;
	const unsigned char *data;

	choices.data = fuzz_take(in, &choices_size);
	choices.end = choices.data + choices_size;
	same = choices;
	size = fuzz_left(in);
	data = fuzz_take(in, &size);
	whole = encode(spec, data, size, NULL);
	pieces = encode(spec, data, size, &choices);
	fuzz_same(pieces, whole->data, whole->used, text);
	buffer_free(&pieces);
	/* with its options as they are unless said */
	if (strchr(text, ':') == NULL) {
		pulled = read_encoded(spec, data, size, &same);
		fuzz_same(pulled, whole->data, whole->used, text);
		buffer_free(&pulled);
	}
	buffer_free(&whole);
	stack_spec_free(&spec);
}

/*
 * Channels
 */

struct channels {
	struct ostream *outputs[CHANNELS];
	buffer_t *sent[CHANNELS];
};

static void read_channels(const void *data, size_t size, size_t step,
			  size_t bufsize, unsigned int first,
			  buffer_t *got[CHANNELS], int *error_r)
{
	struct istream *source =
		test_trickle_create(data, size, step, step % 2 == 0);
	struct istream *inputs[CHANNELS];
	bool ended[CHANNELS] = { false };
	unsigned int i, n, left = 1000000, open = CHANNELS;
	const unsigned char *bytes;
	ssize_t ret;

	inputs[0] = i_stream_create_multiplex(source, bufsize);
	for (i = 1; i < CHANNELS; i++)
		inputs[i] =
			i_stream_multiplex_add_channel(inputs[0], (uint8_t)i);
	for (i = first; open > 0; i++) {
		assert_true(--left > 0);
		if (ended[i % CHANNELS])
			continue;
		ret = i_stream_read(inputs[i % CHANNELS]);
		bytes = i_stream_get_data(inputs[i % CHANNELS], &size);
		/* not all at once: it has to wait for us */
		n = (unsigned int)(ret == -1 ? size : size - size / 4);
		if (n > 0)
			buffer_append(got[i % CHANNELS], bytes, n);
		i_stream_skip(inputs[i % CHANNELS], n);
		ended[i % CHANNELS] = ret == -1;
		open -= ret == -1 ? 1 : 0;
	}
	*error_r = inputs[0]->stream_errno;
	for (i = 0; i < CHANNELS; i++) {
		assert_int_equal(inputs[i]->stream_errno, *error_r);
		i_stream_unref(&inputs[i]);
	}
	i_stream_unref(&source);
}

static void new_buffers(buffer_t *bufs[CHANNELS])
{
	unsigned int i;

	for (i = 0; i < CHANNELS; i++)
		bufs[i] = buffer_create_dynamic(default_pool, 64);
}

static void free_buffers(buffer_t *bufs[CHANNELS])
{
	unsigned int i;

	for (i = 0; i < CHANNELS; i++)
		buffer_free(&bufs[i]);
}

static void use_channel(struct channels *c, struct test_sink *sink,
			struct fuzz_input *in)
{
	static const char escapes[] = "\0\xff\xff\xff\xff\x01\0\xff\x02\x03";
	unsigned int what = fuzz_byte(in), i = what % CHANNELS, n;
	char data[512];
	ssize_t ret;

	n = fuzz_byte(in);
	fuzz_trace("channel %u: %u, %u", i, what >> 5, n);
	switch (what >> 5) {
	case 0:
		o_stream_cork(c->outputs[i]);
		break;
	case 1:
		o_stream_uncork(c->outputs[i]);
		break;
	case 2:
		assert_true(o_stream_flush(c->outputs[i]) >= 0);
		break;
	case 3:
		if (sink->room != SIZE_MAX)
			test_sink_allow(sink, n);
		break;
	default:
		memset(data, (int)what, sizeof(data));
		memcpy(data + n / 2, escapes, sizeof(escapes));
		n = n * 2 % sizeof(data);
		ret = o_stream_send(c->outputs[i], data, n);
		assert_true(ret >= 0 && (size_t)ret <= n);
		buffer_append(c->sent[i], data, (size_t)ret);
		break;
	}
}

static void finish_channels(struct channels *c, struct test_sink *sink)
{
	unsigned int i;

	for (i = 0; i < CHANNELS; i++) {
		assert_int_equal(fuzz_finish(c->outputs[i], sink, 100), 0);
		assert_int_equal(c->outputs[i]->offset, c->sent[i]->used);
	}
	assert_int_equal(sink->finishes > 0, 1);
	for (i = 0; i < CHANNELS; i++)
		o_stream_destroy(&c->outputs[i]);
}

static void write_channels(struct fuzz_input *in)
{
	unsigned int how = fuzz_byte(in), i;
	size_t room = fuzz_byte(in), step = fuzz_byte(in);
	size_t bufsize = (how & 2) != 0 ? 0 : fuzz_byte(in) + 1u;
	size_t read_step = fuzz_byte(in) + 1u;
	struct test_sink *sink = test_sink_create(
		(how & 4) != 0 ? SIZE_MAX : room, (how & 8) != 0 ? step : 0);
	struct channels c;
	buffer_t *got[CHANNELS];
	int error;

	c.outputs[0] = o_stream_create_multiplex(
		sink->stream, bufsize,
		(how & 1) != 0 ? OSTREAM_MULTIPLEX_FORMAT_STREAM :
				 OSTREAM_MULTIPLEX_FORMAT_PACKET);
	for (i = 1; i < CHANNELS; i++)
		c.outputs[i] = o_stream_multiplex_add_channel(c.outputs[0],
							      (uint8_t)i);
	new_buffers(c.sent);
	new_buffers(got);
	for (i = 0; i < OPS_MAX && fuzz_left(in) > 0; i++)
		use_channel(&c, sink, in);
	finish_channels(&c, sink);
	read_channels(sink->data->data, sink->data->used, read_step, bufsize,
		      how >> 4, got, &error);
	if (error != 0 && sink->data->used > 0)
		fail_msg("errno %d", error);
	for (i = 0; i < CHANNELS; i++)
		fuzz_same(got[i], c.sent[i]->data, c.sent[i]->used, "channel");
	free_buffers(c.sent);
	free_buffers(got);
	test_sink_free(&sink);
}

static void read_anything(struct fuzz_input *in)
{
	size_t step = fuzz_byte(in) + 1, bufsize = fuzz_byte(in) + 1, size;
	const unsigned char *data;
	buffer_t *one[CHANNELS], *two[CHANNELS];
	int error, other_error;
	unsigned int i;

	size = fuzz_left(in);
	data = fuzz_take(in, &size);
	new_buffers(one);
	new_buffers(two);
	read_channels(data, size, 65536, 0, 0, one, &error);
	read_channels(data, size, step, bufsize, 1, two, &other_error);
	assert_true(error == 0 || error == EPIPE || error == EINVAL);
	assert_int_equal(error, other_error);
	for (i = 0; i < CHANNELS; i++)
		fuzz_same(one[i], two[i]->data, two[i]->used, "channel");
	free_buffers(one);
	free_buffers(two);
}

/*
 * Functions
 */

/* test_taker looks at what each call of a function is given. */
struct written {
	struct fuzz_loop loop;
	struct test_taker t;
	buffer_t *sent;
	bool has_loop, has_callback, corked;
	size_t max;        /* what the stream may buffer */
	unsigned int seen; /* of the calls of write */
	size_t got_before; /* the last one */
	bool refused, woken;
	unsigned int wakes_inside;
};

static void wake(struct written *w)
{
	w->woken = true;
	o_stream_callback_wake(w->t.s);
}

static void wake_inside(struct test_taker *t)
{
	struct written *w = container_of(t, struct written, t);

	/* what was said before is old */
	w->woken = false;
	w->got_before = t->got->used;
	if (w->wakes_inside > 0) {
		w->wakes_inside--;
		wake(w);
	}
}

static int flush_later(struct written *w)
{
	return o_stream_flush(w->t.s);
}

/* It has all that was sent but what is buffered, or has failed. */
static void look_at_written(struct written *w)
{
	const struct test_taker *t = &w->t;
	size_t used = o_stream_get_buffer_used_size(t->s);

	if (t->writes > w->seen)
		w->refused = t->got->used == w->got_before;
	w->seen = t->writes;
	assert_int_equal(t->s->offset, w->sent->used);
	assert_true(t->got->used <= w->sent->used);
	fuzz_same(t->got, w->sent->data, t->got->used, "written");
	if (t->s->stream_errno != 0)
		return;
	assert_int_equal(t->got->used + used, w->sent->used);
	assert_true(used <= w->max);
	/* nothing waits without a reason */
	if (!w->corked && !w->refused)
		assert_int_equal(used, 0);
}

static void send_some(struct written *w, size_t size, unsigned int pieces)
{
	struct ostream *s = w->t.s;
	size_t avail = o_stream_get_buffer_avail_size(s), i, sent = 0;
	struct const_iovec iov[4];
	unsigned char data[4 * 300];
	ssize_t ret;

	for (i = 0; i < size * pieces; i++)
		data[i] = (unsigned char)((w->sent->used + i) * 7 / 5);
	for (i = 0; i < pieces; i++) {
		iov[i].iov_base = data + i * size;
		iov[i].iov_len = size;
	}
	ret = pieces == 1 ? o_stream_send(s, data, size) :
			    o_stream_sendv(s, iov, pieces);
	size *= pieces;
	if (ret < 0) {
		assert_int_not_equal(s->stream_errno, 0);
		/* what it took before is counted */
		assert_true(s->offset >= w->sent->used);
		sent = (size_t)(s->offset - w->sent->used);
	} else {
		sent = (size_t)ret;
		assert_true(sent <= size);
		assert_true(sent >= I_MIN(size, avail));
		if (sent < size)
			assert_int_equal(o_stream_get_buffer_avail_size(s), 0);
	}
	buffer_append(w->sent, data, sent);
}

/* Who has refused is asked again once he has said that there is room, and not before. */
static void pass_time(struct written *w, unsigned int msecs)
{
	unsigned int writes = w->t.writes, finishes = w->t.finishes;
	bool waits = o_stream_get_buffer_used_size(w->t.s) > 0 && !w->corked &&
		w->t.s->stream_errno == 0;
	bool was_woken = w->woken;

	if (!w->has_loop)
		return;
	fuzz_loop_pass(&w->loop, msecs);
	/* an event behind a turn without one is told once more */
	fuzz_loop_pass(&w->loop, 0);
	if (w->refused && !was_woken) {
		assert_int_equal(w->t.writes, writes);
		assert_int_equal(w->t.finishes, finishes);
	} else if (waits) {
		assert_true(w->t.writes > writes);
	}
}

static void use_written(struct written *w, struct fuzz_input *in)
{
	unsigned int what = fuzz_byte(in), n = fuzz_byte(in);
	struct ostream *s = w->t.s;

	fuzz_trace("at %llu: operation %u, %u", (unsigned long long)s->offset,
		   what % 16, n);
	switch (what % 16) {
	case 0:
		o_stream_cork(s);
		w->corked = true;
		break;
	case 1:
		w->corked = false;
		o_stream_uncork(s);
		break;
	case 2:
		if (o_stream_flush(s) > 0)
			assert_int_equal(o_stream_get_buffer_used_size(s), 0);
		break;
	case 3:
		(void)o_stream_check(s);
		break;
	case 4:
		w->t.room = n >= 0xf0 ? SIZE_MAX : n;
		break;
	case 5:
		w->t.step = n;
		break;
	case 6:
		wake(w);
		break;
	case 7:
	case 8:
		pass_time(w, n % 2);
		break;
	case 9:
		o_stream_set_flush_pending(s, n % 2 != 0);
		break;
	case 10:
		w->wakes_inside = n % 4;
		break;
	case 11:
		/* now and then for good, else as a refusal */
		w->t.fails = n % 8 == 0;
		w->t.error = n % 16 == 0 ? EIO : EAGAIN;
		break;
	default:
		send_some(w, n + what / 16, what % 4 + 1);
		break;
	}
}

/* All that was taken comes, and then the finish, however often it has to wait. */
static void finish_written(struct written *w)
{
	struct ostream *s = w->t.s;
	unsigned int left = 1000;
	int ret;

	w->t.room = SIZE_MAX;
	w->t.fails = false;
	o_stream_uncork(s);
	w->corked = false;
	while ((ret = o_stream_finish(s)) == 0) {
		assert_true(--left > 0);
		wake(w);
		pass_time(w, 0);
	}
	assert_int_equal(ret < 0, s->stream_errno != 0);
	if (ret < 0) {
		o_stream_abort(s);
		return;
	}
	assert_int_equal(w->t.refusals, 0);
	fuzz_same(w->t.got, w->sent->data, w->sent->used, "written");
}

static void write_to_functions(struct fuzz_input *in)
{
	unsigned int how = fuzz_byte(in), i;
	size_t max = fuzz_byte(in) * 3u + 1;
	struct written w;

	memset(&w, 0, sizeof(w));
	w.has_loop = (how & 1) != 0;
	w.has_callback = (how & 2) != 0;
	w.max = max;
	w.sent = buffer_create_dynamic(default_pool, 1024);
	if (w.has_loop)
		fuzz_loop_begin(&w.loop);
	test_taker_init(&w.t, max, (how & 4) != 0);
	w.t.inside = wake_inside;
	w.t.refusals = (how & 4) != 0 ? how / 64 : 0;
	if (w.has_callback)
		o_stream_set_flush_callback(w.t.s, flush_later, &w);
	for (i = 0; i < OPS_MAX && fuzz_left(in) > 0; i++) {
		use_written(&w, in);
		look_at_written(&w);
	}
	if ((how & 8) != 0)
		o_stream_abort(w.t.s);
	else
		finish_written(&w);
	test_taker_free(&w.t);
	if (w.has_loop)
		fuzz_loop_end(&w.loop);
	buffer_free(&w.sent);
}

void fuzz_one(const unsigned char *data, size_t size)
{
	struct fuzz_input in = { data, data + size };

	switch (fuzz_byte(&in) % 4) {
	case 0:
		encode_text(&in);
		break;
	case 1:
		write_channels(&in);
		break;
	case 2:
		read_anything(&in);
		break;
	default:
		write_to_functions(&in);
		break;
	}
}

void fuzz_setup(void)
{
}

static void seed_channels(enum ostream_multiplex_format format)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 256);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *first = o_stream_create_multiplex(end, 0, format);
	struct ostream *second = o_stream_multiplex_add_channel(first, 1);

	o_stream_nsend_str(first, "first");
	o_stream_nsend_str(second, "second\xff\xff\xff");
	o_stream_nsend_str(first, "and on");
	assert_int_equal(o_stream_finish(first), 1);
	assert_int_equal(o_stream_finish(second), 1);
	o_stream_destroy(&second);
	o_stream_destroy(&first);
	o_stream_destroy(&end);
	fuzz_seed_with("\2\0\7", 3, buf->data, buf->used);
	buffer_free(&buf);
}

void fuzz_seeds(void)
{
	static const char text[] = "..\r\n.a\n\r.b = \xc3\xa4\xff \t\r\r\nend.";
	unsigned char choices[2 + CHOICES_SIZE], ops[64];
	uint32_t state = 3;
	unsigned int i, j;

	for (i = 0; i < 2 * N_ELEMENTS(encoders); i++) {
		memset(choices, (int)i * 3, sizeof(choices));
		choices[0] = 0;
		choices[1] = (unsigned char)i;
		fuzz_seed_with(choices, sizeof(choices), text,
			       sizeof(text) - 1);
	}
	for (i = 0; i < 60; i++) {
		for (j = 0; j < sizeof(ops); j++)
			ops[j] = (unsigned char)(test_random(&state) >> 11);
		ops[0] = i % 2 == 0 ? 1 : 3;
		fuzz_seed(ops, sizeof(ops));
	}
	seed_channels(OSTREAM_MULTIPLEX_FORMAT_PACKET);
	seed_channels(OSTREAM_MULTIPLEX_FORMAT_STREAM);
}
