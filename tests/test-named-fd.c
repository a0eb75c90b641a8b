/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Paths of descriptors that are open already: what is behind them goes on where it
   stands, and is never replaced. */

#include "config.h"
#include "ends/iostream-named-fd.h"
#include "stream-kinds.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_file(const char *name, int flags)
{
	int fd = open(test_path(name), flags | O_CREAT, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void file_has(const char *name, const char *text)
{
	buffer_t *buf = test_read_file(test_path(name));

	assert_string_equal(buffer_c_str(buf), text);
	buffer_free(&buf);
}

/* "/dev/fd/7" and its like, good until the next call but three. */
static const char *name_of(const char *dir, int fd)
{
	static char names[4][64];
	static unsigned int next;
	char *name = names[next++ % N_ELEMENTS(names)];

	(void)snprintf(name, sizeof(names[0]), "%s/%d", dir, fd);
	return name;
}

static const char *fd_path(int fd)
{
	return name_of("/dev/fd", fd);
}

static void write_to(const char *path, const char *text)
{
	struct ostream *s = o_stream_create_file_or_device(path, 0600);

	assert_string_equal(o_stream_get_name(s), path);
	o_stream_nsend_str(s, text);
	if (o_stream_finish(s) != 1)
		fail_msg("%s", o_stream_get_error(s));
	o_stream_destroy(&s);
}

static void write_fails(const char *path, int error, const char *why)
{
	struct ostream *s = o_stream_create_file_or_device(path, 0600);

	assert_int_equal(s->stream_errno, error);
	if (strstr(o_stream_get_error(s), path) == NULL ||
	    strstr(o_stream_get_error(s), why) == NULL)
		fail_msg("%s", o_stream_get_error(s));
	o_stream_abort(s);
	o_stream_destroy(&s);
}

/* As `file:PATH` is read. */
static struct istream *open_input(const char *path)
{
	return stream_kind_lookup("file", 4)->open_input(path);
}

/*
 * Names
 */

static void link_to(const char *target, const char *name)
{
	assert_int_equal(symlink(target, test_path(name)), 0);
}

static void test_names(void **state ATTR_UNUSED)
{
	static const struct {
		const char *path;
		int fd; /* -2: it is no descriptor's */
	} rows[] = {
		{ "/dev/stdin", 0 },
		{ "/dev/stdout", 1 },
		{ "/dev/stderr", 2 },
		{ "/dev/fd/1", 1 },
		{ "/dev/fd/./1", 1 },
		{ "/dev/fd//1", 1 },
		{ "/dev/../dev/fd/1", 1 },
		{ "/proc/self/fd/1", 1 },
		{ "/proc/thread-self/fd/1", 1 },
		{ "/proc/self/task/../fd/1", 1 },
		/* whether it is open is not the question */
		{ "/dev/fd/987654", 987654 },
		{ "/dev/fd/4294967297", -1 },
		{ "/dev/fd", -2 },
		{ "/dev/fd/", -2 },
		{ "/dev/fd/x", -2 },
		{ "/dev/fd/1x", -2 },
		{ "/dev/fd/1/", -2 },
		{ "/dev/null", -2 },
		{ "/proc/self/fdinfo/1", -2 },
		{ "/proc/self/status", -2 },
		{ "/no/such/dir/1", -2 },
		{ "1", -2 },
		{ "", -2 },
	};
	unsigned int i;
	int fd;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		fd = -2;
		if (path_names_fd(rows[i].path, &fd) != (rows[i].fd != -2) ||
		    fd != rows[i].fd)
			fail_msg("%s: %d", rows[i].path, fd);
	}
}

static void test_links_to_names(void **state ATTR_UNUSED)
{
	char name[16], last[16] = "/dev/fd/1";
	unsigned int i;
	int fd;

	/* as many as the kernel follows; the last one is relative to its own
	   directory, not to ours */
	for (i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "d/%u", i);
		link_to(last, name);
		(void)snprintf(last, sizeof(last), "%u", i);
	}
	assert_true(path_names_fd(test_path("d/39"), &fd));
	assert_int_equal(fd, 1);
	/* a link to the directory */
	link_to("/dev/fd", "d/fds");
	(void)snprintf(name, sizeof(name), "d/fds/5");
	assert_true(path_names_fd(test_path(name), &fd));
	assert_int_equal(fd, 5);
	/* others are none, and a circle ends */
	link_to("/dev/null", "d/null");
	assert_false(path_names_fd(test_path("d/null"), &fd));
	link_to("nowhere", "d/dangling");
	assert_false(path_names_fd(test_path("d/dangling"), &fd));
	link_to("circle", "d/circle");
	assert_false(path_names_fd(test_path("d/circle"), &fd));
}

