/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "crash-model.h"
#include "file-ops.h"
#include "test-common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define NODES_MAX 4096
#define NAMES_MAX 64
#define FDS_MAX 256
#define OPS_MAX 20000
#define PENDING_MAX 256

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
	bool failed; /* a sync that was to cover it failed: no later one does */
};

static struct node nodes[NODES_MAX];
static int node_count;
static struct op ops[OPS_MAX];
static size_t op_count;
static size_t base_count;     /* operations that make the first state */
static int fd_nodes[FDS_MAX]; /* node + 1 */
/* where it was written to last; -1: nowhere yet */
static off_t fd_offsets[FDS_MAX];
static char root_path[512];
static enum crash_sync left_out, failing, killing;
static unsigned int failing_after;
static size_t sync_counts[CRASH_SYNC_COUNT];
static bool recording;
static bool killed; /* the process: nothing that it does has an effect */

/*
 * Writing down
 */

/* Events may come from any thread, operations from one at a time. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static struct op *add_op(enum op_kind kind)
{
	struct op *op;

	(void)pthread_mutex_lock(&mutex);
	op = &ops[op_count++];
	assert_true(op_count < OPS_MAX);
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	(void)pthread_mutex_unlock(&mutex);
	return op;
}

static int new_node(bool is_dir)
{
	assert_true(node_count < NODES_MAX);
	nodes[node_count].is_dir = is_dir;
	return node_count++;
}

static void add_name(enum op_kind kind, int dir, const char *name, int node)
{
	struct op *op = add_op(kind);

	op->dir = dir;
	op->node = node;
	assert_true(strlen(name) < sizeof(op->name));
	memcpy(op->name, name, strlen(name) + 1);
}

/* Which node has the name now, -1: none. */
static int lookup(int dir, const char *name)
{
	int node = -1;
	size_t i;

	if (strcmp(name, ".") == 0)
		return dir;
	for (i = 0; i < op_count; i++) {
		if ((ops[i].kind != OP_NAME && ops[i].kind != OP_UNNAME) ||
		    ops[i].dir != dir || strcmp(ops[i].name, name) != 0)
			continue;
		node = ops[i].kind == OP_NAME ? ops[i].node : -1;
	}
	return node;
}

static int fd_node(int fd)
{
	return fd >= 0 && fd < FDS_MAX ? fd_nodes[fd] - 1 : -1;
}

static void set_fd(int fd, int node)
{
	assert_true(fd < FDS_MAX);
	fd_nodes[fd] = node + 1;
	fd_offsets[fd] = -1;
}

/* The last part of the path; *dir becomes the directory that it is in. */
static const char *enter(int *dir, const char *path)
{
	const char *slash;
	char part[64];

	while (*dir >= 0 && (slash = strchr(path, '/')) != NULL) {
		assert_true((size_t)(slash - path) < sizeof(part));
		(void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path),
			       path);
		*dir = lookup(*dir, part);
		path = slash + 1;
	}
	return path;
}

static int c_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	int dir = fd_node(dir_fd), node = -1;
	int fd;

	if (killed && (flags & O_CREAT) != 0)
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	fd = file_ops_system.openat(dir_fd, path, flags, mode);
	if (fd < 0 || !recording)
		return fd;
	if (strcmp(path, root_path) == 0) {
		set_fd(fd, 0);
		return fd;
	}
	path = enter(&dir, path);
	if (dir < 0)
		return fd;
	node = lookup(dir, path);
	if (node < 0) {
		node = new_node(false);
		add_name(OP_NAME, dir, path, node);
	}
	set_fd(fd, node);
	return fd;
}

static int c_close(int fd)
{
	if (fd < FDS_MAX)
		fd_nodes[fd] = 0;
	return file_ops_system.close(fd);
}

static int c_closedir(DIR *dir)
{
	int fd = dirfd(dir);

	if (fd < FDS_MAX)
		fd_nodes[fd] = 0;
	return file_ops_system.closedir(dir);
}

static ssize_t vector_size(const struct iovec *iov, int count)
{
	ssize_t size = 0;

	for (; count > 0; iov++, count--)
		size += (ssize_t)iov->iov_len;
	return size;
}

