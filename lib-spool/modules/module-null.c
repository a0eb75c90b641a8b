/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A module that does nothing, with every hook: where to begin with one's own. */

#include "config.h"
#include "mem.h"
#include "spool-modules.h"

/* Would hand each stored id to spool_scan_found((struct spool_scan *)scan, id). A
   module that stores nothing leaves this one out: only the first that has it
   runs. */

static int null_writeheaders(io_infrastructure *io ATTR_UNUSED,
			     io_caller caller ATTR_UNUSED,
			     email_message *message ATTR_UNUSED,
			     int force ATTR_UNUSED)
{
	return IO_CONT;
}

static int null_readheaders(io_infrastructure *io ATTR_UNUSED,
			    io_caller caller ATTR_UNUSED,
			    email_message *message ATTR_UNUSED)
{
	return IO_CONT;
}

static int null_unlinkheaders(io_infrastructure *io ATTR_UNUSED,
			      io_caller caller ATTR_UNUSED,
			      message_id *id ATTR_UNUSED)
{
	return IO_CONT;
}

static int null_writebody(io_infrastructure *io ATTR_UNUSED,
			  io_caller caller ATTR_UNUSED,
			  email_message *message ATTR_UNUSED,
			  int force ATTR_UNUSED)
{
	return IO_CONT;
}

static int null_readbody(io_infrastructure *io ATTR_UNUSED,
			 io_caller caller ATTR_UNUSED,
			 email_message *message ATTR_UNUSED)
{
	return IO_CONT;
}

static int null_unlinkbody(io_infrastructure *io ATTR_UNUSED,
			   io_caller caller ATTR_UNUSED,
			   message_id *id ATTR_UNUSED)
{
	return IO_CONT;
}

static int null_close(io_infrastructure *io ATTR_UNUSED)
{
	return IO_DONE;
}

static void null_deinit(io_infrastructure *io)
{
	i_free(io);
}

io_infrastructure *spool_module_null_new(void)
{
	static const io_infrastructure null_module = {
		.shared = SPOOL_MODULE_SHARED("null", "The Bobbin authors",
					      "does nothing"),
		.io_writeheaders = null_writeheaders,
		.io_readheaders = null_readheaders,
		.io_unlinkheaders = null_unlinkheaders,
		.io_writebody = null_writebody,
		.io_readbody = null_readbody,
		.io_unlinkbody = null_unlinkbody,
		.io_close = null_close,
	};
	io_infrastructure *io = i_new(io_infrastructure, 1);

	*io = null_module;
	io->shared.deinit = null_deinit;
	return io;
}
