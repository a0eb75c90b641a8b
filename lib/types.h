/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TYPES_H
#define BOBBIN_TYPES_H

/* The types that every public header speaks, and the renaming of every
   external symbol to its bobbin_ name (so that one process may link Bobbin
   and libdovecot, whose functions bear the same names). */

#include "bobbin-rename.h"
#include "compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

BOBBIN_BEGIN_DECLS

/* An offset or size of a stream, in bytes. */
typedef uint64_t uoff_t;
#define UOFF_T_MAX UINT64_MAX

/* One piece of data to be sent. Same members as struct iovec, but const. */
struct const_iovec {
	const void *iov_base;
	size_t iov_len;
};

/* What progress streams call (istream-filters.h, ostream-filters.h). Is told how many
   bytes have passed; false cancels (ECANCELED). It must not destroy the stream. */
typedef bool stream_progress_callback_t(uoff_t offset, void *context);

/* Memory pools are Dovecot's; here the only pool is the heap, and the argument
   exists so that sources written for either library compile. */
typedef struct bobbin_pool *pool_t;
#define default_pool ((pool_t)0)

BOBBIN_END_DECLS

#endif
