/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Text that came from outside (addresses, names of files) in what people read: it
   must forge no lines and reach no terminal as a command. */

#include "config.h"
#include "tool-common.h"

#include <string.h>

size_t tool_utf8_size(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned char min = 0x80, max = 0xbf;
	size_t i, size;

	if (p[0] < 0x80)
		return p[0] == '\0' ? 0 : 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	size = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	/* no overlong forms, no surrogates, nothing above U+10FFFF */
	if (p[0] == 0xe0)
		min = 0xa0;
	else if (p[0] == 0xed)
		max = 0x9f;
	else if (p[0] == 0xf0)
		min = 0x90;
	else if (p[0] == 0xf4)
		max = 0x8f;
	for (i = 1; i < size; i++) {
		if (p[i] < min || p[i] > max)
			return 0;
		min = 0x80;
		max = 0xbf;
	}
	return size;
}

/* C0, DEL, and C1 as UTF-8 has it */
static bool is_control(const char *text, size_t size)
{
	unsigned char c = (unsigned char)text[0];

	return c < ' ' || c == 0x7f ||
		(size == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0);
}

static void print_escaped(FILE *f, const char *text, size_t size)
{
	static const char plain[] = "\n\r\t", letters[] = "nrt";
	const char *pos;
	size_t i;

	for (i = 0; i < size; i++) {
		pos = strchr(plain, text[i]);
		if (pos != NULL)
			fprintf(f, "\\%c", letters[pos - plain]);
		else
			fprintf(f, "\\x%02x", (unsigned char)text[i]);
	}
}

void tool_print_text(FILE *f, const char *text, bool reversible)
{
	size_t size;

	for (; *text != '\0'; text += size) {
		size = tool_utf8_size(text);
		if (size == 0 || is_control(text, size)) {
			size = size == 0 ? 1 : size;
			print_escaped(f, text, size);
		} else {
			if (reversible && *text == '\\')
				fputc('\\', f);
			(void)fwrite(text, 1, size, f);
		}
	}
}

void tool_print_columns(FILE *f, const char *text)
{
	size_t size;

	for (; *text != '\0'; text += size == 0 ? 1 : size) {
		size = tool_utf8_size(text);
		if (size > 0 && is_control(text, size))
			fputc(' ', f);
		else if (size > 0)
			(void)fwrite(text, 1, size, f);
		else if (((unsigned char)*text & 0xc0) != 0x80)
			fputc('?', f);
	}
}
