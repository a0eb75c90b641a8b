/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_IOSTREAM_PUMP_H
#define BOBBIN_IOSTREAM_PUMP_H

/* Moves all of an input stream into an output stream, in an event loop, as fast as
   the slower one goes. Either side may be blocking; then the loop waits with it. At
   most some blocks wait in the output, whatever its maximum: a slow reader makes the
   pump stop reading. */

#include "types.h"

BOBBIN_BEGIN_DECLS

struct iostream_pump;
struct ioloop;
struct istream;
struct ostream;

enum iostream_pump_status {
	/* The input's end was read, and the output has sent all of it. */
	IOSTREAM_PUMP_STATUS_INPUT_EOF,
	/* Reading failed; what was read before it was sent. */
	IOSTREAM_PUMP_STATUS_INPUT_ERROR,
	/* Writing failed. */
	IOSTREAM_PUMP_STATUS_OUTPUT_ERROR
};

/* Called once for each start, when the pump has stopped by itself; never inside of
   start, and not if it is stopped or destroyed before. It may destroy the pump. */
typedef void iostream_pump_callback_t(enum iostream_pump_status status,
				      void *context);

/* Refers to both streams until it is freed. */
struct iostream_pump *iostream_pump_create(struct istream *input,
					   struct ostream *output);
/* The streams that it was given; no reference for the caller. */
struct istream *iostream_pump_get_input(struct iostream_pump *pump);
struct ostream *iostream_pump_get_output(struct iostream_pump *pump);

/* Begins, in the loop that is current (or that it was switched to), at the loop's
   next turn; does nothing if it runs. The callback must have been set. The output's
   flush callback is the pump's until it stops, and a cork of the output ends. The
   output is flushed, where the input pauses, too, but not finished: a trailer is
   the caller's business, when the callback has come. */
void iostream_pump_start(struct iostream_pump *pump);
/* Takes the pump out of the loop. Nothing is lost: what was read was given to the
   output, and a new start goes on. */
void iostream_pump_stop(struct iostream_pump *pump);

/* Takes one more reference, to be dropped by iostream_pump_unref(). */
void iostream_pump_ref(struct iostream_pump *pump);
/* Drops a reference and sets the pointer to NULL; NULL is allowed. While others are left
   the pump goes on; the last one stops it, and drops its references on the streams. */
void iostream_pump_unref(struct iostream_pump **pump);
/* Stops it, whoever else refers to it, drops the caller's reference and sets the pointer
   to NULL; NULL is allowed. */
void iostream_pump_destroy(struct iostream_pump **pump);

/* Whom to call when the pump has stopped by itself, in place of who was to be called
   before. To be set before the first start. */
void bobbin_iostream_pump_set_completion_callback(
	struct iostream_pump *pump, iostream_pump_callback_t *callback,
	void *context);
#define iostream_pump_set_completion_callback(pump, callback, context) \
	bobbin_iostream_pump_set_completion_callback(                  \
		pump, (iostream_pump_callback_t *)(callback), context)

/* Whether it waits for the output alone: the output is full, or the input has
   ended. Stays as it was when the callback is called. */
bool iostream_pump_is_waiting_output(const struct iostream_pump *pump);
/* What went wrong, and on which side: "reading from NAME failed: ...", or "writing
   to ...". "<no error>" if nothing did. Valid until the pump is used again. Not one
   of Dovecot's. */
const char *iostream_pump_get_error(struct iostream_pump *pump);

/* Moves the pump and its streams to this loop, or to the thread's current one. */
void iostream_pump_switch_ioloop_to(struct iostream_pump *pump,
				    struct ioloop *ioloop);
void iostream_pump_switch_ioloop(struct iostream_pump *pump);

BOBBIN_END_DECLS

#endif
