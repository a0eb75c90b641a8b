/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A fast sender and a slow reader. The output may buffer without a limit, so that no
   record is ever cut in two; what bounds the memory is that the sender looks, after
   each record, at how much waits, and stops until the reader has taken some. */

#include <bobbin/ostream.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD_SIZE 700
#define RECORDS 20000
#define ENOUGH (256 * 1024)

struct sender {
	struct ostream *output;
	unsigned int records;
	size_t most; /* that ever waited, in bytes */
};

struct reader {
	int fd;
	size_t bytes;
};

/* Called whenever the socket takes more, and once at the beginning. */
static int send_records(struct sender *sender)
{
	static const char record[RECORD_SIZE];
	size_t waiting;
	int ret;

	if (o_stream_flush(sender->output) < 0)
		return -1;
	while (sender->records < RECORDS) {
		o_stream_nsend(sender->output, record, sizeof(record));
		sender->records++;
		waiting = o_stream_get_buffer_used_size(sender->output);
		if (waiting > sender->most)
			sender->most = waiting;
		if (waiting >= ENOUGH)
			return 0; /* call again when the socket takes more */
	}
	ret = o_stream_finish(sender->output); /* 0: not yet all */
	if (ret > 0)
		(void)shutdown(o_stream_get_fd(sender->output), SHUT_WR);
	return ret;
}

/* A little each time; what it does with it may take long. */
static void read_some(struct reader *reader)
{
	char block[1000];
	ssize_t ret = read(reader->fd, block, sizeof(block));

	if (ret > 0)
		reader->bytes += (size_t)ret;
	else
		io_loop_stop(current_ioloop);
}

int main(void)
{
	struct ioloop *loop = io_loop_create();
	struct sender sender = { NULL, 0, 0 };
	struct reader reader = { -1, 0 };
	struct io *io;
	int fds[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0) {
		perror("socketpair()");
		return 1;
	}
	reader.fd = fds[0];
	io = io_add(reader.fd, IO_READ, read_some, &reader);
	sender.output = o_stream_create_fd_autoclose(&fds[1], SIZE_MAX);
	o_stream_set_flush_callback(sender.output, send_records, &sender);
	o_stream_set_flush_pending(sender.output, true);
	io_loop_run(loop);

	ret = o_stream_finish(sender.output);
	if (ret < 0)
		fprintf(stderr, "%s\n", o_stream_get_error(sender.output));
	printf("%zu bytes were read; at most %zu waited\n", reader.bytes,
	       sender.most);
	o_stream_destroy(&sender.output);
	io_remove(&io);
	(void)close(reader.fd);
	io_loop_destroy(&loop);
	return ret > 0 ? 0 : 1;
}
