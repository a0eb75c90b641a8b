/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What was used last is handed out first, to whichever thread: its tables are still in
   the processor's cache. With some for each thread, many threads that take turns would
   find theirs cold each time. */

#include "config.h"
#include "transform-cache.h"

#include <pthread.h>
#include <string.h>

/* Of one class and parameter, and in all. */
#define CACHE_SAME_MAX 8
#define CACHE_MAX 32

struct cache_slot {
	struct transform *t;
	int param;
	void (*real_free)(struct transform *t);
};

/* Nobody waits for the lock: who does not get it goes without. So a thread that is
   stopped with it, or was not taken along by fork(), is in nobody's way: in a child that
   needs no mark, and no pthread_atfork(), which _Fork() would not call. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct cache_slot slots[CACHE_MAX];
static unsigned int slot_count; /* the last used one is the last */

static bool is_same(const struct cache_slot *slot,
		    const struct transform_class *class_, int param)
{
	return slot->t->class_ == class_ && slot->param == param;
}

static struct transform *take(const struct transform_class *class_, int param)
{
	struct transform *t;
	unsigned int i;

	for (i = slot_count; i > 0; i--) {
		if (!is_same(&slots[i - 1], class_, param))
			continue;
		t = slots[i - 1].t;
		slot_count--;
		memmove(slots + i - 1, slots + i,
			(slot_count - (i - 1)) * sizeof(*slots));
		return t;
	}
	return NULL;
}

struct transform *transform_cache_get(const struct transform_class *class_,
				      int param)
{
	struct transform *t;

	if (pthread_mutex_trylock(&lock) != 0)
		return NULL;
	t = take(class_, param);
	(void)pthread_mutex_unlock(&lock);
	return t;
}

static bool put(const struct cache_slot *slot)
{
	unsigned int i, count = 0;

	for (i = 0; i < slot_count; i++)
		count += is_same(&slots[i], slot->t->class_, slot->param) ? 1 :
									    0;
	if (slot_count == CACHE_MAX || count == CACHE_SAME_MAX)
		return false;
	slots[slot_count++] = *slot;
	return true;
}

bool transform_cache_put(struct transform *t, int param,
			 void (*real_free)(struct transform *t))
{
	struct cache_slot slot = { t, param, real_free };
	bool kept;

	transform_clear_error(t);
	t->class_->reset(t);
	if (pthread_mutex_trylock(&lock) != 0)
		return false;
	kept = put(&slot);
	(void)pthread_mutex_unlock(&lock);
	return kept;
}

/* When the library is unloaded, or the process ends. */
static void ATTR_DESTRUCTOR free_all(void)
{
	if (pthread_mutex_trylock(&lock) != 0)
		return;
	while (slot_count > 0) {
		slot_count--;
		slots[slot_count].real_free(slots[slot_count].t);
	}
	(void)pthread_mutex_unlock(&lock);
}
