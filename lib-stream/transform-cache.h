/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TRANSFORM_CACHE_H
#define BOBBIN_TRANSFORM_CACHE_H

/* Codec contexts are expensive to make (zlib's take 256 KiB). A few idle ones
   are kept for all threads, by class and parameter. Only for classes whose contexts
   hold no keys. Not installed. */

#include "transform.h"

/* A reset context of this class and parameter, or NULL. */
struct transform *transform_cache_get(const struct transform_class *class_,
				      int param);
/* Resets the context and keeps it: true; false where it is to be freed.
   real_free frees it later. Called by a class's free(). */
bool transform_cache_put(struct transform *t, int param,
			 void (*real_free)(struct transform *t));

#endif
