/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Errors of output streams: how they stick, who must look at them. */

#include "compat-case.h"

/* Not a null stream: from those nobody has to look at errors. */
static struct ostream *sink(void)
{
	struct ostream *s = o_stream_create_file("f", 0, 0600, 0);

	o_stream_set_name(s, "sink");
	return s;
}

static void error_stream(void)
{
	struct ostream *s = o_stream_create_error(EINVAL);

	say_ostream("new", s);
	CALL(o_stream_send_str(s, "x"));
	CALL(o_stream_flush(s));
	CALL(o_stream_finish(s));
	STR(o_stream_get_disconnect_reason(s));
	STR(o_stream_get_error(s));
	o_stream_destroy(&s);
}

static void error_stream_with_text(void)
{
	struct ostream *s =
		o_stream_create_error_str(EIO, "no %s, %d", "luck", 7);

	say_ostream("new", s);
	o_stream_set_name(s, "named");
	STR(o_stream_get_error(s));
	STR(o_stream_get_disconnect_reason(s));
	STR(o_stream_get_error(s));
	STR(o_stream_get_disconnect_reason(s));
	CALL(o_stream_finish(s));
	o_stream_destroy(&s);
}

static void a_broken_pipe_has_no_reason(void)
{
	struct ostream *s = o_stream_create_error(EPIPE);

	STR(o_stream_get_disconnect_reason(s));
	STR(o_stream_get_error(s));
	o_stream_destroy(&s);
	s = sink();
	STR(o_stream_get_disconnect_reason(s));
	STR(o_stream_get_error(s));
	o_stream_destroy(&s);
}

static void errors_go_up(void)
{
	struct ostream *end = o_stream_create_error_str(ENOSPC, "it is full");
	struct ostream *s = o_stream_create_failure_at(end, 100, "no");

	say_ostream("new", s);
	CALL(o_stream_send_str(s, "x"));
	say_ostream("sent", s);
	STR(o_stream_get_error(s));
	CALL(o_stream_flush(s));
	STR(o_stream_get_disconnect_reason(s));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
}

static void errors_go_up_two_floors(void)
{
	struct ostream *end = sink();
	struct ostream *middle = o_stream_create_failure_at(end, 2, "no more");
	struct ostream *s = o_stream_create_failure_at(middle, 100, "never");

	o_stream_nsend_str(s, "abcdef");
	say_ostream("top", s);
	STR(o_stream_get_error(s));
	say_ostream("middle", middle);
	say_ostream("end", end);
	CALL(o_stream_flush(s));
	CALL(o_stream_flush(s));
	CALL(o_stream_finish(s));
	o_stream_destroy(&s);
	o_stream_destroy(&middle);
	o_stream_destroy(&end);
}

static void a_childs_own_errno(void)
{
	struct ostream *end = o_stream_create_error_str(EIO, "broken");
	struct ostream *s = o_stream_create_failure_at(end, 100, "no");

	NUM(s->stream_errno);
	STR(o_stream_get_error(s));
	STR(o_stream_get_error(end));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
}

static void missing_error_handling(void)
{
	struct ostream *s = sink();

	o_stream_set_name(s, "/the/name");
	o_stream_nsend_str(s, "x");
	o_stream_destroy(&s);
	say("destroyed");
}

static void missing_error_handling_without_a_name(void)
{
	struct ostream *s = sink();

	o_stream_set_name(s, "");
	o_stream_nsend_str(s, "x");
	o_stream_unref(&s);
	say("destroyed");
}

static void null_streams_need_none(void)
{
	struct ostream *s = o_stream_create_null();

	o_stream_nsend_str(s, "x");
	o_stream_destroy(&s);
	say("destroyed");
}

static void missing_error_handling_of_uncork(void)
{
	struct ostream *s = sink();

	o_stream_cork(s);
	CALL(o_stream_send_str(s, "x"));
	o_stream_uncork(s);
	o_stream_destroy(&s);
	say("destroyed");
}

static void missing_error_handling_of_a_failing_uncork(void)
{
	struct ostream *end = sink();
	struct ostream *s = o_stream_create_failure_at_flush(end, "bad flush");

	o_stream_cork(s);
	CALL(o_stream_send_str(s, "x"));
	o_stream_uncork(s);
	say_ostream("uncorked", s);
	o_stream_destroy(&s);
	say("destroyed");
}

static void missing_error_handling_of_the_last_reference(void)
{
	struct ostream *s = sink(), *other = s;

	o_stream_ref(s);
	o_stream_nsend_str(s, "x");
	o_stream_destroy(&s);
	say("one is left");
	o_stream_unref(&other);
	say("destroyed");
}

static void handled_by_flush(void)
{
	struct ostream *end = sink();
	struct ostream *s = o_stream_create_failure_at(end, 100, "no");

	o_stream_nsend_str(end, "below");
	o_stream_nsend_str(s, "above");
	NUM(o_stream_flush(s));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	say("both were checked");
}

static void not_handled_by_the_parents_flush(void)
{
	struct ostream *end = sink();
	struct ostream *s = o_stream_create_failure_at(end, 100, "no");

	o_stream_set_name(end, "end");
	o_stream_set_name(s, "top");
	o_stream_nsend_str(s, "above");
	NUM(o_stream_flush(end));
	o_stream_destroy(&s);
	say("destroyed");
}

static void handled_by_ignoring(void)
{
	struct ostream *end = sink();
	struct ostream *s = o_stream_create_failure_at(end, 3, "no");

	o_stream_nsend_str(s, "above");
	o_stream_ignore_last_errors(s);
	say_ostream("ignored", s);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	say("destroyed");
}

