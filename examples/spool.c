/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* spool DIR FILE: stores a mail, gives it back on stdout, removes it. */

#include <bobbin/istream.h>
#include <bobbin/ostream.h>
#include <bobbin/spool.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int fail(const char *text)
{
	fprintf(stderr, "%s\n", text);
	return -1;
}

static struct spool *open_or_create(const char *dir, char **error_r)
{
	struct spool_settings settings = { .body = "gzip" };

	if (spool_init(dir, &settings, error_r) < 0 && errno != EEXIST)
		return NULL;
	free(*error_r); /* NULL, or it is there: opening tells what it is */
	*error_r = NULL;
	return spool_open(dir, 0, NULL, error_r);
}

/* All of input, and what the output's format ends with. */
static int copy(struct ostream *output, struct istream *input)
{
	o_stream_nsend_istream(output, input);
	if (o_stream_finish(output) > 0)
		return 0;
	(void)fail(o_stream_get_error(output));
	o_stream_abort(output);
	return -1;
}

/* A message's body is in SMTP wire form: what the dot stream makes. */
static int put(struct spool *spool, message_id *id_r, struct istream *mail)
{
	email_message *message;
	buffer_t *wire = buffer_create_dynamic(default_pool, 4096);
	struct ostream *end = o_stream_create_buffer(wire);
	struct ostream *dot = o_stream_create_dot(end, false);
	int ret = copy(dot, mail);
	struct istream *body = i_stream_create_from_buffer(wire);

	spool_new_id(spool, id_r);
	message = email_message_new(id_r);
	email_message_set_body(message, body, wire->used);
	(void)email_message_add_recipient(message, "b@example.org");
	/* after IO_DONE it is on stable storage, and may be acknowledged */
	if (ret == 0 && spool_put(spool, message) != IO_DONE)
		ret = fail(io_get_error());
	email_message_unref(&message);
	i_stream_destroy(&body);
	o_stream_destroy(&dot);
	o_stream_destroy(&end);
	buffer_free(&wire);
	return ret;
}

static int get(struct spool *spool, const message_id *id, struct ostream *out)
{
	email_message *message;
	struct istream *dot, *mail;
	int ret;

	if (spool_get(spool, id, &message) != IO_DONE)
		return fail(io_get_error());
	dot = i_stream_create_dot(message->body, 0);
	/* damage is told at the body's end, which is behind the final dot */
	mail = i_stream_create_whole(dot, message->body);
	ret = copy(out, mail);
	i_stream_destroy(&mail);
	i_stream_destroy(&dot);
	email_message_unref(&message);
	return ret;
}

int main(int argc, char *argv[])
{
	struct istream *mail = i_stream_create_file(argc > 2 ? argv[2] : "", 0);
	struct ostream *out = o_stream_create_fd_blocking(STDOUT_FILENO);
	char *error = NULL;
	struct spool *spool = open_or_create(argc > 1 ? argv[1] : "", &error);
	message_id id;
	int ret = spool == NULL ? fail(error) : put(spool, &id, mail);

	if (ret == 0)
		ret = get(spool, &id, out);
	if (ret == 0 && spool_remove(spool, &id) != IO_DONE)
		ret = fail(io_get_error());
	free(error);
	spool_close(&spool);
	i_stream_destroy(&mail);
	o_stream_destroy(&out);
	return ret == 0 ? 0 : 1;
}
