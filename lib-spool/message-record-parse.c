/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "message-record-format.h"
#include "macros.h"
#include "mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct record_parser {
	email_message *message;
	bool states;         /* it has nothing else */
	uint64_t next_state; /* they come in order */
	unsigned int line_number;
	bool have_id;
	char *error;
};

static int parse_failed(struct record_parser *p, int error, const char *why)
{
	char id[MESSAGE_ID_TEXT_SIZE], line[32] = "";

	message_id_to_text(&p->message->message_id, id);
	if (p->line_number > 0)
		(void)snprintf(line, sizeof(line), "line %u: ", p->line_number);
	p->error = i_strdup_printf("record of message %s: %s%s", id, line, why);
	errno = error;
	return -1;
}

/* Where the message does not take what the line has: that is of the record, unless errno says
   that memory ended, which may be there again. */
static int not_taken(struct record_parser *p, const char *why)
{
	return errno == ENOMEM ? parse_failed(p, ENOMEM, "out of memory") :
				 parse_failed(p, EINVAL, why);
}

/* The next word of a line that is changed in place, its escapes undone; NULL: no
   word, or a wrong one. */
static char *next_word(char **line)
{
	char *word = *line, *in = word, *out = word, hex[3] = "";

	if (*in == '\0')
		return NULL;
	if (in[0] == '%' && (in[1] == ' ' || in[1] == '\0')) {
		*line = in[1] == ' ' ? in + 2 : in + 1;
		*word = '\0';
		return word;
	}
	for (; *in != ' ' && *in != '\0'; in++) {
		if (*in != '%') {
			*out++ = *in;
			continue;
		}
		if (!isxdigit((unsigned char)in[1]) ||
		    !isxdigit((unsigned char)in[2]) ||
		    (in[1] == '0' && in[2] == '0'))
			return NULL;
		memcpy(hex, in + 1, 2);
		*out++ = (char)strtoul(hex, NULL, 16);
		in += 2;
	}
	*line = *in == ' ' ? in + 1 : in;
	*out = '\0';
	return word;
}

/* Exactly so many words. */
static bool take_words(char *line, char *words[], unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		words[i] = next_word(&line);
		if (words[i] == NULL)
			return false;
	}
	return *line == '\0';
}

static bool parse_number(const char *text, uint64_t *number_r)
{
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*number_r = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0;
}

static int parse_id(struct record_parser *p, char *text)
{
	struct message_id id;

	if (!message_id_from_text(text, &id))
		return parse_failed(p, EINVAL, "the id is malformed");
	if (message_id_cmp(&id, &p->message->message_id) != 0)
		return parse_failed(p, EINVAL, "it is about another message");
	p->have_id = true;
	return 0;
}

static int set_state(struct record_parser *p, unsigned int recipient,
		     const char *name, const char *reason)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(message_record_states); i++) {
		if (strcmp(name, message_record_states[i]) == 0)
			break;
	}
	if (i == N_ELEMENTS(message_record_states))
		return parse_failed(p, EINVAL,
				    "a recipient's state is not known");
	if (email_message_set_recipient_state(p->message, recipient, i,
					      reason) < 0)
		return parse_failed(p, EINVAL, "a reason is too long");
	return 0;
}

static int parse_recipient(struct record_parser *p, char *rest)
{
	char *words[3]; /* state, address, reason */

	if (!take_words(rest, words, 3))
		return parse_failed(p, EINVAL, "a recipient needs three words");
	if (email_message_add_recipient(p->message, words[1]) < 0)
		return not_taken(p, "too many or too long recipients");
	return set_state(p, email_message_recipient_count(p->message) - 1,
			 words[0], words[2]);
}

static int parse_states(struct record_parser *p, char *rest)
{
	unsigned int have = email_message_recipient_count(p->message);
	uint64_t first, count, i;
	char *words[4]; /* first recipient, how many, state, reason */
	int ret = 0;

	if (!take_words(rest, words, 4) || !parse_number(words[0], &first) ||
	    !parse_number(words[1], &count))
		return parse_failed(p, EINVAL,
				    "states need two numbers and two words");
	if (first < p->next_state || first > have || count > have - first)
		return parse_failed(p, EINVAL,
				    "they are of recipients that are not "
				    "there, or were named before");
	p->next_state = first + count;
	for (i = first; i < first + count && ret == 0; i++)
		ret = set_state(p, (unsigned int)i, words[2], words[3]);
	return ret;
}

static int parse_value(struct record_parser *p, char *rest)
{
	char *words[3]; /* context, name, value */

	if (!take_words(rest, words, 3))
		return parse_failed(p, EINVAL, "a value needs three words");
	if (email_message_set_value(p->message, words[0], words[1], words[2]) <
	    0)
		return not_taken(p, "too many or too long values");
	return 0;
}

static int parse_sender(struct record_parser *p, char *rest)
{
	char *word;

	if (!take_words(rest, &word, 1) ||
	    email_message_set_sender(p->message, word) < 0)
		return parse_failed(p, EINVAL, "the sender is malformed");
	return 0;
}

static int parse_number_field(struct record_parser *p, const char *field,
			      const char *text)
{
	uint64_t number;

	if (!parse_number(text, &number))
		return parse_failed(p, EINVAL, "a number is malformed");
	if (strcmp(field, "version") == 0)
		email_message_set_version(p->message, number);
	else if (strcmp(field, "arrival") == 0)
		email_message_set_arrival(p->message, number);
	else
		p->message->body_len = number;
	return 0;
}

static int parse_version(struct record_parser *p, char *text)
{
	return parse_number_field(p, "version", text);
}

static void add_flag(struct record_parser *p, unsigned int flag)
{
	(void)email_message_set_flags(
		p->message, email_message_get_flags(p->message) | flag);
}

