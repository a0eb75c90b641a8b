/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* lmtp DIR SOCKET: receives mail by LMTP (RFC 2033) over a UNIX socket into a journal
   spool, from many clients in one event loop, until its standard input ends. A mail is
   acknowledged when it is on stable storage. */

#include <bobbin/iostream-temp.h>
#include <bobbin/istream.h>
#include <bobbin/ostream.h>
#include <bobbin/spool-async.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define IDLE_MSECS (5 * 60 * 1000)
#define MAIL_MAX (20 * 1024 * 1024)
#define REPLIES_MAX 4096 /* bytes: who does not read them is not read from */

struct server {
	struct ioloop *loop;
	struct spool *spool;
	struct spool_async *async;
	struct client *clients;
	int fd;
};

struct client {
	struct server *server;
	struct client *prev, *next;
	int fd;
	struct istream *input;
	struct ostream *output;
	struct io *io;
	struct timeout
		*unread; /* while there are replies that it does not read */
	email_message *message; /* from MAIL on */
	/* within DATA: what is read, what that goes to, and where that ends */
	struct istream *dot;
	struct ostream *wire, *temp;
	int error;    /* errno: the mail cannot be taken, but is read */
	bool waiting; /* for the spool; it calls back in any case */
	bool quit, gone;
};

static void reply(struct client *client, const char *text)
{
	o_stream_nsend_str(client->output, text);
	o_stream_nsend_str(client->output, "\r\n");
}

/* One for each recipient, as LMTP wants it. */
static void reply_all(struct client *client, const char *text)
{
	unsigned int i;

	for (i = email_message_recipient_count(client->message); i > 0; i--)
		reply(client, text);
	email_message_unref(&client->message);
}

static void give_up(struct ostream **output)
{
	if (*output == NULL)
		return;
	o_stream_abort(*output);
	o_stream_destroy(output);
}

static void destroy(struct client *client)
{
	if (client->prev != NULL)
		client->prev->next = client->next;
	else
		client->server->clients = client->next;
	if (client->next != NULL)
		client->next->prev = client->prev;
	io_remove(&client->io);
	timeout_remove(&client->unread);
	i_stream_unref(&client->dot);
	give_up(&client->wire);
	give_up(&client->temp);
	give_up(&client->output);
	i_stream_destroy(&client->input);
	email_message_unref(&client->message);
	(void)close(client->fd);
	free(client);
}

/*
 * Mail
 */

static void client_input(struct client *client);

/* Replies go out, and what was sent meanwhile is read. */
static void go_on(struct client *client)
{
	if (client->io == NULL)
		client->io =
			io_add_istream(client->input, client_input, client);
	i_stream_set_input_pending(client->input, true);
}

static void stored(int answer, void *context)
{
	struct client *client = context;
	char id[MESSAGE_ID_TEXT_SIZE], text[64];

	client->waiting = false;
	message_id_to_text(&client->message->message_id, id);
	(void)snprintf(text, sizeof(text), "250 2.0.0 %s is stored", id);
	if (answer != IO_DONE)
		fprintf(stderr, "%s: %s\n", id, io_get_error());
	reply_all(client,
		  answer == IO_DONE ? text :
			  answer == IO_TRANS_FAIL ?
				      "451 4.3.0 try again later" :
				      "554 5.3.0 cannot be stored");
	go_on(client);
}

/* The wire form is made anew of what was read: a line end that a server might take for
   one, and this one did not, is none any more. */
static void begin_data(struct client *client)
{
	struct ostream *limit;

	client->dot = i_stream_create_dot(client->input, 0);
	client->temp = iostream_temp_create("/tmp/lmtp.",
					    IOSTREAM_TEMP_FLAG_NO_FALLBACK);
	limit = o_stream_create_limit(client->temp, MAIL_MAX);
	client->wire = o_stream_create_dot(limit, false);
	o_stream_unref(&limit);
	client->error = 0;
	reply(client, "354 go on, and end with a dot");
}

