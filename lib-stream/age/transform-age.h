/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TRANSFORM_AGE_H
#define BOBBIN_TRANSFORM_AGE_H

/* The age v1 format (c2sp.org/age) as a transform. Each takes a reference on the
   set of keys. */

#include "age-keys.h"
#include "transform.h"

BOBBIN_BEGIN_DECLS

/* Encrypts to all of the recipients; an empty set is an error (EINVAL). A flush
   cannot push out the last, partly filled chunk of 64 KiB. */
struct transform *
transform_create_age_encoder(struct age_recipients *recipients);
/* Decrypts with the first identity that fits (else ENOKEY). Malformed or damaged
   is EINVAL, cut short is EPIPE; every chunk is verified before a byte of it is
   given out. A chunk at the end that is not full is EPIPE, too, where it is damaged or
   other bytes follow it: that cannot be told from a cut. Has random access. */
struct transform *
transform_create_age_decoder(struct age_identities *identities);
/* The same with so many threads, up to 64 (else EINVAL), that work on the chunks of one
   file at once; 0 and 1: none. The file is not another one, and what is read is verified
   as without them. They are started once eight chunks (512 KiB) went by without, and by
   every eighth in a row behind a seek; they end with the file. They take up to three
   chunks' memory each. In an event loop they wake the owner, and in a child of fork() there
   are none of them, as transform_create_async() says. */
struct transform *
transform_create_age_threads_encoder(struct age_recipients *recipients,
				     unsigned int threads);
struct transform *
transform_create_age_threads_decoder(struct age_identities *identities,
				     unsigned int threads);

/* The ASCII armor of age files (c2sp.org/age, "ASCII armor"): base64 in lines of
   64 between "-----BEGIN AGE ENCRYPTED FILE-----" and "-----END ...". It holds any
   bytes; that they are an age file is not checked. The encoder ends lines with
   LF; a flush keeps up to 47 bytes, of a line that is not full. */
struct transform *transform_create_armor_encoder(void);
/* Strict: LF or CRLF, white space only around the markers (1024 bytes each),
   anything else is EINVAL with the number of the line, cut short is EPIPE. */
struct transform *transform_create_armor_decoder(void);

BOBBIN_END_DECLS

#endif
