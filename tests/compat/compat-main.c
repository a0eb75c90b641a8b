/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Runs the cases, each in a process of its own, and prints the transcript. */

#include "compat-case.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char *case_name;

void say(const char *fmt, ...)
{
	va_list args;

	printf("%s: ", case_name);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

const char *errno_name(int error)
{
	static const struct {
		int error;
		const char *name;
	} names[] = { { 0, "0" },
		      { EAGAIN, "EAGAIN" },
		      { EBADF, "EBADF" },
		      { EEXIST, "EEXIST" },
		      { EFBIG, "EFBIG" },
		      { EINVAL, "EINVAL" },
		      { EIO, "EIO" },
		      { EISDIR, "EISDIR" },
		      { ENOBUFS, "ENOBUFS" },
		      { ENOENT, "ENOENT" },
		      { ENOSPC, "ENOSPC" },
		      { ENOTDIR, "ENOTDIR" },
		      { EPIPE, "EPIPE" },
		      { ESPIPE, "ESPIPE" },
		      { ETIMEDOUT, "ETIMEDOUT" } };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].error == error)
			return names[i].name;
	}
	return strerror(error);
}

const char *shown(const void *_data, size_t size)
{
	static char texts[8][512];
	static unsigned int next;
	const unsigned char *data = _data;
	char *text = texts[next++ % 8], *pos = text;
	unsigned long sum = 5381;
	size_t i;

	if (data == NULL && size == 0)
		return "(null)";
	if (size > 64) {
		for (i = 0; i < size; i++)
			sum = (sum * 33 + data[i]) & 0xffffffff;
		snprintf(text, sizeof(texts[0]), "%zu bytes, sum %08lx", size,
			 sum);
		return text;
	}
	*pos++ = '"';
	for (i = 0; i < size; i++) {
		if (data[i] == '\r')
			pos += sprintf(pos, "\\r");
		else if (data[i] == '\n')
			pos += sprintf(pos, "\\n");
		else if (data[i] < 32 || data[i] > 126 || data[i] == '"')
			pos += sprintf(pos, "\\%03o", data[i]);
		else
			*pos++ = (char)data[i];
	}
	*pos++ = '"';
	*pos = '\0';
	return text;
}

const char *shown_str(const char *str)
{
	return str == NULL ? "(null)" : shown(str, strlen(str));
}

const char *shown_file(const char *path)
{
	static char data[1 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t size;

	if (fd < 0)
		return errno_name(errno);
	size = read(fd, data, sizeof(data));
	close(fd);
	return size < 0 ? errno_name(errno) : shown(data, (size_t)size);
}

void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) < 0) {
		perror(path);
		exit(3);
	}
}

char *make_text(size_t size)
{
	char *text = malloc(size + 1);
	unsigned int number = 12345;
	size_t i;

	if (text == NULL)
		exit(3);
	for (i = 0; i < size; i++) {
		number = number * 1103515245 + 12345;
		text[i] = (char)('a' + (number >> 16) % 26);
	}
	text[size] = '\0';
	return text;
}

void make_pipe(int fds[2])
{
	int i;

	if (pipe(fds) < 0)
		exit(3);
	for (i = 0; i < 2; i++) {
		if (fcntl(fds[i], F_SETFL, O_NONBLOCK) < 0)
			exit(3);
	}
	if (fcntl(fds[1], F_SETPIPE_SZ, 4096) != 4096)
		exit(3);
}

void fill_pipe(int fds[2], size_t room)
{
	char zeros[4096] = { 0 };

	if (write(fds[1], zeros, 4096 - room) != (ssize_t)(4096 - room))
		exit(3);
}

const char *drained(int fds[2])
{
	static char data[1 << 20];
	size_t size = 0, zeros = 0;
	ssize_t ret;

	while ((ret = read(fds[0], data + size, sizeof(data) - size)) > 0)
		size += (size_t)ret;
	while (zeros < size && data[zeros] == '\0')
		zeros++;
	return shown(data + zeros, size - zeros);
}

void compat_call(const char *expr, long long ret)
{
	int error = errno;

	if (ret == -1)
		say("%s = -1 (%s)", expr, errno_name(error));
	else
		say("%s = %lld", expr, ret);
}

/* What an error's sentence is, is each library's own; that there is one is not. */
static void say_error(const char *when, int stream_errno, const char *error)
{
	if (stream_errno == 0)
		say("%s: %s", when, error);
	else if (error[0] == '\0' || strcmp(error, "<no error>") == 0)
		say("%s: an error without a sentence", when);
}

