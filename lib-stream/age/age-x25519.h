/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_AGE_X25519_H
#define BOBBIN_AGE_X25519_H

/* The two X25519 operations (RFC 7748) that a recipient of a file costs: most of what a
   small message does. By libcrypto where the library is built with it (a little
   faster), else by libsodium. Not installed. */

#include "types.h"

#define AGE_X25519_SIZE 32

/* A recipient's public key. */
struct age_x25519_peer {
	unsigned char key[AGE_X25519_SIZE];
#ifdef HAVE_LIBCRYPTO
	void *pkey; /* the same for libcrypto; NULL: it has none */
#endif
};

void age_x25519_peer_init(struct age_x25519_peer *peer,
			  const unsigned char key[AGE_X25519_SIZE]);
void age_x25519_peer_deinit(struct age_x25519_peer *peer);

/* The public key of `secret`, and what it has in common with the peer. False: the peer
   is a point of low order. Several threads may use one peer. */
bool age_x25519_share(const struct age_x25519_peer *peer,
		      const unsigned char secret[AGE_X25519_SIZE],
		      unsigned char share_r[AGE_X25519_SIZE],
		      unsigned char shared_r[AGE_X25519_SIZE])
	ATTR_WARN_UNUSED_RESULT;

#endif
