/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What the file store keeps with a message in memory: a letter for each kind of body, the
   checksums of the lines that were tried, its hash, its stack. */

#include "config.h"
#include "module-file-private.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define NOTE_TRIES 1
#define TRY_SIZE (FILE_LINE_CRC_SIZE - 1)
#define NOTE_HASH (NOTE_TRIES + FILE_TRIES_MAX * TRY_SIZE)
#define NOTE_STACK (NOTE_HASH + FILE_HASH_SIZE * 2)

static const char kinds[] = { [FILE_NOTE_STORED] = '=',
			      [FILE_NOTE_FIRST] = '+',
			      [FILE_NOTE_CHANGED] = '*' };

void file_note_set(email_message *message, const struct file_entry *entry,
		   enum file_note kind, const struct file_tries *tries)
{
	char note[NOTE_STACK + FILE_STACK_SIZE];
	unsigned int i;

	note[0] = kinds[kind];
	for (i = 0; i < FILE_TRIES_MAX; i++)
		memcpy(note + NOTE_TRIES + i * TRY_SIZE,
		       tries != NULL && tries->lines[i][0] != '\0' ?
			       tries->lines[i] :
			       "--------",
		       TRY_SIZE);
	(void)sodium_bin2hex(note + NOTE_HASH, FILE_HASH_SIZE * 2 + 1,
			     entry->body_hash, FILE_HASH_SIZE);
	(void)snprintf(note + NOTE_STACK, FILE_STACK_SIZE, "%s",
		       entry->body_stack);
	email_message_set_store_note(message, note);
}

void file_note_get_tries(const email_message *message,
			 struct file_tries *tries_r)
{
	const char *note = email_message_get_store_note(message);
	unsigned int i;

	memset(tries_r, 0, sizeof(*tries_r));
	if (note == NULL || strlen(note) <= NOTE_STACK)
		return;
	for (i = 0; i < FILE_TRIES_MAX; i++)
		memcpy(tries_r->lines[i], note + NOTE_TRIES + i * TRY_SIZE,
		       TRY_SIZE);
}

bool file_note_is_tried(const email_message *message,
			const struct file_entry *stored)
{
	char line[FILE_LINE_CRC_SIZE];
	struct file_tries tries;
	unsigned int i;

	file_note_get_tries(message, &tries);
	file_entry_line_crc(stored, line);
	for (i = 0; i < FILE_TRIES_MAX; i++) {
		if (strcmp(tries.lines[i], line) == 0)
			return true;
	}
	return false;
}

bool file_note_get(const email_message *message, struct file_entry *entry,
		   enum file_note *kind_r)
{
	const char *note = email_message_get_store_note(message);

	if (note == NULL || strlen(note) <= NOTE_STACK ||
	    sodium_hex2bin(entry->body_hash, FILE_HASH_SIZE, note + NOTE_HASH,
			   FILE_HASH_SIZE * 2, NULL, NULL, NULL) != 0)
		return false;
	(void)snprintf(entry->body_stack, sizeof(entry->body_stack), "%s",
		       note + NOTE_STACK);
	*kind_r = note[0] == kinds[FILE_NOTE_FIRST] ? FILE_NOTE_FIRST :
		note[0] == kinds[FILE_NOTE_CHANGED] ? FILE_NOTE_CHANGED :
						      FILE_NOTE_STORED;
	return true;
}