#define FIELD_SIZE 32 /* of its name, with a NUL */

/* False: it is malformed. */
static bool get_field(const char *line, char field_r[FIELD_SIZE])
{
	size_t size = strcspn(line, " ");

	if (size == 0 || size >= FIELD_SIZE)
		return false;
	memcpy(field_r, line, size);
	field_r[size] = '\0';
	return true;
}

struct field {
	const char *name;
	int (*parse)(struct record_parser *p, char *rest); /* NULL: a number */
};

/* NULL: it is not known. */
static const struct field *find_field(const char *name)
{
	static const struct field fields[] = {
		{ "id", parse_id },
		{ "version", NULL },
		{ "arrival", NULL },
		{ "body-length", NULL },
		{ "recipient", parse_recipient },
		{ "value", parse_value },
		{ "sender", parse_sender },
	};
	size_t i;

	for (i = 0; i < N_ELEMENTS(fields); i++) {
		if (strcmp(name, fields[i].name) == 0)
			return &fields[i];
	}
	return NULL;
}

/* That a line stands for; 0: none. */
static unsigned int find_flag(const char *line)
{
	if (strcmp(line, "line-ends lf") == 0)
		return EMAIL_MESSAGE_LINE_ENDS_LF;
	return strcmp(line, "held") == 0 ? EMAIL_MESSAGE_HELD : 0;
}

bool message_record_is_unknown(const char *line)
{
	char field[FIELD_SIZE];

	return get_field(line, field) && find_field(field) == NULL &&
		find_flag(line) == 0;
}

static int parse_line(struct record_parser *p, char *line)
{
	const struct field *known;
	char *rest, name[FIELD_SIZE];

	if (!get_field(line, name))
		return parse_failed(p, EINVAL, "the field's name is malformed");
	rest = line + strlen(name);
	if (*rest == ' ')
		rest++;
	known = find_field(name);
	if (known != NULL)
		return known->parse == NULL ?
			parse_number_field(p, name, rest) :
			known->parse(p, rest);
	if (find_flag(line) != 0)
		add_flag(p, find_flag(line));
	else if (email_message_add_unknown(p->message, line) < 0)
		return not_taken(p, "too many lines that are not known");
	return 0;
}

static int parse_states_line(struct record_parser *p, char *line)
{
	static const struct {
		const char *field;
		int (*parse)(struct record_parser *p, char *rest);
	} fields[] = { { "id ", parse_id },
		       { "version ", parse_version },
		       { "states ", parse_states } };
	size_t i, size;

	for (i = 0; i < N_ELEMENTS(fields); i++) {
		size = strlen(fields[i].field);
		if (strncmp(line, fields[i].field, size) == 0)
			return fields[i].parse(p, line + size);
	}
	return parse_failed(p, EINVAL, "the line is malformed");
}

/* The last line is the checksum of all before it. */
static int check_sum(struct record_parser *p, const char *data, size_t size)
{
	char want[CHECKSUM_LINE_SIZE];
	size_t covered;

	if (size < CHECKSUM_LINE_SIZE)
		return parse_failed(p, EINVAL, "it is cut short");
	covered = size - CHECKSUM_LINE_SIZE;
	message_record_checksum(data, covered, want);
	if (memcmp(data + covered, want, CHECKSUM_LINE_SIZE) != 0)
		return parse_failed(p, EINVAL,
				    "its checksum is wrong: it is damaged");
	return 0;
}

static int check_magic(struct record_parser *p, const char *line)
{
	const char *magic = p->states ? STATES_MAGIC : MAGIC;

	if (strcmp(line, magic) == 0)
		return 0;
	/* all but the number */
	if (strncmp(line, magic, strlen(magic) - 1) != 0)
		return parse_failed(p, EINVAL, "it is not a message record");
	return parse_failed(p, ENOTSUP,
			    "it was written by a newer version of Bobbin");
}

static int parse_lines(struct record_parser *p, char *data, char *end)
{
	char *lf;

	for (; data < end; data = lf + 1) {
		p->line_number++;
		lf = memchr(data, '\n', (size_t)(end - data));
		if (lf == NULL || memchr(data, '\0', (size_t)(lf - data)))
			return parse_failed(p, EINVAL, "the line is malformed");
		*lf = '\0';
		if (p->line_number == 1) {
			if (check_magic(p, data) < 0)
				return -1;
		} else if ((p->states ? parse_states_line(p, data) :
					parse_line(p, data)) < 0) {
			return -1;
		}
	}
	return p->have_id ? 0 : parse_failed(p, EINVAL, "it has no id");
}

static int parse_record(email_message *message, bool states, const void *data,
			size_t size, char **error_r)
{
	struct record_parser p = { .message = message, .states = states };
	char *copy = NULL;
	int ret, error;

	if (size > MESSAGE_RECORD_MAX) {
		ret = parse_failed(&p, EINVAL, "it is larger than 256 MiB");
	} else if ((copy = try_malloc(size)) == NULL) {
		ret = parse_failed(&p, ENOMEM, "out of memory");
	} else {
		memcpy(copy, data, size);
		ret = check_sum(&p, copy, size);
		if (ret == 0)
			ret = parse_lines(&p, copy,
					  copy + size - CHECKSUM_LINE_SIZE);
	}
	error = errno;
	i_free(copy);
	if (ret < 0) {
		email_message_clear(message);
		*error_r = p.error;
		errno = error;
	}
	return ret;
}

int message_record_parse(email_message *message, const void *data, size_t size,
			 char **error_r)
{
	email_message_clear(message);
	return parse_record(message, false, data, size, error_r);
}

int message_record_parse_states(email_message *message, const void *data,
				size_t size, char **error_r)
{
	return parse_record(message, true, data, size, error_r);
}
