/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* An input that is not blocking is waited for by its io. One that is has none: there
   an io without an fd stands for the next turn of the loop. In both cases a full
   output takes the io away, and the output's flush callback brings it back. */

#include "config.h"
#include "iostream-pump.h"
#include "ioloop-private.h"
#include "istream-private.h"
#include "ostream-private.h"

/* Moved at once; the output's memory holds little more than one of these. */
#define SLICE_SIZE ((uoff_t)4 * IO_BLOCK_SIZE)
/* Then others of the loop have their turn. */
#define SLICES_PER_TURN 8
/* With this much waiting in the output nothing more is read. */
#define MAX_WAITING IO_BLOCK_SIZE

struct iostream_pump {
	int refcount;
	struct istream *input;
	struct ostream *output;
	struct ioloop *ioloop; /* NULL: the thread's current one */
	struct io *io;
	iostream_pump_callback_t *callback;
	void *context;
	char *error;
	/* what the callback will be told, once the output is empty */
	enum iostream_pump_status end_status;

	bool running;
	bool ended;          /* the input, by its end or by an error */
	bool waiting_output; /* the input is not looked at */
};

struct iostream_pump *iostream_pump_create(struct istream *input,
					   struct ostream *output)
{
	struct iostream_pump *pump = i_new(struct iostream_pump, 1);

	pump->refcount = 1;
	i_stream_ref(input);
	o_stream_ref(output);
	pump->input = input;
	pump->output = output;
	return pump;
}

struct istream *iostream_pump_get_input(struct iostream_pump *pump)
{
	return pump->input;
}

struct ostream *iostream_pump_get_output(struct iostream_pump *pump)
{
	return pump->output;
}

void bobbin_iostream_pump_set_completion_callback(
	struct iostream_pump *pump, iostream_pump_callback_t *callback,
	void *context)
{
	pump->callback = callback;
	pump->context = context;
}

bool iostream_pump_is_waiting_output(const struct iostream_pump *pump)
{
	return pump->waiting_output;
}

/*
 * The end
 */

static void set_error(struct iostream_pump *pump,
		      enum iostream_pump_status status)
{
	bool reading = status == IOSTREAM_PUMP_STATUS_INPUT_ERROR;
	const char *name = reading ? i_stream_get_name(pump->input) :
				     o_stream_get_name(pump->output);

	i_free_and_null(pump->error);
	if (status == IOSTREAM_PUMP_STATUS_INPUT_EOF)
		return;
	pump->error = i_strdup_printf("%s %s failed: %s",
				      reading ? "reading from" : "writing to",
				      name[0] != '\0' ? name :
					      reading ? "the input" :
							"the output",
				      reading ?
					      i_stream_get_error(pump->input) :
					      o_stream_get_error(pump->output));
}

const char *iostream_pump_get_error(struct iostream_pump *pump)
{
	return pump->error != NULL ? pump->error : "<no error>";
}

/* The pump may be gone afterwards, but for the caller's own reference. */
static void complete(struct iostream_pump *pump,
		     enum iostream_pump_status status)
{
	if (!pump->running)
		return;
	set_error(pump, status);
	/* told by the callback */
	o_stream_ignore_last_errors(pump->output);
	iostream_pump_stop(pump);
	pump->callback(status, pump->context);
}

/*
 * Moving
 */

static void pump_turn(void *context);

static void watch_input(struct iostream_pump *pump)
{
	struct ioloop *ioloop = pump->ioloop != NULL ? pump->ioloop :
						       io_loop_get_current();

	if (ioloop == NULL)
		i_panic("iostream_pump_start(): this thread has no event loop");
	if (pump->io == NULL)
		pump->io = pump->input->blocking ?
			io_add_without_fd(ioloop, pump_turn, pump) :
			bobbin_io_add_istream_to(ioloop, pump->input, pump_turn,
						 pump);
}

static bool output_is_full(const struct iostream_pump *pump)
{
	return !pump->output->blocking &&
		o_stream_get_buffer_used_size(pump->output) >= MAX_WAITING;
}

/* Some of the input; FINISHED says that this is all there was. */
static enum ostream_send_istream_result move_slice(struct iostream_pump *pump,
						   bool *all_r)
{
	enum ostream_send_istream_result result;
	struct istream *slice;

	*all_r = true;
	if (pump->input->real_stream->iostream.depth >= IOSTREAM_MAX_DEPTH)
		/* there may be no stream on top of it */
		return o_stream_send_istream(pump->output, pump->input);
	slice = i_stream_create_limit(pump->input, SLICE_SIZE);
	result = o_stream_send_istream(pump->output, slice);
	*all_r = slice->v_offset < SLICE_SIZE;
	i_stream_unref(&slice);
	return result;
}

static enum ostream_send_istream_result move_slices(struct iostream_pump *pump,
						    bool *again_r)
{
	enum ostream_send_istream_result result;
	unsigned int i;
	bool all;

	*again_r = false;
	for (i = 0; i < SLICES_PER_TURN; i++) {
		result = move_slice(pump, &all);
		if (!pump->running ||
		    result != OSTREAM_SEND_ISTREAM_RESULT_FINISHED || all)
			return result;
		if (output_is_full(pump))
			return OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT;
	}
	*again_r = true;
	return OSTREAM_SEND_ISTREAM_RESULT_WAIT_INPUT;
}

