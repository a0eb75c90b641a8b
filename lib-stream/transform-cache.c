/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "transform-cache.h"
#include "thread-exit.h"

/* Of one class and parameter, and in all. */
#define CACHE_SAME_MAX 2
#define CACHE_MAX 8

struct cache_slot {
	struct transform *t;
	int param;
	void (*real_free)(struct transform *t);
};

static _Thread_local struct cache_slot slots[CACHE_MAX];
static _Thread_local unsigned int slot_count;

static void free_all(void)
{
	while (slot_count > 0) {
		slot_count--;
		slots[slot_count].real_free(slots[slot_count].t);
	}
}

struct transform *transform_cache_get(const struct transform_class *class_,
				      int param)
{
	struct transform *t;
	unsigned int i;

	for (i = slot_count; i > 0; i--) {
		t = slots[i - 1].t;
		if (t->class_ != class_ || slots[i - 1].param != param)
			continue;
		slots[i - 1] = slots[--slot_count];
		return t;
	}
	return NULL;
}

static unsigned int count_same(const struct transform *t, int param)
{
	unsigned int i, count = 0;

	for (i = 0; i < slot_count; i++) {
		if (slots[i].t->class_ == t->class_ && slots[i].param == param)
			count++;
	}
	return count;
}

bool transform_cache_put(struct transform *t, int param,
			 void (*real_free)(struct transform *t))
{
	if (slot_count == CACHE_MAX || count_same(t, param) == CACHE_SAME_MAX ||
	    !thread_exit_call(free_all))
		return false;
	transform_clear_error(t);
	t->class_->reset(t);
	slots[slot_count].t = t;
	slots[slot_count].param = param;
	slots[slot_count].real_free = real_free;
	slot_count++;
	return true;
}
