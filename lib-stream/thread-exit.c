/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "thread-exit.h"

#include <pthread.h>
#include <stdatomic.h>

#define CALLBACKS_MAX 4

struct thread_callbacks {
	unsigned int count;
	void (*callbacks[CALLBACKS_MAX])(void);
};

static _Thread_local struct thread_callbacks thread_callbacks;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static atomic_bool key_ok;

static void run_callbacks(void *context)
{
	struct thread_callbacks *list = context;

	while (list->count > 0)
		list->callbacks[--list->count]();
}

static void create_key(void)
{
	atomic_store(&key_ok, pthread_key_create(&key, run_callbacks) == 0);
}

/* A thread that goes on when the library is unloaded (dlclose() of what it is linked
   into) would call what is not there any more. */
void ATTR_DESTRUCTOR thread_exit_forget(void)
{
	if (atomic_exchange(&key_ok, false))
		(void)pthread_key_delete(key);
}

bool thread_exit_call(void (*callback)(void))
{
	struct thread_callbacks *list = &thread_callbacks;
	unsigned int i;

	for (i = 0; i < list->count; i++) {
		if (list->callbacks[i] == callback)
			return true;
	}
	if (list->count == CALLBACKS_MAX ||
	    pthread_once(&key_once, create_key) != 0 || !atomic_load(&key_ok) ||
	    pthread_setspecific(key, list) != 0)
		return false;
	list->callbacks[list->count++] = callback;
	return true;
}
