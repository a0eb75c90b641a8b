/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Fails on purpose: one chosen call of one hook. */

#include "config.h"
#include "macros.h"
#include "mem.h"
#include "spool-modules.h"

#include <stdatomic.h>

struct failure_module {
	io_infrastructure io;
	enum io_operation operation;
	unsigned int nth;
	int answer;
	atomic_uint calls;
};

static int answer(io_infrastructure *io, enum io_operation operation)
{
	struct failure_module *failure =
		container_of(io, struct failure_module, io);

	if (operation != failure->operation ||
	    atomic_fetch_add(&failure->calls, 1) + 1 != failure->nth)
		return IO_CONT;
	io_set_error("failing on purpose");
	return failure->answer;
}

static int failure_writeheaders(io_infrastructure *io,
				io_caller caller ATTR_UNUSED,
				email_message *message ATTR_UNUSED,
				int force ATTR_UNUSED)
{
	return answer(io, IO_OP_WRITEHEADERS);
}

static int failure_readheaders(io_infrastructure *io,
			       io_caller caller ATTR_UNUSED,
			       email_message *message ATTR_UNUSED)
{
	return answer(io, IO_OP_READHEADERS);
}

static int failure_unlinkheaders(io_infrastructure *io,
				 io_caller caller ATTR_UNUSED,
				 message_id *id ATTR_UNUSED)
{
	return answer(io, IO_OP_UNLINKHEADERS);
}

static int failure_writebody(io_infrastructure *io,
			     io_caller caller ATTR_UNUSED,
			     email_message *message ATTR_UNUSED,
			     int force ATTR_UNUSED)
{
	return answer(io, IO_OP_WRITEBODY);
}

static int failure_readbody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			    email_message *message ATTR_UNUSED)
{
	return answer(io, IO_OP_READBODY);
}

static int failure_unlinkbody(io_infrastructure *io,
			      io_caller caller ATTR_UNUSED,
			      message_id *id ATTR_UNUSED)
{
	return answer(io, IO_OP_UNLINKBODY);
}

static void failure_deinit(io_infrastructure *io)
{
	i_free(container_of(io, struct failure_module, io));
}

io_infrastructure *spool_module_failure_new(enum io_operation operation,
					    unsigned int nth, int answer_then)
{
	static const shared_module_infrastructure shared = SPOOL_MODULE_SHARED(
		"failure", "The Bobbin authors", "fails on purpose");
	struct failure_module *failure = i_new(struct failure_module, 1);

	failure->io.shared = shared;
	failure->io.shared.deinit = failure_deinit;
	failure->io.io_writeheaders = failure_writeheaders;
	failure->io.io_readheaders = failure_readheaders;
	failure->io.io_unlinkheaders = failure_unlinkheaders;
	failure->io.io_writebody = failure_writebody;
	failure->io.io_readbody = failure_readbody;
	failure->io.io_unlinkbody = failure_unlinkbody;
	failure->operation = operation;
	failure->nth = nth;
	failure->answer = answer_then;
	return &failure->io;
}
