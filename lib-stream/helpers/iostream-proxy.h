/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_IOSTREAM_PROXY_H
#define BOBBIN_IOSTREAM_PROXY_H

/* Two pumps between two connections: what comes from the left goes to the right, and
   the other way round. iostream-pump.h says how each of them behaves. */

#include "types.h"

BOBBIN_BEGIN_DECLS

struct iostream_proxy;
struct istream;
struct ostream;

/* A side is named by its reader: LEFT is from the left one's input to the right
   one's output. */
enum iostream_proxy_side {
	IOSTREAM_PROXY_SIDE_LEFT,
	IOSTREAM_PROXY_SIDE_RIGHT
};

enum iostream_proxy_status {
	/* The side's input has ended, and the other's output has sent it all. */
	IOSTREAM_PROXY_STATUS_INPUT_EOF,
	/* Reading from the side failed; what was read before it was sent. */
	IOSTREAM_PROXY_STATUS_INPUT_ERROR,
	/* Writing to the other side failed. */
	IOSTREAM_PROXY_STATUS_OTHER_SIDE_OUTPUT_ERROR
};

/* Called once for each side, when its pump has stopped by itself. The other one goes
   on until it, too, is done or the proxy is stopped or freed, which the callback may
   do. To pass an end on is the callback's business (shutdown(), or a finish). */
typedef void iostream_proxy_callback_t(enum iostream_proxy_side side,
				       enum iostream_proxy_status status,
				       void *context);

/* Refers to all four streams until it is freed. */
struct iostream_proxy *iostream_proxy_create(struct istream *left_input,
					     struct ostream *left_output,
					     struct istream *right_input,
					     struct ostream *right_output);
/* The side's input, and the output that it is written to, which is the other side's;
   no reference for the caller. */
struct istream *iostream_proxy_get_istream(struct iostream_proxy *proxy,
					   enum iostream_proxy_side side);
struct ostream *iostream_proxy_get_ostream(struct iostream_proxy *proxy,
					   enum iostream_proxy_side side);

/* iostream_pump_start() of both pumps; the callback must have been set. */
void iostream_proxy_start(struct iostream_proxy *proxy);
/* iostream_pump_stop() of both: nothing is lost, and a new start goes on. */
void iostream_proxy_stop(struct iostream_proxy *proxy);

/* Whether the pump that reads from the side waits for the other side's output
   alone. */
bool iostream_proxy_is_waiting_output(const struct iostream_proxy *proxy,
				      enum iostream_proxy_side side);
/* As iostream_pump_get_error(), of the pump that reads from the side. Not one of
   Dovecot's. */
const char *iostream_proxy_get_error(struct iostream_proxy *proxy,
				     enum iostream_proxy_side side);

/* Whom to call when a side's pump has stopped by itself, in place of who was to be called
   before. To be set before the first start. */
void bobbin_iostream_proxy_set_completion_callback(
	struct iostream_proxy *proxy, iostream_proxy_callback_t *callback,
	void *context);
#define iostream_proxy_set_completion_callback(proxy, callback, context) \
	bobbin_iostream_proxy_set_completion_callback(                   \
		proxy, (iostream_proxy_callback_t *)(callback), context)

/* Takes one more reference, to be dropped by iostream_proxy_unref(). */
void iostream_proxy_ref(struct iostream_proxy *proxy);
/* Drops a reference and sets the pointer to NULL; NULL is allowed. While others are left
   the proxy goes on; the last one stops it, and drops its references on the streams. */
void iostream_proxy_unref(struct iostream_proxy **proxy);

/* Moves the pumps and their streams to the thread's current loop. */
void iostream_proxy_switch_ioloop(struct iostream_proxy *proxy);

BOBBIN_END_DECLS

#endif