static void submit(struct client *client)
{
	struct istream *body = iostream_temp_finish(&client->temp, 0);

	email_message_set_body(client->message, body, 0);
	i_stream_unref(&body);
	email_message_set_arrival(
		client->message,
		message_id_get_msecs(&client->message->message_id));
	client->waiting = spool_submit_put(client->server->async,
					   client->message, stored,
					   client) == IO_DONE;
	if (!client->waiting)
		reply_all(client, "451 4.3.2 busy, try again later");
}

static void end_data(struct client *client)
{
	i_stream_unref(&client->dot);
	if (client->error == 0 && o_stream_finish(client->wire) < 0)
		client->error = client->wire->stream_errno;
	if (client->error == 0) {
		o_stream_destroy(&client->wire);
		submit(client);
		return;
	}
	fprintf(stderr, "%s\n", o_stream_get_error(client->wire));
	give_up(&client->wire);
	give_up(&client->temp);
	reply_all(client,
		  client->error == EFBIG ? "552 5.3.4 the mail is too large" :
					   "451 4.3.0 try again later");
}

/* Whether the mail's end was read. What cannot be kept is read all the same. */
static bool read_data(struct client *client)
{
	enum ostream_send_istream_result result;
	const unsigned char *data;
	size_t size;

	if (client->error == 0) {
		result = o_stream_send_istream(client->wire, client->dot);
		if (result == OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT)
			client->error = client->wire->stream_errno;
	}
	while (client->error != 0 &&
	       i_stream_read_more(client->dot, &data, &size) > 0)
		i_stream_skip(client->dot, size);
	if (client->dot->stream_errno != 0)
		client->gone = true; /* in the middle of it */
	return !client->gone && !i_stream_have_bytes_left(client->dot);
}

/*
 * Commands
 */

/* What is between < and >, which is cut out of the line; NULL: the line is none of
   these. */
static char *path_of(char *line, const char *command)
{
	size_t size = strlen(command);
	char *end = strchr(line, '>');

	if (strncasecmp(line, command, size) != 0 || end == NULL)
		return NULL;
	*end = '\0';
	return line + size;
}

static void begin_mail(struct client *client, const char *sender)
{
	message_id id;

	spool_new_id(client->server->spool, &id);
	email_message_unref(&client->message);
	client->message = email_message_new(&id);
	reply(client,
	      email_message_set_sender(client->message, sender) == 0 ?
		      "250 2.1.0 sender" :
		      "552 5.1.7 no such sender");
}

static void run_command(struct client *client, char *line)
{
	email_message *message = client->message;
	const char *path;

	if (strncasecmp(line, "LHLO ", 5) == 0)
		reply(client, "250-lmtp\r\n250-PIPELINING\r\n250 8BITMIME");
	else if ((path = path_of(line, "MAIL FROM:<")) != NULL)
		begin_mail(client, path);
	else if ((path = path_of(line, "RCPT TO:<")) != NULL)
		reply(client,
		      message == NULL ? "503 5.5.1 MAIL first" :
			      email_message_add_recipient(message, path) == 0 ?
					"250 2.1.5 recipient" :
					"452 4.5.3 too many");
	else if (strcasecmp(line, "DATA") == 0 && message != NULL &&
		 email_message_recipient_count(message) > 0)
		begin_data(client);
	else if (strcasecmp(line, "DATA") == 0)
		reply(client, "503 5.5.1 no recipient");
	else if (strcasecmp(line, "RSET") == 0) {
		email_message_unref(&client->message);
		reply(client, "250 2.0.0 forgotten");
	} else if (strcasecmp(line, "NOOP") == 0)
		reply(client, "250 2.0.0 nothing");
	else if (strcasecmp(line, "QUIT") == 0) {
		reply(client, "221 2.0.0 bye");
		client->quit = true;
	} else
		reply(client, "500 5.5.2 what is this?");
}

static bool may_read(const struct client *client)
{
	return !client->waiting && !client->quit && !client->gone &&
		o_stream_get_buffer_used_size(client->output) < REPLIES_MAX;
}

static void read_all(struct client *client)
{
	char *line;

	while (may_read(client)) {
		if (client->dot != NULL) {
			if (!read_data(client))
				return;
			end_data(client);
		} else {
			line = i_stream_read_next_line(client->input);
			if (line == NULL)
				return;
			run_command(client, line);
		}
	}
}

