/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* SQLite as a store of messages: a row each, in a transaction of its own. One
   connection and a mutex around it: its writers lock each other out anyway, and wait
   by polling where they have connections of their own. */

#define _GNU_SOURCE
#include "bench.h"
#include "bench-writers.h"

#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

struct store {
	pthread_mutex_t mutex;
	sqlite3 *db;
	sqlite3_stmt *insert;
};

static void put(void *context, uint64_t number, const unsigned char *body,
		size_t size)
{
	static const unsigned char headers[BENCH_HEADERS_SIZE];
	struct store *store = context;
	unsigned char name[BENCH_NAME_SIZE];

	bench_message_name(number, name);
	(void)pthread_mutex_lock(&store->mutex);
	bench_check(sqlite3_bind_blob(store->insert, 1, name, sizeof(name),
				      SQLITE_STATIC) == SQLITE_OK);
	bench_check(sqlite3_bind_blob(store->insert, 2, headers,
				      sizeof(headers),
				      SQLITE_STATIC) == SQLITE_OK);
	bench_check(sqlite3_bind_blob(store->insert, 3, body, (int)size,
				      SQLITE_STATIC) == SQLITE_OK);
	/* outside of a transaction it is one */
	bench_check(sqlite3_step(store->insert) == SQLITE_DONE);
	bench_check(sqlite3_reset(store->insert) == SQLITE_OK);
	(void)pthread_mutex_unlock(&store->mutex);
}

/* Into the new file out=FILE. */
static void put_messages(struct bench *b)
{
	static const char setup[] =
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
		"CREATE TABLE messages (id BLOB PRIMARY KEY, headers BLOB,"
		" body BLOB)";
	static const char insert[] = "INSERT INTO messages VALUES (?, ?, ?)";
	struct store store;

	memset(&store, 0, sizeof(store));
	bench_check(pthread_mutex_init(&store.mutex, NULL) == 0);
	bench_check(sqlite3_open(b->out_path, &store.db) == SQLITE_OK);
	bench_check(sqlite3_exec(store.db, setup, NULL, NULL, NULL) ==
		    SQLITE_OK);
	bench_check(sqlite3_prepare_v2(store.db, insert, -1, &store.insert,
				       NULL) == SQLITE_OK);
	bench_writers(b, put, &store);
	(void)sqlite3_finalize(store.insert);
	(void)sqlite3_close(store.db);
}

static const struct bench_work works[] = {
	{ "put", put_messages },
	{ NULL, NULL },
};

int main(int argc, char *argv[])
{
	return bench_main(argc, argv, works);
}
