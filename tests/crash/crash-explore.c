/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Builds the states that a disk may be in. */

#include "config.h"
#include "crash-private.h"
#include "file-ops.h"
#include "test-common.h"

#include <stdlib.h>
#include <sys/stat.h>

#define PENDING_MAX 2048

/* A disk writes a sector or does not; a filesystem, a block. */
#define SECTOR 512u
#define BLOCK 4096u

/* What became of each operation before the moment. */
enum fate {
	LOST,
	THERE,
	TORN,    /* of a write: only its first part is there */
	SECTORS, /* some of its sectors */
	BLOCKS   /* some of its blocks */
};
static unsigned char fate[OPS_MAX];
static uint32_t fate_seed[OPS_MAX]; /* where it is torn, or which are there */

static size_t nth_moment = 1;

void crash_explore_each(size_t nth)
{
	nth_moment = nth;
}

static size_t first_moment;

void crash_explore_from(size_t moment)
{
	first_moment = moment;
}

struct dir_state {
	char names[512][NAMES_MAX];
	int nodes[512];
	size_t count;
};

static void set_entry(struct dir_state *dir, const char *name, int node)
{
	size_t i;

	for (i = 0; i < dir->count; i++) {
		if (strcmp(dir->names[i], name) == 0)
			break;
	}
	if (i == dir->count) {
		assert_true(dir->count < N_ELEMENTS(dir->names));
		(void)snprintf(dir->names[i], NAMES_MAX, "%s", name);
		dir->count++;
	}
	dir->nodes[i] = node;
}

static size_t torn_size(size_t size, uint32_t seed)
{
	if (size < 2 * SECTOR)
		return size / 2;
	return seed % (size / SECTOR) * SECTOR;
}

/* What is not written stays what it was. */
static void build_write(buffer_t *content, const struct op *op, enum fate how,
			uint32_t seed)
{
	size_t unit = how == SECTORS ? SECTOR : BLOCK, pos;

	if (how == THERE || how == TORN) {
		buffer_write(content, op->offset, op->data,
			     how == TORN ? torn_size(op->size, seed) :
					   op->size);
		return;
	}
	for (pos = 0; pos < op->size; pos += unit) {
		if ((test_random(&seed) >> 9 & 1) != 0)
			buffer_write(content, op->offset + pos, op->data + pos,
				     I_MIN(unit, op->size - pos));
	}
}

static void build_file(const char *path, int node, size_t moment)
{
	buffer_t *content = buffer_create_dynamic(default_pool, 256);
	const struct op *op;
	size_t i;

	for (i = 0; i < moment; i++) {
		op = &crash_ops[i];
		if (op->node != node || fate[i] == LOST)
			continue;
		if (op->kind == OP_WRITE)
			build_write(content, op, (enum fate)fate[i],
				    fate_seed[i]);
		else if (op->kind == OP_TRUNCATE && op->size < content->used)
			buffer_set_used_size(content, op->size);
	}
	test_write_file(path, content->data, content->used);
	buffer_free(&content);
}

static void build_dir(const char *path, int node, size_t moment)
{
	struct dir_state *dir = calloc(1, sizeof(*dir));
	char child[1024];
	size_t i;

	assert_non_null(dir);
	assert_int_equal(mkdir(path, 0700), 0);
	for (i = 0; i < moment; i++) {
		if (crash_ops[i].dir != node || fate[i] == 0)
			continue;
		if (crash_ops[i].kind == OP_NAME)
			set_entry(dir, crash_ops[i].name, crash_ops[i].node);
		else if (crash_ops[i].kind == OP_UNNAME)
			set_entry(dir, crash_ops[i].name, -1);
	}
	for (i = 0; i < dir->count; i++) {
		if (dir->nodes[i] < 0)
			continue;
		(void)snprintf(child, sizeof(child), "%s/%s", path,
			       dir->names[i]);
		if (crash_nodes[dir->nodes[i]].is_dir)
			build_dir(child, dir->nodes[i], moment);
		else
			build_file(child, dir->nodes[i], moment);
	}
	free(dir);
}

static enum fate random_fate(const struct op *op, bool there, uint32_t *seed)
{
	if (!there)
		return LOST;
	if (op->kind != OP_WRITE || test_random(seed) % 8 > 0)
		return THERE;
	return TORN;
}