/* The input's timeout is none of this: there may be more to read, and it is left. */
static void client_unread(struct client *client)
{
	timeout_remove(&client->unread);
	client->gone = true;
	if (!client->waiting)
		client_input(client);
}

static void client_input(struct client *client)
{
	bool full;
	int ret;

	o_stream_cork(client->output);
	read_all(client);
	full = !may_read(client);
	ret = o_stream_uncork_flush(client->output);
	/* lines that were left since there were many replies, and that no event is for */
	if (full && may_read(client))
		i_stream_set_input_pending(client->input, true);
	/* else nothing will come behind those that were read */
	else if (may_read(client) && client->input->eof)
		client->gone = true;
	if (ret < 0 || (ret > 0 && client->quit))
		client->gone = true;
	if (ret > 0)
		timeout_remove(&client->unread);
	else if (client->unread == NULL)
		client->unread = timeout_add(IDLE_MSECS, client_unread, client);
	if (client->waiting)
		io_remove(&client->io); /* stored() goes on */
	else if (client->gone)
		destroy(client);
}

/* There is room for replies again. */
static int client_flush(struct client *client)
{
	int ret = o_stream_flush(client->output);

	if (ret != 0)
		timeout_remove(&client->unread);
	if (ret != 0 && !client->waiting)
		go_on(client);
	return ret < 0 ? 1 : ret;
}

/*
 * The server
 */

static void accept_client(struct server *server)
{
	int fd = accept(server->fd, NULL, NULL);
	struct client *client;
	struct istream *input;

	if (fd < 0)
		return;
	client = calloc(1, sizeof(*client));
	if (client == NULL ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
		(void)close(fd);
		free(client);
		return;
	}
	client->server = server;
	client->next = server->clients;
	if (client->next != NULL)
		client->next->prev = client;
	server->clients = client;
	client->fd = fd;
	input = i_stream_create_fd(fd, 0);
	client->input = i_stream_create_timeout(input, IDLE_MSECS);
	i_stream_unref(&input);
	client->output = o_stream_create_fd(fd, 0);
	o_stream_set_flush_callback(client->output, client_flush, client);
	reply(client, "220 lmtp");
	go_on(client);
}

static void stop(struct server *server)
{
	char skipped[1024];

	if (read(STDIN_FILENO, skipped, sizeof(skipped)) <= 0)
		io_loop_stop(server->loop);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	(void)unlink(address.sun_path);
	if (fd < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 128) < 0) {
		perror(path);
		return -1;
	}
	return fd;
}

static int open_spool(struct server *server, const char *dir)
{
	struct spool_settings settings = { .body = "gzip", .store = "journal" };
	char *error = NULL;

	if (spool_init(dir, &settings, &error) == 0 || errno == EEXIST) {
		free(error);
		server->spool = spool_open(dir, 0, NULL, &error);
	}
	if (server->spool != NULL)
		server->async = spool_async_new(server->spool, server->loop, 0,
						0, &error);
	if (server->async != NULL)
		return 0;
	fprintf(stderr, "%s\n", error);
	free(error);
	return -1;
}

int main(int argc, char *argv[])
{
	struct server server = { .loop = io_loop_create(), .fd = -1 };
	struct io *listener, *stdin_io;
	int ret = 1;

	if (argc != 3)
		fprintf(stderr, "usage: lmtp DIR SOCKET\n");
	else if (open_spool(&server, argv[1]) == 0 &&
		 (server.fd = listen_at(argv[2])) >= 0) {
		listener = io_add(server.fd, IO_READ, accept_client, &server);
		stdin_io = io_add(STDIN_FILENO, IO_READ, stop, &server);
		/* for who waits for it */
		printf("listening on %s\n", argv[2]);
		(void)fflush(stdout);
		io_loop_run(server.loop);
		io_remove(&listener);
		io_remove(&stdin_io);
		(void)close(server.fd);
		ret = 0;
	}
	/* what was accepted is done, and answered */
	spool_async_close(&server.async);
	while (server.clients != NULL) {
		server.clients->gone = true;
		client_input(server.clients);
	}
	spool_close(&server.spool);
	io_loop_destroy(&server.loop);
	return ret;
}
