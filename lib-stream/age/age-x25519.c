/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "age-x25519.h"

#include <sodium.h>
#include <string.h>

#ifdef HAVE_LIBCRYPTO
#include <openssl/err.h>
#include <openssl/evp.h>
#endif

static bool share_by_sodium(const struct age_x25519_peer *peer,
			    const unsigned char *secret, unsigned char *share_r,
			    unsigned char *shared_r)
{
	return crypto_scalarmult_curve25519_base(share_r, secret) == 0 &&
		crypto_scalarmult_curve25519(shared_r, secret, peer->key) == 0;
}

#ifdef HAVE_LIBCRYPTO

void age_x25519_peer_init(struct age_x25519_peer *peer,
			  const unsigned char key[AGE_X25519_SIZE])
{
	memcpy(peer->key, key, AGE_X25519_SIZE);
	peer->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, key,
						 AGE_X25519_SIZE);
}

void age_x25519_peer_deinit(struct age_x25519_peer *peer)
{
	EVP_PKEY_free(peer->pkey);
	peer->pkey = NULL;
}

static bool derive(EVP_PKEY *key, EVP_PKEY *peer, unsigned char *shared_r)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	size_t size = AGE_X25519_SIZE;
	bool ok;

	/* a peer of low order makes it fail, so that it need not be looked at */
	ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
		EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1 &&
		EVP_PKEY_derive(ctx, shared_r, &size) == 1 &&
		size == AGE_X25519_SIZE;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static bool share_by_libcrypto(const struct age_x25519_peer *peer,
			       const unsigned char *secret,
			       unsigned char *share_r, unsigned char *shared_r)
{
	size_t size = AGE_X25519_SIZE;
	EVP_PKEY *key;
	bool ok;

	if (peer->pkey == NULL)
		return false;
	/* the thread's list of errors is the program's */
	(void)ERR_set_mark();
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, size);
	ok = key != NULL &&
		EVP_PKEY_get_raw_public_key(key, share_r, &size) == 1 &&
		derive(key, peer->pkey, shared_r);
	EVP_PKEY_free(key);
	(void)ERR_pop_to_mark();
	return ok;
}

bool age_x25519_share(const struct age_x25519_peer *peer,
		      const unsigned char secret[AGE_X25519_SIZE],
		      unsigned char share_r[AGE_X25519_SIZE],
		      unsigned char shared_r[AGE_X25519_SIZE])
{
	/* it may be without memory, or without this algorithm */
	return share_by_libcrypto(peer, secret, share_r, shared_r) ||
		share_by_sodium(peer, secret, share_r, shared_r);
}

#else

void age_x25519_peer_init(struct age_x25519_peer *peer,
			  const unsigned char key[AGE_X25519_SIZE])
{
	memcpy(peer->key, key, AGE_X25519_SIZE);
}

void age_x25519_peer_deinit(struct age_x25519_peer *peer ATTR_UNUSED)
{
}

bool age_x25519_share(const struct age_x25519_peer *peer,
		      const unsigned char secret[AGE_X25519_SIZE],
		      unsigned char share_r[AGE_X25519_SIZE],
		      unsigned char shared_r[AGE_X25519_SIZE])
{
	return share_by_sodium(peer, secret, share_r, shared_r);
}

#endif