void say_ostream(const char *when, struct ostream *stream)
{
	say("%s: offset %llu, errno %s, overflow %d, closed %d", when,
	    (unsigned long long)stream->offset,
	    errno_name(stream->stream_errno), stream->overflow, stream->closed);
	say_error(when, stream->stream_errno, o_stream_get_error(stream));
}

void say_istream(const char *when, struct istream *stream)
{
	say("%s: v_offset %llu, errno %s, eof %d, closed %d", when,
	    (unsigned long long)stream->v_offset,
	    errno_name(stream->stream_errno), stream->eof, stream->closed);
	say_error(when, stream->stream_errno, i_stream_get_error(stream));
}

void say_data(const char *when, struct istream *stream)
{
	const unsigned char *data;
	size_t size;

	data = i_stream_get_data(stream, &size);
	say("%s: has %s", when, size == 0 ? "nothing" : shown(data, size));
}

void say_rest(const char *when, struct istream *stream)
{
	static unsigned char all[1 << 20];
	const unsigned char *data;
	size_t size, total = 0;
	int ret;

	while ((ret = i_stream_read_more(stream, &data, &size)) > 0) {
		if (size > sizeof(all) - total)
			exit(3);
		memcpy(all + total, data, size);
		total += size;
		i_stream_skip(stream, size);
	}
	say("%s: rest %s, then %d", when, shown(all, total), ret);
	say_istream(when, stream);
}

/*
 * Running
 */

/* The library's own text of a panic; where it is an assertion, only that. */
static void say_panic(const char *path)
{
	static char line[1024];
	FILE *file = fopen(path, "r");
	char *text = NULL;

	while (file != NULL && text == NULL &&
	       fgets(line, sizeof(line), file) != NULL)
		text = strstr(line, "Panic: ");
	if (file != NULL)
		fclose(file);
	if (text == NULL) {
		say("was aborted");
		return;
	}
	text[strcspn(text, "\n")] = '\0';
	if (strstr(text, "assertion failed") != NULL)
		say("panics: an assertion");
	else
		say("panics: %s", text + strlen("Panic: "));
}

static void run_case(const struct compat_case *test, const char *errors)
{
	struct rlimit no_core = { 0, 0 };
	struct ioloop *loop;
	int fd;

	setrlimit(RLIMIT_CORE, &no_core);
	fd = open(errors, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		exit(3);
	close(fd);
#ifdef COMPAT_DOVECOT
	lib_init();
#endif
	/* nothing here waits for anybody */
	alarm(60);
	/* streams may want to wait in it, whether or not it ever runs */
	loop = io_loop_create();
	test->run();
	io_loop_destroy(&loop);
#ifdef COMPAT_DOVECOT
	lib_deinit();
#endif
	exit(0);
}

static void run_cases(const struct compat_case *cases, const char *dir)
{
	char errors[4096], path[4096];
	int status;
	pid_t pid;

	snprintf(errors, sizeof(errors), "%s/stderr", dir);
	for (; cases->name != NULL; cases++) {
		case_name = cases->name;
		fflush(stdout);
		snprintf(path, sizeof(path), "%s/%s", dir, case_name);
		for (char *p = path + strlen(dir) + 1; *p != '\0'; p++) {
			if (*p == ' ' || *p == '/')
				*p = '-';
		}
		if (mkdir(path, 0700) < 0 || chdir(path) < 0) {
			perror(path);
			exit(3);
		}
		pid = fork();
		if (pid == 0)
			run_case(cases, errors);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			exit(3);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
			say_panic(errors);
		else if (WIFSIGNALED(status))
			say("was killed by signal %d", WTERMSIG(status));
		else if (status != 0)
			say("ended with status %d", WEXITSTATUS(status));
	}
}

/* An empty directory is the only argument. */
int main(int argc, char *argv[])
{
	static const struct compat_case *const all[] = {
		compat_ostream_life,
		compat_ostream_errors,
		compat_ostream_buffer,
		compat_ostream_file,
		compat_ostream_pipe,
		compat_ostream_callback,
		compat_ostream_filters,
		compat_send_istream,
		compat_istream_read,
		compat_istream_seek,
		compat_istream_lines,
		compat_istream_filters,
		compat_compression,
		compat_multiplex,
		compat_pump,
		compat_iostream_temp,
		compat_iostream_rawlog,
		compat_istream_seekable,
		compat_istream_timeout,
		compat_istream_parts,
		compat_istream_several,
		compat_unix
	};
	size_t i;

	if (argc != 2)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		run_cases(all[i], argv[1]);
	return 0;
}
