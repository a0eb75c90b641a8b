/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Asynchronous calls, with others that wait beside them, in one order after the other: each
   request is answered once, what was answered holds behind a power cut, and closing ends. */

#include "config.h"
#include "crash-spool.h"
#include "schedule.h"
#include "spool-async.h"
#include "spool-private.h"
#include "test-common.h"

#include <errno.h>
#include <pthread.h>

#define ASYNC_MESSAGES 16
#define WAITED_MESSAGES 12
/* Fewer than there are, so that some are refused at first. */
#define REQUESTS_MAX 10

enum step {
	STEP_PUT,
	STEP_REWRITE,
	STEP_GET,
	STEP_REMOVE
};

struct scene {
	const char *store;
	/* the number of the answer in which that is done; 0: in none */
	unsigned int cancel_at, close_at;
};

/* One message, of which a step is under way, or two. */
struct course {
	unsigned int i;
	/* to be submitted, and to be answered */
	enum step next, step;
	email_message *message;
	bool is_over;
	uint64_t version;
};

static const struct scene *scene;
static struct spool *spool;
static struct spool_async *async;
static struct ioloop *loop;
static struct course courses[ASYNC_MESSAGES];
static unsigned int under_way, answers;

static void answered(int answer, void *context);

static int submit(struct course *course)
{
	switch (course->next) {
	case STEP_PUT:
		return spool_submit_put(async, course->message, answered,
					course);
	case STEP_REWRITE:
		return spool_submit_writeheaders(async, course->message, 0,
						 answered, course);
	case STEP_GET:
		return spool_submit_get(async, course->message, answered,
					course);
	default:
		crash_note_removing(course->i);
		return spool_submit_remove(async, crash_id(course->i), answered,
					   course);
	}
}

/* Who is refused is asked again when something was answered. */
static bool begin_step(struct course *course)
{
	if (submit(course) == IO_DONE) {
		course->next++;
		under_way++;
		return true;
	}
	if (io_get_errno() == ECANCELED)
		course->is_over = true;
	else if (io_get_errno() != EAGAIN || under_way == 0)
		schedule_fail("refused: %s", io_get_error());
	return false;
}

/* Some have two at once, which are to come one behind the other. */
static void begin(struct course *course)
{
	if (course->is_over || course->next != course->step || async == NULL)
		return;
	if (begin_step(course) && course->next == STEP_REWRITE &&
	    course->i % 4 == 1)
		(void)begin_step(course);
}

static void take_answer(struct course *course)
{
	switch (course->step) {
	case STEP_PUT:
		crash_note_stored(course->i);
		course->version = 1;
		break;
	case STEP_REWRITE:
		crash_note_rewritten(course->i);
		course->version = 2;
		break;
	case STEP_GET:
		if (email_message_get_version(course->message) !=
		    course->version)
			schedule_fail("message %u is read in another version",
				      course->i);
		break;
	default:
		crash_note_absent(course->i);
		course->version = 0;
	}
	/* a third of them stay */
	if (course->step == STEP_REMOVE ||
	    (course->step == STEP_GET && course->i % 3 == 0))
		course->is_over = true;
}

static void do_it_in_an_answer(void)
{
	answers++;
	if (answers == scene->cancel_at)
		(void)spool_async_cancel(async, NULL);
	if (answers == scene->close_at)
		spool_async_close(&async);
}

static void answered(int answer, void *context)
{
	struct course *course = context;
	unsigned int i;

	if (course->next == course->step)
		schedule_fail("message %u: answered twice", course->i);
	under_way--;
	if (answer == IO_DONE)
		take_answer(course);
	else if (io_get_errno() != ECANCELED || scene->cancel_at == 0)
		schedule_fail("message %u: %d: %s", course->i, answer,
			      io_get_error());
	else
		course->is_over = true;
	course->step++;
	do_it_in_an_answer();
	for (i = 0; i < ASYNC_MESSAGES; i++)
		begin(&courses[i]);
	if (under_way == 0 && io_loop_is_running(loop))
		io_loop_stop(loop);
}

static void *put_and_wait(void *context)
{
	unsigned int i, first = *(unsigned int *)context;

	for (i = first; i < first + WAITED_MESSAGES; i++) {
		if (crash_put(spool, i, i * 60) != IO_DONE ||
		    (i % 2 == 0 && crash_remove(spool, i) != IO_DONE))
			schedule_fail("message %u: %s", i, io_get_error());
	}
	return NULL;
}

