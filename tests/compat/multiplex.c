/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Multiplexed data: the same bytes are written, and the same is read out of them. */

#include "compat-case.h"

static struct ostream *channels(struct ostream *output, struct ostream **second,
				struct ostream **third)
{
	struct ostream *first = o_stream_create_multiplex(
		output, 4096, OSTREAM_MULTIPLEX_FORMAT_PACKET);

	*second = o_stream_multiplex_add_channel(first, 1);
	*third = o_stream_multiplex_add_channel(first, 255);
	return first;
}

static void writes(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 100);
	struct ostream *output = o_stream_create_buffer(buf);
	struct ostream *first, *second, *third;

	first = channels(output, &second, &third);
	NUM(o_stream_multiplex_get_channel_id(first));
	NUM(o_stream_multiplex_get_channel_id(third));
	CALL(o_stream_send_str(first, "hello"));
	CALL(o_stream_send_str(third, "x"));
	CALL(o_stream_send(second, "\0\xff\n", 3));
	say("sent: %s", shown(buf->data, buf->used));
	NUM(second->offset);
	buffer_set_used_size(buf, 0);
	o_stream_cork(second);
	CALL(o_stream_send_str(second, "ab"));
	CALL(o_stream_send_str(second, "cd"));
	say("corked: %s", shown(buf->data, buf->used));
	o_stream_uncork(second);
	say("uncorked: %s", shown(buf->data, buf->used));
	CALL(o_stream_finish(first));
	CALL(o_stream_finish(second));
	CALL(o_stream_finish(third));
	o_stream_unref(&first);
	o_stream_unref(&third);
	o_stream_unref(&second);
	CALL(o_stream_finish(output));
	o_stream_unref(&output);
	buffer_free(&buf);
}

static void fails(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 100);
	struct ostream *sink = o_stream_create_buffer(buf);
	struct ostream *output = o_stream_create_failure_at(sink, 0, "cut");
	struct ostream *first, *second, *third;

	first = channels(output, &second, &third);
	CALL(o_stream_send_str(first, "hello"));
	say("first: errno %s", errno_name(first->stream_errno));
	say("third: errno %s", errno_name(third->stream_errno));
	CALL(o_stream_finish(second));
	o_stream_ignore_last_errors(first);
	o_stream_ignore_last_errors(output);
	o_stream_unref(&first);
	o_stream_unref(&third);
	o_stream_unref(&second);
	o_stream_unref(&output);
	o_stream_unref(&sink);
	buffer_free(&buf);
}

static void read_from(const char *data, size_t size)
{
	struct istream *parent = i_stream_create_from_data(data, size);
	struct istream *first = i_stream_create_multiplex(parent, 4096);
	struct istream *second = i_stream_multiplex_add_channel(first, 1);

	NUM(i_stream_multiplex_get_channel_id(second));
	say_rest("second", second);
	say_rest("first", first);
	i_stream_unref(&first);
	i_stream_unref(&second);
	i_stream_unref(&parent);
}

static void reads(void)
{
	static const char data[] = "\0\0\0\0\5hello\7\0\0\0\3abc\1\0\0\0\2xy"
				   "\0\0\0\0\1!";

	read_from(data, sizeof(data) - 1);
}

static void reads_cut(void)
{
	static const char data[] = "\1\0\0\0\1x\0\0\0\0\5hel";

	read_from(data, sizeof(data) - 1);
}

const struct compat_case compat_multiplex[] = {
	{ "multiplex writes", writes },
	{ "multiplex fails", fails },
	{ "multiplex reads", reads },
	{ "multiplex reads cut", reads_cut },
	{ NULL, NULL },
};