static void ignoring_is_not_for_ever(void)
{
	struct ostream *s = sink();

	o_stream_nsend_str(s, "x");
	o_stream_ignore_last_errors(s);
	o_stream_nsend_str(s, "y");
	o_stream_destroy(&s);
	say("destroyed");
}

static void no_error_handling_is_copied(void)
{
	struct ostream *end = sink(), *s;

	o_stream_set_no_error_handling(end, true);
	s = o_stream_create_failure_at(end, 1, "no");
	o_stream_nsend_str(s, "above");
	o_stream_destroy(&s);
	o_stream_nsend_str(end, "below");
	o_stream_destroy(&end);
	say("destroyed");
}

static void no_error_handling_switched_back(void)
{
	struct ostream *s = sink();

	o_stream_set_no_error_handling(s, true);
	o_stream_nsend_str(s, "x");
	o_stream_set_no_error_handling(s, false);
	o_stream_nsend_str(s, "y");
	o_stream_destroy(&s);
	say("destroyed");
}

static void abort_a_good_stream(void)
{
	struct ostream *s = sink();

	o_stream_nsend_str(s, "x");
	o_stream_abort(s);
	say("errno %s", errno_name(s->stream_errno));
	CALL(o_stream_send_str(s, "y"));
	CALL(o_stream_flush(s));
	CALL(o_stream_finish(s));
	o_stream_destroy(&s);
	say("destroyed");
}

static void abort_a_failed_stream(void)
{
	struct ostream *end = sink();
	struct ostream *s = o_stream_create_failure_at(end, 3, "the reason");

	o_stream_nsend_str(s, "above");
	o_stream_abort(s);
	say_ostream("aborted", s);
	STR(o_stream_get_error(s));
	NUM(end->stream_errno);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	say("destroyed");
}

static void abort_after_finish(void)
{
	struct ostream *s = sink();

	NUM(o_stream_finish(s));
	o_stream_abort(s);
	say("errno %s", errno_name(s->stream_errno));
	o_stream_destroy(&s);
}

static void failure_at(void)
{
	struct ostream *end = sink();
	struct ostream *s = o_stream_create_failure_at(end, 5, "at five");

	CALL(o_stream_send_str(s, "abcde"));
	say_ostream("exactly there", s);
	NUM(o_stream_flush(s));
	CALL(o_stream_send(s, "", 0));
	CALL(o_stream_send_str(s, "f"));
	say_ostream("one more", s);
	STR(o_stream_get_error(s));
	NUM(end->offset);
	o_stream_destroy(&s);
	s = o_stream_create_failure_at(end, 3, "at three");
	CALL(o_stream_send_str(s, "abcdef"));
	say_ostream("over it", s);
	STR(o_stream_get_error(s));
	NUM(end->offset);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
}

static void failure_at_flush(void)
{
	struct ostream *end = sink();
	struct ostream *s = o_stream_create_failure_at_flush(end, "at flush");

	CALL(o_stream_send_str(s, "abc"));
	say_ostream("sent", s);
	CALL(o_stream_flush(s));
	say_ostream("flushed", s);
	STR(o_stream_get_error(s));
	CALL(o_stream_send_str(s, "d"));
	NUM(end->offset);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
}

static void a_file_that_cannot_be_opened(void)
{
	struct ostream *s = o_stream_create_file("no/such/dir", 0, 0600, 0);

	say("errno %s", errno_name(s->stream_errno));
	NUM(strstr(o_stream_get_error(s), "No such file") != NULL);
	CALL(o_stream_send_str(s, "x"));
	CALL(o_stream_finish(s));
	o_stream_destroy(&s);
}

static void a_bad_fd(void)
{
	struct ostream *s = o_stream_create_fd(999, 0);

	CALL(o_stream_send_str(s, "x"));
	say("errno %s", errno_name(s->stream_errno));
	CALL(o_stream_flush(s));
	o_stream_destroy(&s);
}

const struct compat_case compat_ostream_errors[] = {
	{ "ostream-errors error stream", error_stream },
	{ "ostream-errors error stream with text", error_stream_with_text },
	{ "ostream-errors disconnected", a_broken_pipe_has_no_reason },
	{ "ostream-errors go up", errors_go_up },
	{ "ostream-errors go up two floors", errors_go_up_two_floors },
	{ "ostream-errors a child's own errno", a_childs_own_errno },
	{ "ostream-errors missing handling", missing_error_handling },
	{ "ostream-errors missing handling, no name",
	  missing_error_handling_without_a_name },
	{ "ostream-errors missing handling of uncork",
	  missing_error_handling_of_uncork },
	{ "ostream-errors missing handling of failing uncork",
	  missing_error_handling_of_a_failing_uncork },
	{ "ostream-errors missing handling, last reference",
	  missing_error_handling_of_the_last_reference },
	{ "ostream-errors null needs no handling", null_streams_need_none },
	{ "ostream-errors handled by flush", handled_by_flush },
	{ "ostream-errors not by the parent's flush",
	  not_handled_by_the_parents_flush },
	{ "ostream-errors handled by ignoring", handled_by_ignoring },
	{ "ostream-errors ignored but once", ignoring_is_not_for_ever },
	{ "ostream-errors no handling copied", no_error_handling_is_copied },
	{ "ostream-errors no handling switched back",
	  no_error_handling_switched_back },
	{ "ostream-errors abort", abort_a_good_stream },
	{ "ostream-errors abort after a failure", abort_a_failed_stream },
	{ "ostream-errors abort after finish", abort_after_finish },
	{ "ostream-errors failure at", failure_at },
	{ "ostream-errors failure at flush", failure_at_flush },
	{ "ostream-errors no such file", a_file_that_cannot_be_opened },
	{ "ostream-errors bad fd", a_bad_fd },
	{ NULL, NULL }
};
