/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What the file store keeps with a message in memory: a letter for each kind of body, one for
   whether its next version was tried, its hash, its stack. */

#include "config.h"
#include "module-file-private.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define NOTE_TRIED 1
#define NOTE_HASH 2
#define NOTE_STACK (NOTE_HASH + FILE_HASH_SIZE * 2)

static const char kinds[] = { [FILE_NOTE_STORED] = '=',
			      [FILE_NOTE_FIRST] = '+',
			      [FILE_NOTE_CHANGED] = '*' };

void file_note_set(email_message *message, const struct file_entry *entry,
		   enum file_note kind, bool tried)
{
	char note[NOTE_STACK + FILE_STACK_SIZE];

	note[0] = kinds[kind];
	note[NOTE_TRIED] = tried ? '!' : '.';
	(void)sodium_bin2hex(note + NOTE_HASH, FILE_HASH_SIZE * 2 + 1,
			     entry->body_hash, FILE_HASH_SIZE);
	(void)snprintf(note + NOTE_STACK, FILE_STACK_SIZE, "%s",
		       entry->body_stack);
	email_message_set_store_note(message, note);
}

bool file_note_is_tried(const email_message *message)
{
	const char *note = email_message_get_store_note(message);

	return note != NULL && *note != '\0' && note[NOTE_TRIED] == '!';
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