/* Of a write that has several sectors. */
static enum fate parted_fate(uint32_t *seed)
{
	static const enum fate fates[] = { LOST,    THERE,   TORN,  TORN,
					   SECTORS, SECTORS, BLOCKS };

	return fates[(test_random(seed) >> 7) % N_ELEMENTS(fates)];
}

static bool has_parts(const struct op *op)
{
	return op->kind == OP_WRITE && op->size > SECTOR;
}

/* What is there or not, each in each way, and the three states before. */
static bool are_all(size_t count, unsigned int max)
{
	return count < 16 && (1u << count) + 3 <= max;
}

/* Chooses fates for what no sync covers: number 0 all lost, 1 all there, 2 all
   torn, then by the bits of the number, or at random where there are too many:
   else nothing of the last ones would ever be there alone. */
static void choose(const size_t *pending, size_t count, unsigned int number,
		   unsigned int max, uint32_t *seed)
{
	bool there;
	size_t i, at;

	for (i = 0; i < count; i++) {
		at = pending[i];
		/* not 0: it would be 0 for ever */
		fate_seed[at] = test_random(seed) | 1;
		there = are_all(count, max) ? ((number - 3) >> i & 1) != 0 :
					      (test_random(seed) >> 7 & 1) != 0;
		if (number < 3)
			fate[at] = (unsigned char)number;
		else if (has_parts(&crash_ops[at]))
			fate[at] = (unsigned char)parted_fate(seed);
		else
			fate[at] = (unsigned char)random_fate(&crash_ops[at],
							      there, seed);
	}
}

/* Until one of its directories was synced a rename is there or is not, or the file has both
   names. */
static void keep_renamed(const size_t *pending, size_t count)
{
	const struct op *op;
	size_t i;

	for (i = 0; i < count; i++) {
		op = &crash_ops[pending[i]];
		if (op->renamed_by != 0 && fate[op->renamed_by] == LOST)
			fate[pending[i]] = LOST;
	}
}

static unsigned int states_of(const size_t *pending, size_t count,
			      unsigned int max)
{
	size_t i;

	if (count == 0)
		return 1;
	for (i = 0; i < count; i++) {
		if (has_parts(&crash_ops[pending[i]]))
			return max;
	}
	return are_all(count, max) ? (1u << count) + 3 : max;
}

static const char *explore_moment(const char *dir, size_t moment,
				  unsigned int max, crash_check_t *check,
				  void *context, size_t *states_r)
{
	size_t pending[PENDING_MAX], count = 0, event_count = 0, i;
	int events[512];
	uint32_t seed = (uint32_t)moment * 2654435761u + 1;
	unsigned int number;
	const char *wrong;

	for (i = 0; i < moment; i++) {
		if (crash_ops[i].kind == OP_EVENT) {
			assert_true(event_count < N_ELEMENTS(events));
			events[event_count++] = crash_ops[i].event;
		}
		fate[i] = 1;
		if (crash_ops[i].kind <= OP_TRUNCATE &&
		    !crash_is_durable(i, moment)) {
			assert_true(count < PENDING_MAX);
			pending[count++] = i;
		}
	}
	for (number = 0; number < states_of(pending, count, max); number++) {
		choose(pending, count, number, max, &seed);
		keep_renamed(pending, count);
		test_remove_tree(dir);
		build_dir(dir, 0, moment);
		(*states_r)++;
		wrong = check(dir, events, event_count, context);
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

/* States are looked at, not kept. */
static int no_sync(int fd)
{
	(void)fd;
	return 0;
}

const char *crash_explore(const char *dir, unsigned int max_per_moment,
			  crash_check_t *check, void *context, size_t *states_r)
{
	struct file_ops quick = file_ops_system;
	const char *wrong = NULL;
	size_t moment;

	quick.fdatasync = quick.fsync_dir = no_sync;
	file_ops_set(&quick);
	*states_r = 0;
	for (moment = I_MAX(crash_base_count, first_moment);
	     moment <= crash_op_count && wrong == NULL; moment++) {
		if (moment % nth_moment == 0 || moment == crash_op_count)
			wrong = explore_moment(dir, moment, max_per_moment,
					       check, context, states_r);
	}
	file_ops_set(NULL);
	return wrong;
}
