/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef SCHEDULE_H
#define SCHEDULE_H

/* Threads one at a time, in an order that a number decides: the same number, the same order.
   Whoever locks, waits, signals, looks at a file or changes it may have to let another one go
   on before, and so may what reads atomic variables, if it is compiled for that
   (schedule-atomics.h). So an order that happens once in a year on two processors is one
   of some thousands here, and can be had again. What can never end says who waits for what,
   and the number.

   The linker gives the calls of threads, semaphores, clocks and epoll to this
   (schedule_ldflags in tests/local.mk); outside of a schedule they are the system's. Time
   goes on where all wait, and now and then where they do not. */

#include "compiler.h"

#include <stdbool.h>
#include <stdint.h>

/* From here on, of this thread and all that are started: until the end, which waits for those
   that nobody joined. The table of file operations is to be in use before. */
void schedule_begin(uint32_t number);
void schedule_end(void);
/* Another one may go on here. */
void schedule_point(void);
/* None of them may, until it is let go: of what only the test does. */
void schedule_hold(void);
void schedule_let_go(void);
/* Says what is wrong, and in which order, and ends the process: no thread can go on. */
void schedule_fail(const char *fmt, ...) ATTR_FORMAT(1, 2) ATTR_NORETURN;

/* Calls it for one order after the other, which it begins and ends: SCHEDULES of them, or as
   many as are usual, or only the one whose number is SCHEDULE. */
typedef void schedule_work_t(uint32_t number, void *context);
void schedule_each(unsigned int usual, schedule_work_t *work, void *context);
/* Not all orders meet what is counted over many. */
bool schedule_is_one(void);

#endif