static void run_async(void)
{
	unsigned int firsts[] = { ASYNC_MESSAGES,
				  ASYNC_MESSAGES + WAITED_MESSAGES };
	pthread_t threads[N_ELEMENTS(firsts)];
	unsigned int i;
	char *error;

	loop = io_loop_create();
	async = spool_async_new(spool, loop, 3, REQUESTS_MAX, &error);
	if (async == NULL)
		schedule_fail("%s", error);
	for (i = 0; i < N_ELEMENTS(firsts); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_and_wait,
						&firsts[i]),
				 0);
	for (i = 0; i < ASYNC_MESSAGES; i++)
		begin(&courses[i]);
	if (under_way > 0)
		io_loop_run(loop);
	spool_async_close(&async);
	for (i = 0; i < N_ELEMENTS(firsts); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	io_loop_destroy(&loop);
}

static void check_courses(void)
{
	unsigned int i;

	for (i = 0; i < ASYNC_MESSAGES; i++) {
		if (courses[i].next != courses[i].step)
			schedule_fail("message %u was not answered", i);
		if (crash_version(spool, i) != courses[i].version)
			schedule_fail("message %u is another version", i);
		email_message_unref(&courses[i].message);
	}
}

static void run_scene(uint32_t number, void *context)
{
	struct spool_settings settings = { 0 };
	struct crash_keeping keeping = { 0 };
	const char *wrong;
	size_t states;
	unsigned int i;

	scene = context;
	settings.store = scene->store;
	crash_spool_prepare(&settings, CRASH_SYNC_NONE);
	schedule_begin(number);
	spool = crash_spool_open(test_path("work"));
	memset(courses, 0, sizeof(courses));
	answers = 0;
	for (i = 0; i < ASYNC_MESSAGES; i++) {
		courses[i].i = i;
		courses[i].message = crash_message(spool, i, 40 + i * 90);
	}
	run_async();
	check_courses();
	spool_close(&spool);
	schedule_end();
	crash_record_end();
	crash_explore_each(50);
	wrong = crash_explore(test_path("state"), 1, crash_check_spool,
			      &keeping, &states);
	crash_explore_each(1);
	if (wrong != NULL)
		schedule_fail("%s", wrong);
}

static void test_all_answered(void **state ATTR_UNUSED)
{
	struct scene journal = { .store = "journal" },
		     file = { .store = "file" };

	schedule_each(30, run_scene, &journal);
	schedule_each(20, run_scene, &file);
}

static void test_cancelled_and_closed(void **state ATTR_UNUSED)
{
	static const struct scene scenes[] = {
		{ "journal", .cancel_at = 5 },
		{ "journal", .close_at = 1 },
		{ "journal", .cancel_at = 20, .close_at = 25 },
		{ "file", .cancel_at = 4, .close_at = 12 },
	};
	struct scene one;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(scenes); i++) {
		one = scenes[i];
		schedule_each(10, run_scene, &one);
	}
}

#define WARNINGS 4

static int contexts[2];

static void hear_first(const char *text ATTR_UNUSED, void *context)
{
	if (context != &contexts[0])
		schedule_fail("the first one is told with another's context");
}

static void hear_second(const char *text ATTR_UNUSED, void *context)
{
	if (context != &contexts[1])
		schedule_fail("the second one is told with another's context");
}

static void *warn(void *context ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < WARNINGS; i++)
		spool_warn(spool, "number %u", i);
	return NULL;
}

static void change_listeners(uint32_t number, void *context ATTR_UNUSED)
{
	pthread_t thread;

	schedule_begin(number);
	spool = spool_new();
	spool_set_warning_callback(spool, hear_first, &contexts[0]);
	assert_int_equal(pthread_create(&thread, NULL, warn, NULL), 0);
	spool_set_warning_callback(spool, hear_second, &contexts[1]);
	spool_set_warning_callback(spool, NULL, NULL);
	assert_int_equal(pthread_join(thread, NULL), 0);
	spool_close(&spool);
	schedule_end();
}

/* Who is told may be another one, or nobody, while a thread tells. */
static void test_another_listener(void **state ATTR_UNUSED)
{
	schedule_each(40, change_listeners, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_answered),
		cmocka_unit_test(test_cancelled_and_closed),
		cmocka_unit_test(test_another_listener),
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("schedule-async", tests, NULL, NULL);
}