/*
 * Writing
 */

static void test_it_is_written_where_it_stands(void **state ATTR_UNUSED)
{
	static const int modes[] = { O_WRONLY, O_RDWR, O_WRONLY | O_APPEND };
	static const char *const dirs[] = { "/dev/fd", "/proc/self/fd" };
	struct stat before, after;
	unsigned int i;
	int fd;

	for (i = 0; i < N_ELEMENTS(modes) * N_ELEMENTS(dirs); i++) {
		fd = open_file("d/log", modes[i / 2] | O_TRUNC);
		assert_int_equal(fstat(fd, &before), 0);
		put(fd, "header\n");
		write_to(name_of(dirs[i % 2], fd), "mail\n");
		put(fd, "footer\n");
		assert_int_equal(close(fd), 0);
		file_has("d/log", "header\nmail\nfooter\n");
		/* it is the same file */
		assert_int_equal(stat(test_path("d/log"), &after), 0);
		assert_int_equal(after.st_ino, before.st_ino);
	}
}

static void test_a_link_is_followed_to_it(void **state ATTR_UNUSED)
{
	int fd = open_file("d/log", O_WRONLY);
	struct stat st;

	put(fd, "header\n");
	link_to(fd_path(fd), "d/link");
	write_to(test_path("d/link"), "mail\n");
	assert_int_equal(close(fd), 0);
	file_has("d/log", "header\nmail\n");
	assert_int_equal(lstat(test_path("d/link"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
}

/* A large input goes by the kernel's copy; a file without a name has none to
   replace. */
static void test_a_large_one_without_a_name(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 1000000);
	struct istream *input;
	struct ostream *s;
	buffer_t *buf;
	int fd;

	test_write_file(test_path("d/large"), data, 1000000);
	fd = open_file("d/log", O_WRONLY);
	assert_int_equal(link(test_path("d/log"), test_path("d/log2")), 0);
	assert_int_equal(unlink(test_path("d/log")), 0);
	put(fd, "h");
	input = i_stream_create_file(test_path("d/large"), 0);
	s = o_stream_create_file_or_device(fd_path(fd), 0600);
	assert_int_equal(o_stream_send_istream(s, input),
			 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	i_stream_unref(&input);
	put(fd, "f");
	assert_int_equal(close(fd), 0);
	buf = test_read_file(test_path("d/log2"));
	assert_int_equal(buf->used, 1000002);
	assert_memory_equal((const char *)buf->data + 1, data, 1000000);
	assert_int_equal(((const char *)buf->data)[1000001], 'f');
	buffer_free(&buf);
	free(data);
}

/* A socket has a name there that open() refuses. */
static void test_pipes_and_sockets(void **state ATTR_UNUSED)
{
	char got[8];
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	write_to(fd_path(fds[1]), "hello");
	assert_int_equal(read(fds[0], got, sizeof(got)), 5);
	/* what the stream closed was its own */
	write_to(fd_path(fds[1]), "again");
	assert_int_equal(close(fds[1]), 0);
	assert_int_equal(read(fds[0], got, sizeof(got)), 5);
	assert_int_equal(read(fds[0], got, sizeof(got)), 0);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	write_to(fd_path(fds[0]), "hello");
	assert_int_equal(read(fds[1], got, sizeof(got)), 5);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
}

static void test_descriptors_that_do_not_do(void **state ATTR_UNUSED)
{
	int fd = open_file("d/log", O_RDONLY);

	write_fails(fd_path(fd), EBADF, "open for reading only");
	assert_int_equal(close(fd), 0);
	write_fails(fd_path(fd), EBADF, "no such descriptor is open");
	fd = open_file("d/log", O_WRONLY);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_OPEN] = 1;
	test_faults.fail_errno[TEST_OP_OPEN] = EMFILE;
	write_fails(fd_path(fd), EMFILE, strerror(EMFILE));
	test_faults_end();
	assert_int_equal(close(fd), 0);
}

/* What is below a directory behind a descriptor is a file as others. */
static void test_a_file_below_a_descriptor(void **state ATTR_UNUSED)
{
	int fd = open(test_path("d"), O_RDONLY | O_DIRECTORY), file;
	struct stat before, after;
	char path[64];

	file = open_file("d/x", O_WRONLY);
	assert_int_equal(fstat(file, &before), 0);
	(void)snprintf(path, sizeof(path), "%s/x", fd_path(fd));
	write_to(path, "new");
	file_has("d/x", "new");
	assert_int_equal(stat(test_path("d/x"), &after), 0);
	assert_int_not_equal(after.st_ino, before.st_ino);
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(file), 0);
}

/* A descriptor of another process cannot be duplicated: its file is appended to. */
static void test_another_process(void **state ATTR_UNUSED)
{
	int fd = open_file("d/log", O_WRONLY), gate[2], status;
	char dir[32], c;
	pid_t pid;

	put(fd, "theirs\n");
	assert_int_equal(pipe(gate), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(gate[1]);
		_exit(read(gate[0], &c, 1) == 0 ? 0 : 1);
	}
	assert_int_equal(close(fd), 0);
	(void)snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)pid);
	write_to(name_of(dir, fd), "ours\n");
	test_gives(open_input(name_of(dir, fd)), "theirs\nours\n", 0);
	assert_int_equal(close(gate[0]), 0);
	assert_int_equal(close(gate[1]), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	file_has("d/log", "theirs\nours\n");
}

