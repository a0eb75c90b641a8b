/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_AGE_KEYS_PRIVATE_H
#define BOBBIN_AGE_KEYS_PRIVATE_H

#include "age-keys.h"

#include <stdatomic.h>

#define AGE_KEY_SIZE 32

struct age_recipients {
	atomic_int refcount;
	unsigned int count, alloc;
	unsigned char (*keys)[AGE_KEY_SIZE];
};

/* In guarded memory. */
struct age_secret {
	unsigned char secret[AGE_KEY_SIZE];
	unsigned char recipient[AGE_KEY_SIZE];
};

struct age_identities {
	atomic_int refcount;
	unsigned int count, alloc;
	struct age_secret *secrets;
	char *passphrase; /* in guarded memory; NULL: none */
	unsigned int max_log_n;
};

#endif