static ssize_t c_pwritev(int fd, const struct iovec *iov, int count,
			 off_t offset)
{
	ssize_t ret = killed ? vector_size(iov, count) :
			       file_ops_system.pwritev(fd, iov, count, offset);
	size_t left = ret > 0 ? (size_t)ret : 0, done = 0, n;
	struct op *op;
	int i;

	if (!recording || killed || ret <= 0 || fd_node(fd) < 0)
		return ret;
	fd_offsets[fd] = offset;
	op = add_op(OP_WRITE);
	op->node = fd_node(fd);
	op->offset = (size_t)offset;
	op->size = left;
	op->data = malloc(left);
	assert_non_null(op->data);
	for (i = 0; i < count && left > 0; i++, done += n, left -= n) {
		n = I_MIN(iov[i].iov_len, left);
		memcpy(op->data + done, iov[i].iov_base, n);
	}
	return ret;
}

/* What the kernel copied would not be seen here: it is written instead. */
static ssize_t
c_copy_file_range(int in_fd ATTR_UNUSED, off_t *in_offset ATTR_UNUSED,
		  int out_fd ATTR_UNUSED, off_t *out_offset ATTR_UNUSED,
		  size_t size ATTR_UNUSED, unsigned int flags ATTR_UNUSED)
{
	errno = ENOSYS;
	return -1;
}

static ssize_t c_sendfile(int out_fd ATTR_UNUSED, int in_fd ATTR_UNUSED,
			  off_t *offset ATTR_UNUSED, size_t size ATTR_UNUSED)
{
	errno = ENOSYS;
	return -1;
}

static int c_ftruncate(int fd, off_t size)
{
	int ret = file_ops_system.ftruncate(fd, size);

	if (recording && ret == 0 && fd_node(fd) >= 0) {
		struct op *op = add_op(OP_TRUNCATE);

		op->node = fd_node(fd);
		op->size = (size_t)size;
	}
	return ret;
}

static bool is_segment_name(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && strcmp(name + len - 4, ".seg") == 0;
}

/* The name that it got last. */
static const char *name_of(int node)
{
	const char *name = "";
	size_t i;

	for (i = 0; i < op_count; i++) {
		if (ops[i].kind == OP_NAME && ops[i].node == node)
			name = ops[i].name;
	}
	return name;
}

/* The last thing that was done with names: what a sync of the directory is for. */
static enum crash_sync dir_sync_purpose(int dir)
{
	size_t i;

	for (i = op_count; i > 0; i--) {
		const struct op *op = &ops[i - 1];
		size_t len = strlen(op->name);

		if (op->dir != dir)
			continue;
		if (op->kind == OP_NAME && is_segment_name(op->name))
			return CRASH_SYNC_SEGMENT_NAME;
		if (op->kind == OP_UNNAME && len == 28)
			return CRASH_SYNC_UNLINK_NAME;
		if (op->kind == OP_NAME && len == 2)
			return CRASH_SYNC_BUCKET_NAME;
		if (op->kind == OP_NAME && len == 28)
			return op->name[27] == 'b' ? CRASH_SYNC_BODY_NAME :
						     CRASH_SYNC_HEADERS_NAME;
	}
	return CRASH_SYNC_NONE;
}

static enum crash_sync segment_sync_purpose(int fd)
{
	if (fd_offsets[fd] < 0)
		return CRASH_SYNC_OPENED;
	return fd_offsets[fd] == 0 ? CRASH_SYNC_SEGMENT_HEADER :
				     CRASH_SYNC_GROUP;
}

/* A header file says what it is at its beginning. */
static enum crash_sync data_sync_purpose(int fd)
{
	int node = fd_node(fd);
	const char *name = name_of(node);
	size_t i;

	if (strcmp(name, "new.tmp") == 0)
		return CRASH_SYNC_SEGMENT_DATA;
	if (is_segment_name(name))
		return segment_sync_purpose(fd);
	for (i = 0; i < op_count; i++) {
		if (ops[i].kind == OP_WRITE && ops[i].node == node &&
		    ops[i].offset == 0 && ops[i].size > 9)
			return memcmp(ops[i].data, "bobbin-h1", 9) == 0 ?
				CRASH_SYNC_HEADERS_DATA :
				CRASH_SYNC_BODY_DATA;
	}
	return CRASH_SYNC_NONE;
}

/* Whether a sync among the operations before `moment` covers this one. */
static bool is_durable(size_t at, size_t moment)
{
	const struct op *op = &ops[at];
	bool of_name = op->kind == OP_NAME || op->kind == OP_UNNAME;
	size_t i;

	if (at < base_count)
		return true;
	if (op->failed)
		return false;
	for (i = at + 1; i < moment; i++) {
		if (of_name ? ops[i].kind == OP_SYNC_DIR &&
				    ops[i].node == op->dir :
			      ops[i].kind == OP_SYNC && ops[i].node == op->node)
			return true;
	}
	return false;
}