static void test_an_atomic_file_is_refused(void **state ATTR_UNUSED)
{
	int fd = open_file("d/log", O_WRONLY);
	struct ostream *s = o_stream_create_file_atomic(fd_path(fd), 0600, 0);

	assert_int_equal(s->stream_errno, EEXIST);
	assert_non_null(strstr(o_stream_get_error(s), "it is a descriptor"));
	o_stream_abort(s);
	o_stream_destroy(&s);
	assert_int_equal(close(fd), 0);
}

/*
 * Reading
 */

static void test_it_is_read_from_where_it_stands(void **state ATTR_UNUSED)
{
	struct istream *s;
	char got[16];
	int fd;

	test_write_file(test_path("d/in"), "line 1\nline 2\nline 3\n", 21);
	fd = open_file("d/in", O_RDONLY);
	assert_int_equal(read(fd, got, 7), 7);
	s = open_input(fd_path(fd));
	assert_string_equal(i_stream_get_name(s), fd_path(fd));
	assert_string_equal(i_stream_read_next_line(s), "line 2");
	i_stream_unref(&s);
	/* who reads on meets what was not read, though more was buffered */
	assert_int_equal(read(fd, got, sizeof(got)), 7);
	assert_memory_equal(got, "line 3\n", 7);
	test_gives(open_input(fd_path(fd)), "", 0);
	assert_int_equal(close(fd), 0);
}

static void test_a_pipe_is_read(void **state ATTR_UNUSED)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	put(fds[1], "hello");
	test_gives(open_input(fd_path(fds[1])), "", EBADF);
	assert_int_equal(close(fds[1]), 0);
	test_gives(open_input(fd_path(fds[0])), "hello", 0);
	assert_int_equal(close(fds[0]), 0);
	test_gives(open_input(fd_path(fds[0])), "", EBADF);
}

#define TEST(function)                                            \
	cmocka_unit_test_setup_teardown(function, test_dir_setup, \
					test_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_links_to_names),
		TEST(test_it_is_written_where_it_stands),
		TEST(test_a_link_is_followed_to_it),
		TEST(test_a_large_one_without_a_name),
		TEST(test_pipes_and_sockets),
		TEST(test_descriptors_that_do_not_do),
		TEST(test_a_file_below_a_descriptor),
		TEST(test_another_process),
		TEST(test_an_atomic_file_is_refused),
		TEST(test_it_is_read_from_where_it_stands),
		TEST(test_a_pipe_is_read),
	};

	return cmocka_run_group_tests_name("named-fd", tests, NULL, NULL);
}
