/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef CRASH_PRIVATE_H
#define CRASH_PRIVATE_H

/* What crash-model.c wrote down, and crash-explore.c builds states from. */

#include "crash-model.h"

#define NODES_MAX 4096
#define NAMES_MAX 128
#define OPS_MAX 20000

/* A file or directory, whatever its names are. */
struct node {
	bool is_dir;
};

enum op_kind {
	OP_NAME,   /* node gets a name in dir */
	OP_UNNAME, /* a name goes from dir */
	OP_WRITE,
	OP_TRUNCATE,
	OP_SYNC, /* of a file */
	OP_SYNC_DIR,
	OP_EVENT
};

struct op {
	enum op_kind kind;
	int node, dir;
	char name[NAMES_MAX];
	size_t offset, size;
	unsigned char *data;
	int event;
	/* Of a name that a rename takes away, the operation that gives the new one; 0: of
	   none. */
	size_t renamed_by;
	bool failed; /* a sync that was to cover it failed: no later one does */
};

extern struct node crash_nodes[NODES_MAX];
extern struct op crash_ops[OPS_MAX];
/* All of them, and those that make the first state. */
extern size_t crash_op_count, crash_base_count;

/* Whether a sync among the operations before `moment` covers this one. */
bool crash_is_durable(size_t at, size_t moment);

#endif
