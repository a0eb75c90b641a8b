/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* An end of one's own: stdin, compressed, as the body of an HTTP response in chunked
   encoding (RFC 9112 7.1). The response stands for what a library of somebody else's
   has: a buffer with little room, which the event loop sends to stdout. */

#include <bobbin/istream.h>
#include <bobbin/ostream.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD                         \
	"HTTP/1.1 200 OK\r\n"        \
	"Content-Encoding: gzip\r\n" \
	"Transfer-Encoding: chunked\r\n\r\n"
#define LAST_CHUNK "0\r\n\r\n"
/* The size of a chunk in hexadecimal, and two line ends. */
#define CHUNK_EXTRA 8

struct response {
	struct ostream *body; /* ends in the functions below */
	struct timeout *sends;
	char buffer[4096];
	size_t used;
	int error; /* why the client is gone */
	int ended; /* the last chunk was added */
};

static void response_send(struct response *r)
{
	ssize_t ret = write(STDOUT_FILENO, r->buffer, r->used);

	if (ret < 0 && (errno == EAGAIN || errno == EINTR))
		return; /* stdout does not block: once more, a moment later */
	if (ret < 0) {
		r->error = errno;
		ret = (ssize_t)r->used;
	}
	r->used -= (size_t)ret;
	memmove(r->buffer, r->buffer + ret, r->used);
	if (r->used == 0)
		timeout_remove(&r->sends);
	o_stream_callback_wake(r->body); /* there is room again */
}

static void response_add(struct response *r, const void *data, size_t size)
{
	memcpy(r->buffer + r->used, data, size);
	r->used += size;
	if (r->sends == NULL)
		r->sends = timeout_add(1, response_send, r);
}

static int response_failed(struct response *r, const char **error_r)
{
	if (r->error == 0)
		return 0;
	*error_r = "the client is gone";
	errno = r->error;
	return -1;
}

/* What the stream calls: takes as much as there is room for, and be it nothing. */
static ssize_t body_write(void *context, const void *data, size_t size,
			  const char **error_r)
{
	struct response *r = context;
	size_t room = sizeof(r->buffer) - r->used;
	char head[16];

	if (response_failed(r, error_r) < 0)
		return -1;
	if (room <= CHUNK_EXTRA)
		return 0;
	if (size > room - CHUNK_EXTRA)
		size = room - CHUNK_EXTRA;
	(void)snprintf(head, sizeof(head), "%x\r\n", (unsigned int)size);
	response_add(r, head, strlen(head));
	response_add(r, data, size);
	response_add(r, "\r\n", 2);
	return (ssize_t)size;
}

/* ...and at the end: 1 when everything was sent. */
static int body_finish(void *context, const char **error_r)
{
	struct response *r = context;

	if (!r->ended && sizeof(r->buffer) - r->used >= strlen(LAST_CHUNK)) {
		response_add(r, LAST_CHUNK, strlen(LAST_CHUNK));
		r->ended = 1;
	}
	if (response_failed(r, error_r) < 0)
		return -1;
	return r->used == 0 ? 1 : 0;
}

/* ...and when it is gone, be it finished or not. */
static void body_destroy(void *context)
{
	struct response *r = context;

	timeout_remove(&r->sends);
}

struct copy {
	struct istream *input;
	struct ostream *output;
	int ret;
};

/* Called at the beginning, and whenever there is room again. */
static int copy_some(struct copy *copy)
{
	switch (o_stream_send_istream(copy->output, copy->input)) {
	case OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT:
		return 0;
	case OSTREAM_SEND_ISTREAM_RESULT_FINISHED:
		copy->ret = o_stream_finish(copy->output);
		break;
	default:
		copy->ret = -1;
		break;
	}
	if (copy->ret != 0)
		io_loop_stop(current_ioloop);
	return copy->ret;
}

int main(void)
{
	static const struct ostream_callback_methods methods = { body_write,
								 body_finish,
								 body_destroy };
	struct ioloop *loop = io_loop_create();
	struct response response = { .used = 0 };
	struct copy copy = { i_stream_create_fd(STDIN_FILENO, 0), NULL, 0 };

	response_add(&response, HEAD, strlen(HEAD));
	response.body = o_stream_create_callback(&methods, &response, 0);
	copy.output = o_stream_create_gzip(response.body, 6);
	o_stream_set_flush_callback(copy.output, copy_some, &copy);
	o_stream_set_flush_pending(copy.output, 1);
	io_loop_run(loop);
	if (copy.ret < 0) {
		fprintf(stderr, "%s\n",
			copy.input->stream_errno != 0 ?
				i_stream_get_error(copy.input) :
				o_stream_get_error(copy.output));
		o_stream_abort(copy.output);
	}
	o_stream_destroy(&copy.output);
	o_stream_destroy(&response.body);
	i_stream_destroy(&copy.input);
	io_loop_destroy(&loop);
	return copy.ret < 0 ? 1 : 0;
}
