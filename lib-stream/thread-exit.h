/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_THREAD_EXIT_H
#define BOBBIN_THREAD_EXIT_H

#include "types.h"

/* Has callback() called when this thread ends (not when the process does); once
   per thread, however often it is asked for. At most four callbacks. False where
   that is impossible. Not installed. */
bool thread_exit_call(void (*callback)(void));
/* From now on no thread's callbacks are called, and a thread that has none cannot ask for
   one any more: the library is unloaded, or the process ends. */
void thread_exit_forget(void);

#endif