static void input_ended(struct iostream_pump *pump,
			enum iostream_pump_status status)
{
	pump->ended = true;
	pump->end_status = status;
	pump->waiting_output = true;
	io_remove(&pump->io);
}

/* The output's turn: 1 where all is sent, 0 where its flush callback will be called,
   -1 where the pump is at its end. What the input gave before a pause, or its end,
   is to be readable on the other side; while there is more, a compressor below
   makes no sync point. */
static int flush_output(struct iostream_pump *pump)
{
	bool full = pump->waiting_output && !pump->ended;
	int ret = full ? o_stream_check(pump->output) :
			 o_stream_flush(pump->output);

	if (!pump->running)
		return -1;
	if (ret < 0)
		complete(pump, IOSTREAM_PUMP_STATUS_OUTPUT_ERROR);
	else if (ret > 0 && pump->ended)
		complete(pump, pump->end_status);
	else
		return ret;
	return -1;
}

static void pump_some(struct iostream_pump *pump)
{
	enum ostream_send_istream_result result;
	bool again;

	o_stream_cork_internal(pump->output);
	result = move_slices(pump, &again);
	o_stream_uncork_internal(pump->output);
	/* whoever the bytes went through may have stopped the pump */
	if (!pump->running)
		return;
	if (result == OSTREAM_SEND_ISTREAM_RESULT_WAIT_INPUT &&
	    output_is_full(pump))
		result = OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT;
	if (pump->output->stream_errno != 0)
		result = OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT;
	switch (result) {
	case OSTREAM_SEND_ISTREAM_RESULT_FINISHED:
		input_ended(pump, IOSTREAM_PUMP_STATUS_INPUT_EOF);
		break;
	case OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT:
		input_ended(pump, IOSTREAM_PUMP_STATUS_INPUT_ERROR);
		break;
	case OSTREAM_SEND_ISTREAM_RESULT_WAIT_INPUT:
		pump->waiting_output = false;
		watch_input(pump);
		if (again) {
			io_set_pending(pump->io);
			return;
		}
		break;
	case OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT:
		pump->waiting_output = true;
		io_remove(&pump->io);
		o_stream_set_flush_pending(pump->output, true);
		return;
	case OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT:
		complete(pump, IOSTREAM_PUMP_STATUS_OUTPUT_ERROR);
		return;
	}
	(void)flush_output(pump);
}

static void pump_turn(void *context)
{
	struct iostream_pump *pump = context;

	iostream_pump_ref(pump);
	pump_some(pump);
	iostream_pump_unref(&pump);
}

static int pump_flushed(void *context)
{
	struct iostream_pump *pump = context;
	int ret;

	iostream_pump_ref(pump);
	ret = flush_output(pump);
	if (ret > 0 && pump->waiting_output)
		pump_some(pump);
	iostream_pump_unref(&pump);
	/* an error was told already, and is in the stream */
	return ret == 0 ? 0 : 1;
}

/*
 * Life cycle
 */

void iostream_pump_start(struct iostream_pump *pump)
{
	if (pump->callback == NULL)
		i_panic("iostream_pump_start(): there is no callback");
	if (pump->running)
		return;
	pump->running = true;
	pump->ended = pump->waiting_output = false;
	i_free_and_null(pump->error);
	if (o_stream_is_corked(pump->output))
		o_stream_uncork(pump->output);
	bobbin_o_stream_set_flush_callback(pump->output, pump_flushed, pump);
	watch_input(pump);
	io_set_pending(pump->io);
}

void iostream_pump_stop(struct iostream_pump *pump)
{
	if (!pump->running)
		return;
	pump->running = false;
	o_stream_unset_flush_callback(pump->output);
	io_remove(&pump->io);
}

void iostream_pump_ref(struct iostream_pump *pump)
{
	pump->refcount++;
}

void iostream_pump_unref(struct iostream_pump **_pump)
{
	struct iostream_pump *pump = *_pump;

	if (pump == NULL)
		return;
	*_pump = NULL;
	i_assert(pump->refcount > 0);
	if (--pump->refcount > 0)
		return;
	iostream_pump_stop(pump);
	i_stream_unref(&pump->input);
	o_stream_unref(&pump->output);
	i_free(pump->error);
	i_free(pump);
}

void iostream_pump_destroy(struct iostream_pump **pump)
{
	if (*pump == NULL)
		return;
	iostream_pump_stop(*pump);
	iostream_pump_unref(pump);
}

void iostream_pump_switch_ioloop_to(struct iostream_pump *pump,
				    struct ioloop *ioloop)
{
	pump->ioloop = ioloop;
	if (pump->io != NULL)
		pump->io = io_loop_move_io_to(ioloop, &pump->io);
	i_stream_switch_ioloop_to(pump->input, ioloop);
	o_stream_switch_ioloop_to(pump->output, ioloop);
}

void iostream_pump_switch_ioloop(struct iostream_pump *pump)
{
	iostream_pump_switch_ioloop_to(pump, io_loop_get_current());
}
