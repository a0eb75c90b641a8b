/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "iostream-proxy.h"
#include "iostream-pump.h"
#include "mem.h"
#include "panic.h"

struct proxy_side {
	struct iostream_proxy *proxy;
	struct iostream_pump *pump; /* reads from this side */
};

struct iostream_proxy {
	int refcount;
	struct proxy_side sides[2];
	iostream_proxy_callback_t *callback;
	void *context;
};

static enum iostream_proxy_side other_side(enum iostream_proxy_side side)
{
	return side == IOSTREAM_PROXY_SIDE_LEFT ? IOSTREAM_PROXY_SIDE_RIGHT :
						  IOSTREAM_PROXY_SIDE_LEFT;
}

static enum iostream_proxy_status proxy_status(enum iostream_pump_status status)
{
	switch (status) {
	case IOSTREAM_PUMP_STATUS_INPUT_EOF:
		return IOSTREAM_PROXY_STATUS_INPUT_EOF;
	case IOSTREAM_PUMP_STATUS_INPUT_ERROR:
		return IOSTREAM_PROXY_STATUS_INPUT_ERROR;
	case IOSTREAM_PUMP_STATUS_OUTPUT_ERROR:
		break;
	}
	return IOSTREAM_PROXY_STATUS_OTHER_SIDE_OUTPUT_ERROR;
}

static void side_completed(enum iostream_pump_status status, void *context)
{
	struct proxy_side *side = context;
	struct iostream_proxy *proxy = side->proxy;

	/* a proxy that the callback frees takes this pump with it: the pump
	   holds out, and nothing is used after this call */
	proxy->callback(side == &proxy->sides[IOSTREAM_PROXY_SIDE_LEFT] ?
				IOSTREAM_PROXY_SIDE_LEFT :
				IOSTREAM_PROXY_SIDE_RIGHT,
			proxy_status(status), proxy->context);
}

static void create_side(struct iostream_proxy *proxy,
			enum iostream_proxy_side side, struct istream *input,
			struct ostream *output)
{
	struct proxy_side *s = &proxy->sides[side];

	s->proxy = proxy;
	s->pump = iostream_pump_create(input, output);
	iostream_pump_set_completion_callback(s->pump, side_completed, s);
}

struct iostream_proxy *iostream_proxy_create(struct istream *left_input,
					     struct ostream *left_output,
					     struct istream *right_input,
					     struct ostream *right_output)
{
	struct iostream_proxy *proxy = i_new(struct iostream_proxy, 1);

	proxy->refcount = 1;
	create_side(proxy, IOSTREAM_PROXY_SIDE_LEFT, left_input, right_output);
	create_side(proxy, IOSTREAM_PROXY_SIDE_RIGHT, right_input, left_output);
	return proxy;
}

struct istream *iostream_proxy_get_istream(struct iostream_proxy *proxy,
					   enum iostream_proxy_side side)
{
	return iostream_pump_get_input(proxy->sides[side].pump);
}

struct ostream *iostream_proxy_get_ostream(struct iostream_proxy *proxy,
					   enum iostream_proxy_side side)
{
	return iostream_pump_get_output(proxy->sides[other_side(side)].pump);
}

void bobbin_iostream_proxy_set_completion_callback(
	struct iostream_proxy *proxy, iostream_proxy_callback_t *callback,
	void *context)
{
	proxy->callback = callback;
	proxy->context = context;
}

void iostream_proxy_start(struct iostream_proxy *proxy)
{
	if (proxy->callback == NULL)
		i_panic("iostream_proxy_start(): there is no callback");
	iostream_pump_start(proxy->sides[IOSTREAM_PROXY_SIDE_LEFT].pump);
	iostream_pump_start(proxy->sides[IOSTREAM_PROXY_SIDE_RIGHT].pump);
}

void iostream_proxy_stop(struct iostream_proxy *proxy)
{
	iostream_pump_stop(proxy->sides[IOSTREAM_PROXY_SIDE_LEFT].pump);
	iostream_pump_stop(proxy->sides[IOSTREAM_PROXY_SIDE_RIGHT].pump);
}

bool iostream_proxy_is_waiting_output(const struct iostream_proxy *proxy,
				      enum iostream_proxy_side side)
{
	return iostream_pump_is_waiting_output(proxy->sides[side].pump);
}

const char *iostream_proxy_get_error(struct iostream_proxy *proxy,
				     enum iostream_proxy_side side)
{
	return iostream_pump_get_error(proxy->sides[side].pump);
}

void iostream_proxy_ref(struct iostream_proxy *proxy)
{
	proxy->refcount++;
}

void iostream_proxy_unref(struct iostream_proxy **_proxy)
{
	struct iostream_proxy *proxy = *_proxy;

	if (proxy == NULL)
		return;
	*_proxy = NULL;
	i_assert(proxy->refcount > 0);
	if (--proxy->refcount > 0)
		return;
	/* one that is in its callback must not go on afterwards */
	iostream_pump_destroy(&proxy->sides[IOSTREAM_PROXY_SIDE_LEFT].pump);
	iostream_pump_destroy(&proxy->sides[IOSTREAM_PROXY_SIDE_RIGHT].pump);
	i_free(proxy);
}

void iostream_proxy_switch_ioloop(struct iostream_proxy *proxy)
{
	iostream_pump_switch_ioloop(
		proxy->sides[IOSTREAM_PROXY_SIDE_LEFT].pump);
	iostream_pump_switch_ioloop(
		proxy->sides[IOSTREAM_PROXY_SIDE_RIGHT].pump);
}
