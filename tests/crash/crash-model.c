/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "crash-private.h"
#include "file-ops.h"
#include "test-common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define FDS_MAX 256

struct node crash_nodes[NODES_MAX];
static int node_count;
struct op crash_ops[OPS_MAX];
size_t crash_op_count, crash_base_count;
static int fd_nodes[FDS_MAX]; /* node + 1 */
/* where it was written to last; -1: nowhere yet */
static off_t fd_offsets[FDS_MAX];
static char root_path[512];
static enum crash_sync left_out, failing, killing;
static unsigned int failing_after;
static size_t sync_counts[CRASH_SYNC_COUNT];
static bool recording;
static bool short_writes;
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
	op = &crash_ops[crash_op_count++];
	assert_true(crash_op_count < OPS_MAX);
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	(void)pthread_mutex_unlock(&mutex);
	return op;
}

static int new_node(bool is_dir)
{
	assert_true(node_count < NODES_MAX);
	crash_nodes[node_count].is_dir = is_dir;
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
	for (i = 0; i < crash_op_count; i++) {
		if ((crash_ops[i].kind != OP_NAME &&
		     crash_ops[i].kind != OP_UNNAME) ||
		    crash_ops[i].dir != dir ||
		    strcmp(crash_ops[i].name, name) != 0)
			continue;
		node = crash_ops[i].kind == OP_NAME ? crash_ops[i].node : -1;
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

/* Half of the vectors, of which the last one is cut. */
static ssize_t write_half(int fd, const struct iovec *iov, int count,
			  off_t offset)
{
	size_t used = ((size_t)count + 1) / 2;
	struct iovec *half = malloc(used * sizeof(*half));
	ssize_t ret;

	assert_non_null(half);
	memcpy(half, iov, used * sizeof(*half));
	half[used - 1].iov_len -= half[used - 1].iov_len / 2;
	ret = file_ops_system.pwritev(fd, half, (int)used, offset);
	free(half);
	return ret;
}

static void add_write(int fd, const struct iovec *iov, int count, off_t offset,
		      ssize_t written)
{
	size_t left = written > 0 ? (size_t)written : 0, done = 0, n;
	struct op *op;
	int i;

	if (!recording || killed || left == 0 || fd_node(fd) < 0)
		return;
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
}

static ssize_t c_pwritev(int fd, const struct iovec *iov, int count,
			 off_t offset)
{
	ssize_t ret = short_writes ? write_half(fd, iov, count, offset) :
		killed             ? vector_size(iov, count) :
			 file_ops_system.pwritev(fd, iov, count, offset);

	add_write(fd, iov, count, offset, ret);
	return ret;
}

/* Where it stands. */
static ssize_t c_writev(int fd, const struct iovec *iov, int count)
{
	off_t offset = lseek(fd, 0, SEEK_CUR);
	ssize_t ret = killed ? vector_size(iov, count) :
			       file_ops_system.writev(fd, iov, count);

	add_write(fd, iov, count, offset, ret);
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

static bool ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name), suffix_len = strlen(suffix);

	return len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

static bool is_segment_name(const char *name)
{
	return ends_with(name, ".seg");
}

/* The name that it got last. */
static const char *name_of(int node)
{
	const char *name = "";
	size_t i;

	for (i = 0; i < crash_op_count; i++) {
		if (crash_ops[i].kind == OP_NAME && crash_ops[i].node == node)
			name = crash_ops[i].name;
	}
	return name;
}

/* The last thing that was done with names: what a sync of the directory is for. */
static enum crash_sync dir_sync_purpose(int dir)
{
	size_t i;

	for (i = crash_op_count; i > 0; i--) {
		const struct op *op = &crash_ops[i - 1];
		size_t len = strlen(op->name);

		if (op->dir != dir)
			continue;
		if (op->kind == OP_NAME && is_segment_name(op->name))
			return CRASH_SYNC_SEGMENT_NAME;
		/* a name that a rename takes away is none that was removed */
		if (op->kind == OP_UNNAME && op->name[0] == '.')
			continue;
		if (op->kind == OP_UNNAME && len == 28)
			return CRASH_SYNC_UNLINK_NAME;
		if (op->kind == OP_NAME && len == 2)
			return CRASH_SYNC_BUCKET_NAME;
		if (op->kind == OP_NAME && ends_with(op->name, ".b"))
			return CRASH_SYNC_BODY_NAME;
		if (op->kind == OP_NAME && len == 28)
			return CRASH_SYNC_HEADERS_NAME;
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
	for (i = 0; i < crash_op_count; i++) {
		if (crash_ops[i].kind == OP_WRITE &&
		    crash_ops[i].node == node && crash_ops[i].offset == 0 &&
		    crash_ops[i].size > 9)
			return memcmp(crash_ops[i].data, "bobbin-h2", 9) == 0 ?
				CRASH_SYNC_HEADERS_DATA :
				CRASH_SYNC_BODY_DATA;
	}
	return CRASH_SYNC_NONE;
}

bool crash_is_durable(size_t at, size_t moment)
{
	const struct op *op = &crash_ops[at];
	bool of_name = op->kind == OP_NAME || op->kind == OP_UNNAME;
	size_t i;

	if (at < crash_base_count)
		return true;
	if (op->failed)
		return false;
	for (i = at + 1; i < moment; i++) {
		if (of_name ? crash_ops[i].kind == OP_SYNC_DIR &&
				    crash_ops[i].node == op->dir :
			      crash_ops[i].kind == OP_SYNC &&
				    crash_ops[i].node == op->node)
			return true;
	}
	return false;
}

/* What a failed sync was to cover the kernel takes for clean: nobody knows whether it
   is on the disk, and no later sync tells. */
static void fail_writes(int node)
{
	size_t i;

	for (i = crash_base_count; i < crash_op_count; i++) {
		if (crash_ops[i].kind == OP_WRITE &&
		    crash_ops[i].node == node &&
		    !crash_is_durable(i, crash_op_count))
			crash_ops[i].failed = true;
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
	int old_dir = fd_node(old_fd), new_dir = fd_node(new_fd), node;

	if (!recording || killed || ret < 0 || old_dir < 0)
		return ret;
	old_path = enter(&old_dir, old_path);
	new_path = enter(&new_dir, new_path);
	node = lookup(old_dir, old_path);
	add_name(OP_NAME, new_dir, new_path, node);
	add_name(OP_UNNAME, old_dir, old_path, node);
	crash_ops[crash_op_count - 1].renamed_by = crash_op_count - 2;
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
	int dir = fd_node(fd);

	path = enter(&dir, path);
	if (recording && !killed && ret == 0 && dir >= 0)
		add_name(OP_UNNAME, dir, path, -1);
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

void crash_write_short(bool on)
{
	short_writes = on;
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

void crash_kill_now(void)
{
	killed = true;
}

void crash_sync_failed(int fd)
{
	if (recording && !killed && fd_node(fd) >= 0)
		fail_writes(fd_node(fd));
}

void crash_record_begin(const char *root)
{
	static struct file_ops table;

	(void)snprintf(root_path, sizeof(root_path), "%s", root);
	(void)new_node(true);
	take_tree(root, 0);
	crash_base_count = crash_op_count;
	table = file_ops_system;
	table.openat = c_openat;
	table.close = c_close;
	table.closedir = c_closedir;
	table.writev = c_writev;
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
	crash_base_count = crash_op_count;
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
	return crash_op_count - crash_base_count;
}

size_t crash_sync_count(enum crash_sync sync)
{
	return sync_counts[sync];
}

void crash_forget(void)
{
	size_t i;

	for (i = 0; i < crash_op_count; i++)
		free(crash_ops[i].data);
	crash_op_count = crash_base_count = 0;
	node_count = 0;
	left_out = failing = killing = CRASH_SYNC_NONE;
	killed = false;
	memset(fd_nodes, 0, sizeof(fd_nodes));
	memset(sync_counts, 0, sizeof(sync_counts));
}
