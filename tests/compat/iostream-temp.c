/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is written becomes input: in memory, in a file, by another file's fd. */

#include "compat-case.h"

#include <dirent.h>

/* Files in the directory of the case: those of the streams have no name. */
static void say_names(void)
{
	DIR *dir = opendir(".");
	struct dirent *entry;

	if (dir == NULL)
		exit(3);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			say("there is %s", entry->d_name);
	}
	closedir(dir);
}

static void say_size(struct istream *s)
{
	uoff_t size = 99;

	NUM(i_stream_get_size(s, true, &size));
	say("size = %llu", (unsigned long long)size);
}

/* All of it, twice, and a part. */
static void say_input(struct istream *s, uoff_t part)
{
	NUM(s->seekable);
	say_size(s);
	say_rest("input", s);
	i_stream_seek(s, part);
	say_rest("from the part", s);
	i_stream_seek(s, 0);
	say_rest("again", s);
}

static void in_memory(void)
{
	struct ostream *output = iostream_temp_create_named("t", 0, "the name");
	struct istream *input;

	STR(o_stream_get_name(output));
	NUM(o_stream_send_str(output, "hello"));
	NUM(o_stream_send_str(output, ", world"));
	say_ostream("sent", output);
	NUM(o_stream_get_buffer_used_size(output));
	NUM(o_stream_flush(output));
	input = iostream_temp_finish(&output, BLOCK);
	NUM(output == NULL);
	STR(i_stream_get_name(input));
	say_input(input, 7);
	say_names();
	i_stream_destroy(&input);
}

static void empty(void)
{
	struct ostream *output = iostream_temp_create("t", 0);
	struct istream *input = iostream_temp_finish(&output, BLOCK);

	say_input(input, 0);
	i_stream_destroy(&input);
}

static void dropped(void)
{
	struct ostream *output = iostream_temp_create_sized("t", 0, "n", 10);

	o_stream_nsend_str(output, "more than ten bytes");
	NUM(o_stream_flush(output));
	o_stream_destroy(&output);
	say_names();
}

static void in_a_file(void)
{
	struct ostream *output = iostream_temp_create_sized("t", 0, "n", 5000);
	char *text = make_text(20000);
	struct istream *input;

	for (int i = 0; i < 20; i++)
		o_stream_nsend(output, text + i * 1000, 1000);
	say_ostream("sent", output);
	say_names();
	input = iostream_temp_finish(&output, 700);
	NUM(i_stream_get_fd(input) != -1);
	NUM(i_stream_get_max_buffer_size(input));
	say_input(input, 12345);
	i_stream_seek(input, 20000);
	say_rest("from the end", input);
	i_stream_destroy(&input);
	free(text);
}

static void exactly_the_bound(void)
{
	struct ostream *output = iostream_temp_create_sized("t", 0, "n", 8);
	struct istream *input;

	o_stream_nsend_str(output, "12345678");
	input = iostream_temp_finish(&output, BLOCK);
	NUM(i_stream_get_fd(input) != -1);
	say_input(input, 3);
	i_stream_destroy(&input);
}

/* Where no file can be made everything stays in memory. */
static void no_file(void)
{
	struct ostream *output =
		iostream_temp_create_sized("none/t", 0, "n", 10);
	struct istream *input;

	NUM(o_stream_send_str(output, "1234567890"));
	NUM(o_stream_send_str(output, "more"));
	NUM(o_stream_send_str(output, "and more"));
	say_ostream("sent", output);
	input = iostream_temp_finish(&output, BLOCK);
	NUM(i_stream_get_fd(input) != -1);
	say_input(input, 10);
	i_stream_destroy(&input);
}

static void back_to_memory(void)
{
	struct ostream *output = iostream_temp_create_sized("t", 0, "n", 4);
	struct istream *input;

	o_stream_nsend_str(output, "in the file");
	NUM(o_stream_temp_move_to_memory(output));
	o_stream_nsend_str(output, ", or not");
	input = iostream_temp_finish(&output, BLOCK);
	NUM(i_stream_get_fd(input) != -1);
	say_input(input, 3);
	i_stream_destroy(&input);
}

static void pwrites(size_t max)
{
	struct ostream *output = iostream_temp_create_sized("t", 0, "n", max);
	struct istream *input;

	o_stream_nsend_str(output, "0123456789");
	NUM(o_stream_pwrite(output, "abc", 3, 2));
	NUM(o_stream_pwrite(output, "xy", 2, 9));
	NUM(output->offset);
	say_ostream("pwritten", output);
	input = iostream_temp_finish(&output, BLOCK);
	say_input(input, 4);
	i_stream_destroy(&input);
}

static void pwrite_memory(void)
{
	pwrites(100);
}

static void pwrite_file(void)
{
	pwrites(5);
}

static void copy_file(enum iostream_temp_flags flags, const char *more)
{
	struct ostream *output = iostream_temp_create_named("t", flags, "n");
	struct istream *file, *input;

	write_file("f", "the file's bytes");
	file = i_stream_create_file("f", BLOCK);
	i_stream_skip(file, 4);
	NUM(o_stream_send_istream(output, file));
	say_istream("file", file);
	say_ostream("sent", output);
	if (more != NULL)
		NUM(o_stream_send_str(output, more));
	i_stream_destroy(&file);
	input = iostream_temp_finish(&output, BLOCK);
	say_rest("input", input);
	i_stream_seek(input, 0);
	say_rest("again", input);
	i_stream_destroy(&input);
}

static void send_file(void)
{
	copy_file(0, NULL);
	copy_file(0, " and more");
}

static void dup_file(void)
{
	copy_file(IOSTREAM_TEMP_FLAG_TRY_FD_DUP, NULL);
}

static void dup_file_and_more(void)
{
	copy_file(IOSTREAM_TEMP_FLAG_TRY_FD_DUP, " and more");
}

/* Data has no fd. */
static void dup_data(void)
{
	struct ostream *output = iostream_temp_create_named(
		"t", IOSTREAM_TEMP_FLAG_TRY_FD_DUP, "n");
	struct istream *data = i_stream_create_from_data("hello", 5), *input;

	NUM(o_stream_send_istream(output, data));
	i_stream_destroy(&data);
	input = iostream_temp_finish(&output, BLOCK);
	say_input(input, 2);
	i_stream_destroy(&input);
}

static void below_a_filter(void)
{
	struct ostream *output = iostream_temp_create_named("t", 0, "n");
	struct ostream *dot = o_stream_create_dot(output, false);
	struct istream *input;

	o_stream_nsend_str(dot, "a line\n.\n");
	NUM(o_stream_finish(dot));
	o_stream_destroy(&dot);
	input = iostream_temp_finish(&output, BLOCK);
	say_input(input, 1);
	i_stream_destroy(&input);
}

const struct compat_case compat_iostream_temp[] = {
	{ "iostream-temp memory", in_memory },
	{ "iostream-temp empty", empty },
	{ "iostream-temp dropped", dropped },
	{ "iostream-temp file", in_a_file },
	{ "iostream-temp exactly the bound", exactly_the_bound },
	{ "iostream-temp no file", no_file },
	{ "iostream-temp back to memory", back_to_memory },
	{ "iostream-temp pwrite, memory", pwrite_memory },
	{ "iostream-temp pwrite, file", pwrite_file },
	{ "iostream-temp send_istream", send_file },
	{ "iostream-temp dup", dup_file },
	{ "iostream-temp dup and more", dup_file_and_more },
	{ "iostream-temp dup of data", dup_data },
	{ "iostream-temp below dot", below_a_filter },
	{ NULL, NULL }
};
