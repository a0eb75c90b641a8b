/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_AGE_KEYS_H
#define BOBBIN_AGE_KEYS_H

/* Keys for encrypting and decrypting streams in the age v1 format (X25519, and
   passphrases for reading). Sets are reference counted; a set that is no longer
   added to may be shared by threads. Functions that can fail return -1 with an
   errno and a sentence in *error_r, to be freed by free(); no text ever holds a
   secret. */

#include "types.h"

BOBBIN_BEGIN_DECLS

/* Bytes of "age1..." and of "AGE-SECRET-KEY-1...", with the NUL. */
#define AGE_RECIPIENT_TEXT_SIZE 63
#define AGE_IDENTITY_TEXT_SIZE 75

struct age_recipients;
struct age_identities;

/* Whom to encrypt to: an empty set, with one reference, the caller's. It holds 1024 keys
   at most, each once. */
struct age_recipients *age_recipients_new(void);
/* Takes one more reference, to be dropped by age_recipients_unref(). */
void age_recipients_ref(struct age_recipients *set);
/* Drops a reference, the last of which frees the set, and sets the pointer to NULL; NULL
   is allowed. */
void age_recipients_unref(struct age_recipients **set);
/* Adds "age1...", which does nothing where the set has it. 0, or -1: EINVAL, it is not a
   recipient; EFBIG, the set is full. */
int age_recipients_add(struct age_recipients *set, const char *text,
		       char **error_r);
/* Adds each line of a file that is neither empty nor begins with "#". A file
   without any is an error. At most 16 MiB. */
int age_recipients_add_file(struct age_recipients *set, const char *path,
			    char **error_r);
/* The same from an open file, which is not closed; the name is for messages. Of what
   has no size (a pipe) at most 65535 bytes. */
int age_recipients_add_fd(struct age_recipients *set, int fd, const char *name,
			  char **error_r);
/* How many recipients the set has. */
unsigned int age_recipients_count(const struct age_recipients *set);
/* Recipient number i (0 is the first, there has to be one of this number), as text. */
void age_recipients_get_text(const struct age_recipients *set, unsigned int i,
			     char text_r[AGE_RECIPIENT_TEXT_SIZE]);

/* What to decrypt with: an empty set, with one reference, the caller's. It holds 1024
   identities at most. Secrets are kept in guarded memory, which is locked where the
   system allows it, and wiped. */
struct age_identities *age_identities_new(void);
/* Takes one more reference, to be dropped by age_identities_unref(). */
void age_identities_ref(struct age_identities *set);
/* Drops a reference, the last of which wipes and frees the set, and sets the pointer to
   NULL; NULL is allowed. */
void age_identities_unref(struct age_identities **set);
/* Adds "AGE-SECRET-KEY-1...". 0, or -1: EINVAL, it is not an identity; EFBIG, the set is
   full. */
int age_identities_add(struct age_identities *set, const char *text,
		       char **error_r);
/* Adds each line of a file as age-keygen writes it, of at most 16 MiB; one without any
   identity is an error. *exposed_r (may be NULL) tells whether others than its owner may
   read the file. */
int age_identities_add_file(struct age_identities *set, const char *path,
			    bool *exposed_r, char **error_r);
/* Sets the passphrase, of which a set has one, for files encrypted to one (scrypt). The
   work factor of a file may be at most 2^max_log_n (1 to 22; 18 needs 256 MiB). */
int age_identities_add_passphrase(struct age_identities *set,
				  const char *passphrase,
				  unsigned int max_log_n, char **error_r);
/* How many identities the set has; a passphrase does not count. */
unsigned int age_identities_count(const struct age_identities *set);
/* The recipient that belongs to identity number i (0 is the first, there has to be one of
   this number), as text. */
void age_identities_get_recipient(const struct age_identities *set,
				  unsigned int i,
				  char text_r[AGE_RECIPIENT_TEXT_SIZE]);

/* Makes a new identity and writes it, as age-keygen does, to a file that must
   not exist yet (EEXIST), with mode 0600; its recipient goes to text_r. The file
   is on stable storage when this returns 0. */
int age_keygen(const char *path, char text_r[AGE_RECIPIENT_TEXT_SIZE],
	       char **error_r);

BOBBIN_END_DECLS

#endif