/* What a failed sync was to cover the kernel takes for clean: nobody knows whether it
   is on the disk, and no later sync tells. */
static void fail_writes(int node)
{
	size_t i;

	for (i = base_count; i < op_count; i++) {
		if (ops[i].kind == OP_WRITE && ops[i].node == node &&
		    !is_durable(i, op_count))
			ops[i].failed = true;
	}
}

static int add_sync(enum op_kind kind, int node, enum crash_sync purpose)
{
	sync_counts[purpose]++;
	if (purpose != CRASH_SYNC_NONE && purpose == killing) {
		killed = true;
		killing = CRASH_SYNC_NONE;
	}
	if (killed)
		return 0;
	if (purpose != CRASH_SYNC_NONE && purpose == failing &&
	    failing_after-- == 0) {
		failing = CRASH_SYNC_NONE;
		fail_writes(node);
		errno = EIO;
		return -1;
	}
	if (purpose == CRASH_SYNC_NONE || purpose != left_out)
		add_op(kind)->node = node;
	return 0;
}

static int c_fdatasync(int fd)
{
	if (!recording || fd_node(fd) < 0)
		return 0;
	return add_sync(OP_SYNC, fd_node(fd), data_sync_purpose(fd));
}

static int c_fsync_dir(int fd)
{
	if (!recording || fd_node(fd) < 0)
		return 0;
	return add_sync(OP_SYNC_DIR, fd_node(fd),
			dir_sync_purpose(fd_node(fd)));
}

static int c_renameat2(int old_fd, const char *old_path, int new_fd,
		       const char *new_path, unsigned int flags)
{
	int ret = killed ? 0 :
			   file_ops_system.renameat2(old_fd, old_path, new_fd,
						     new_path, flags);
	int node;

	if (!recording || killed || ret < 0 || fd_node(old_fd) < 0)
		return ret;
	node = lookup(fd_node(old_fd), old_path);
	add_name(OP_NAME, fd_node(new_fd), new_path, node);
	add_name(OP_UNNAME, fd_node(old_fd), old_path, node);
	return ret;
}

static int c_linkat(int old_fd, const char *old_path, int new_fd,
		    const char *new_path, int flags)
{
	int ret = file_ops_system.linkat(old_fd, old_path, new_fd, new_path,
					 flags);

	if (recording && ret == 0 && fd_node(old_fd) >= 0)
		add_name(OP_NAME, fd_node(new_fd), new_path,
			 lookup(fd_node(old_fd), old_path));
	return ret;
}

static int c_unlinkat(int fd, const char *path, int flags)
{
	int ret = killed ? 0 : file_ops_system.unlinkat(fd, path, flags);

	if (recording && !killed && ret == 0 && fd_node(fd) >= 0)
		add_name(OP_UNNAME, fd_node(fd), path, -1);
	return ret;
}

static int c_mkdirat(int fd, const char *path, mode_t mode)
{
	int ret = file_ops_system.mkdirat(fd, path, mode);

	if (recording && ret == 0 && fd_node(fd) >= 0)
		add_name(OP_NAME, fd_node(fd), path, new_node(true));
	return ret;
}

