/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* spool-async DIR FILE...: stores mails from an event loop, many with one sync, and
   prints the id of each as soon as it is on stable storage. The files are in SMTP wire
   form; the workers read them, not the loop. */

#include <bobbin/istream.h>
#include <bobbin/spool-async.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct store {
	struct spool *spool;
	struct spool_async *async;
	char **paths; /* those that are left */
	int failed;
};

struct mail {
	struct store *store;
	message_id id;
	const char *path;
};

static void submit_more(struct store *store);

/* In the loop. After IO_DONE the mail may be acknowledged. */
static void stored(int answer, void *context)
{
	struct mail *mail = context;
	struct store *store = mail->store;
	char id[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(&mail->id, id);
	if (answer == IO_DONE)
		printf("%s %s\n", id, mail->path);
	else
		fprintf(stderr, "%s: %s\n", mail->path, io_get_error());
	store->failed |= answer != IO_DONE;
	free(mail);
	submit_more(store);
	if (spool_async_count(store->async) == 0)
		io_loop_stop(current_ioloop);
}

static int submit(struct store *store, const char *path)
{
	struct istream *body = i_stream_create_file(path, 0);
	struct mail *mail = calloc(1, sizeof(*mail));
	email_message *message;
	int ret;

	if (mail == NULL)
		abort();
	mail->store = store;
	mail->path = path;
	spool_new_id(store->spool, &mail->id);
	message = email_message_new(&mail->id);
	email_message_set_body(message, body, 0);
	i_stream_unref(&body);
	ret = spool_submit_put(store->async, message, stored, mail);
	email_message_unref(&message);
	if (ret != IO_DONE)
		free(mail); /* nobody will be called back */
	return ret;
}

/* As many as are accepted; with the next answer there is room for more. */
static void submit_more(struct store *store)
{
	while (*store->paths != NULL && submit(store, *store->paths) == IO_DONE)
		store->paths++;
	if (*store->paths != NULL && io_get_errno() != EAGAIN) {
		fprintf(stderr, "%s\n", io_get_error());
		store->failed = 1;
	}
}

int main(int argc, char *argv[])
{
	struct spool_settings settings = { .body = "gzip", .store = "journal" };
	struct store store = { .paths = argv + (argc > 2 ? 2 : argc) };
	const char *dir = argc > 1 ? argv[1] : "";
	struct ioloop *loop = io_loop_create();
	char *error = NULL;

	if (spool_init(dir, &settings, &error) == 0 || errno == EEXIST) {
		free(error);
		store.spool = spool_open(dir, 0, NULL, &error);
	}
	if (store.spool != NULL)
		store.async = spool_async_new(store.spool, loop, 2, 8, &error);
	if (store.async == NULL) {
		fprintf(stderr, "%s\n", error);
		free(error);
		store.failed = 1;
	} else {
		submit_more(&store);
		if (spool_async_count(store.async) > 0)
			io_loop_run(loop);
	}
	spool_async_close(&store.async);
	spool_close(&store.spool);
	io_loop_destroy(&loop);
	return store.failed;
}
