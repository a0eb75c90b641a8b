/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_COMPILER_H
#define BOBBIN_COMPILER_H

/* Compiler extensions, in one place. Everything builds when they are empty. */

#if defined(__GNUC__)
#define ATTR_FORMAT(fmt, args) __attribute__((format(printf, fmt, args)))
#define ATTR_WARN_UNUSED_RESULT __attribute__((warn_unused_result))
#define ATTR_PURE __attribute__((pure))
#define ATTR_NORETURN __attribute__((noreturn))
#define ATTR_UNUSED __attribute__((unused))
#define ATTR_COLD __attribute__((cold))
#define ATTR_DESTRUCTOR __attribute__((destructor))
#define ATTR_EXPORT __attribute__((visibility("default")))
#define BOBBIN_NOINLINE __attribute__((noinline))
#define BOBBIN_INLINE inline __attribute__((always_inline))
/* For functions that use instructions which not every CPU has. */
#define BOBBIN_TARGET(names) __attribute__((target(names)))
#define BOBBIN_LIKELY(expr) __builtin_expect(!!(expr), 1)
#define BOBBIN_UNLIKELY(expr) __builtin_expect(!!(expr), 0)
/* Where the calling function's frame is on the stack; 0: not known. */
#define BOBBIN_FRAME_ADDRESS() ((uintptr_t)__builtin_frame_address(0))
#else
#define ATTR_FORMAT(fmt, args)
#define ATTR_WARN_UNUSED_RESULT
#define ATTR_PURE
#define ATTR_NORETURN
#define ATTR_UNUSED
#define ATTR_COLD
#define ATTR_DESTRUCTOR
#define ATTR_EXPORT
#define BOBBIN_NOINLINE
#define BOBBIN_INLINE inline
#define BOBBIN_TARGET(names)
#define BOBBIN_LIKELY(expr) (expr)
#define BOBBIN_UNLIKELY(expr) (expr)
#define BOBBIN_FRAME_ADDRESS() ((uintptr_t)0)
#endif

/* Around the declarations of every public header. */
#ifdef __cplusplus
#define BOBBIN_BEGIN_DECLS extern "C" {
#define BOBBIN_END_DECLS }
#else
#define BOBBIN_BEGIN_DECLS
#define BOBBIN_END_DECLS
#endif

#endif