/* Takes what is there as the first state. */
static void take_tree(const char *path, int dir)
{
	DIR *listing = opendir(path);
	struct dirent *entry;
	char child[1024];
	struct stat st;
	buffer_t *content;
	struct op *op;
	int node;

	assert_non_null(listing);
	while ((entry = readdir(listing)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(child, sizeof(child), "%s/%s", path,
			       entry->d_name);
		assert_int_equal(lstat(child, &st), 0);
		node = new_node(S_ISDIR(st.st_mode));
		add_name(OP_NAME, dir, entry->d_name, node);
		if (S_ISDIR(st.st_mode)) {
			take_tree(child, node);
			continue;
		}
		content = test_read_file(child);
		op = add_op(OP_WRITE);
		op->node = node;
		op->size = content->used;
		op->data = buffer_free_without_data(&content);
	}
	(void)closedir(listing);
}

void crash_leave_out(enum crash_sync sync)
{
	left_out = sync;
}

void crash_fail_later(enum crash_sync sync, unsigned int after)
{
	failing = sync;
	failing_after = after;
}

void crash_fail(enum crash_sync sync)
{
	crash_fail_later(sync, 0);
}

void crash_kill(enum crash_sync sync)
{
	killing = sync;
}

bool crash_is_killed(void)
{
	return killed;
}

bool crash_revive(void)
{
	bool was_killed = killed;

	killed = false;
	return was_killed;
}

void crash_record_begin(const char *root)
{
	static struct file_ops table;

	(void)snprintf(root_path, sizeof(root_path), "%s", root);
	(void)new_node(true);
	take_tree(root, 0);
	base_count = op_count;
	table = file_ops_system;
	table.openat = c_openat;
	table.close = c_close;
	table.closedir = c_closedir;
	table.pwritev = c_pwritev;
	table.ftruncate = c_ftruncate;
	table.fdatasync = c_fdatasync;
	table.fsync_dir = c_fsync_dir;
	table.copy_file_range = c_copy_file_range;
	table.sendfile = c_sendfile;
	table.renameat2 = c_renameat2;
	table.linkat = c_linkat;
	table.unlinkat = c_unlinkat;
	table.mkdirat = c_mkdirat;
	recording = true;
	file_ops_set(&table);
}

void crash_record_base(void)
{
	base_count = op_count;
}

void crash_record_event(int event)
{
	if (recording && !killed)
		add_op(OP_EVENT)->event = event;
}

void crash_record_end(void)
{
	recording = false;
	file_ops_set(NULL);
}

size_t crash_operation_count(void)
{
	return op_count - base_count;
}

size_t crash_sync_count(enum crash_sync sync)
{
	return sync_counts[sync];
}

void crash_forget(void)
{
	size_t i;

	for (i = 0; i < op_count; i++)
		free(ops[i].data);
	op_count = base_count = 0;
	node_count = 0;
	left_out = failing = killing = CRASH_SYNC_NONE;
	killed = false;
	memset(fd_nodes, 0, sizeof(fd_nodes));
	memset(sync_counts, 0, sizeof(sync_counts));
}

/*
 * Building states
 */

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
		op = &ops[i];
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
		if (ops[i].dir != node || fate[i] == 0)
			continue;
		if (ops[i].kind == OP_NAME)
			set_entry(dir, ops[i].name, ops[i].node);
		else if (ops[i].kind == OP_UNNAME)
			set_entry(dir, ops[i].name, -1);
	}
	for (i = 0; i < dir->count; i++) {
		if (dir->nodes[i] < 0)
			continue;
		(void)snprintf(child, sizeof(child), "%s/%s", path,
			       dir->names[i]);
		if (nodes[dir->nodes[i]].is_dir)
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

/* Chooses fates for what no sync covers: number 0 all lost, 1 all there, 2 all
   torn, then by the bits of the number, or at random where there are too many. */
static void choose(const size_t *pending, size_t count, unsigned int number,
		   uint32_t *seed)
{
	bool there;
	size_t i, at;

	for (i = 0; i < count; i++) {
		at = pending[i];
		/* not 0: it would be 0 for ever */
		fate_seed[at] = test_random(seed) | 1;
		there = count < 16 ? ((number - 3) >> i & 1) != 0 :
				     (test_random(seed) >> 7 & 1) != 0;
		if (number < 3)
			fate[at] = (unsigned char)number;
		else if (has_parts(&ops[at]))
			fate[at] = (unsigned char)parted_fate(seed);
		else
			fate[at] = (unsigned char)random_fate(&ops[at], there,
							      seed);
	}
}

static unsigned int states_of(const size_t *pending, size_t count,
			      unsigned int max)
{
	size_t i;

	if (count == 0)
		return 1;
	for (i = 0; i < count; i++) {
		if (has_parts(&ops[pending[i]]))
			return max;
	}
	if (count < 16 && (1u << count) + 3 < max)
		return (1u << count) + 3;
	return max;
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
		if (ops[i].kind == OP_EVENT) {
			assert_true(event_count < N_ELEMENTS(events));
			events[event_count++] = ops[i].event;
		}
		fate[i] = 1;
		if (ops[i].kind <= OP_TRUNCATE && !is_durable(i, moment)) {
			assert_true(count < PENDING_MAX);
			pending[count++] = i;
		}
	}
	for (number = 0; number < states_of(pending, count, max); number++) {
		choose(pending, count, number, &seed);
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
	for (moment = base_count; moment <= op_count && wrong == NULL; moment++)
		wrong = explore_moment(dir, moment, max_per_moment, check,
				       context, states_r);
	file_ops_set(NULL);
	return wrong;
}
