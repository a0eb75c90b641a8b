/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* LMDB as a store of messages: a key each, in a transaction of its own. Writers wait
   for each other in the library. */

#define _GNU_SOURCE
#include "bench.h"
#include "bench-writers.h"

#include <lmdb.h>
#include <string.h>
#include <sys/stat.h>

#define MAP_SIZE ((size_t)8 << 30)

struct store {
	MDB_env *env;
	MDB_dbi dbi;
};

static void put(void *context, uint64_t number, const unsigned char *body,
		size_t size)
{
	struct store *store = context;
	unsigned char name[BENCH_NAME_SIZE];
	MDB_val key = { sizeof(name), name };
	MDB_val data = { BENCH_HEADERS_SIZE + size, NULL };
	MDB_txn *txn;

	bench_message_name(number, name);
	bench_check(mdb_txn_begin(store->env, NULL, 0, &txn) == 0);
	bench_check(mdb_put(txn, store->dbi, &key, &data,
			    MDB_NOOVERWRITE | MDB_RESERVE) == 0);
	memset(data.mv_data, 'h', BENCH_HEADERS_SIZE);
	memcpy((unsigned char *)data.mv_data + BENCH_HEADERS_SIZE, body, size);
	bench_check(mdb_txn_commit(txn) == 0);
}

/* Into the new directory out=DIR. */
static void put_messages(struct bench *b)
{
	struct store store;
	MDB_txn *txn;

	bench_check(mkdir(b->out_path, 0700) == 0);
	bench_check(mdb_env_create(&store.env) == 0);
	bench_check(mdb_env_set_mapsize(store.env, MAP_SIZE) == 0);
	bench_check(mdb_env_open(store.env, b->out_path, 0, 0600) == 0);
	bench_check(mdb_txn_begin(store.env, NULL, 0, &txn) == 0);
	bench_check(mdb_dbi_open(txn, NULL, 0, &store.dbi) == 0);
	bench_check(mdb_txn_commit(txn) == 0);
	bench_writers(b, put, &store);
	mdb_env_close(store.env);
}

static const struct bench_work works[] = {
	{ "put", put_messages },
	{ NULL, NULL },
};

int main(int argc, char *argv[])
{
	return bench_main(argc, argv, works);
}
