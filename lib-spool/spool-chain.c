/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The hook chain: what becomes of each module's answer. */

#include "config.h"
#include "spool-private.h"
#include "macros.h"
#include "panic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const hook_names[] = { "io_writeheaders",  "io_readheaders",
					  "io_unlinkheaders", "io_writebody",
					  "io_readbody",      "io_unlinkbody" };

/* The hook's answer; a hook that is not there goes on. */
static int call_hook(const struct spool_call *call, io_infrastructure *io)
{
	message_id id = call->id;

	switch (call->op) {
	case IO_OP_WRITEHEADERS:
		return io->io_writeheaders == NULL ?
			IO_CONT :
			io->io_writeheaders(io, call->caller, call->message,
					    call->force);
	case IO_OP_READHEADERS:
		return io->io_readheaders == NULL ?
			IO_CONT :
			io->io_readheaders(io, call->caller, call->message);
	case IO_OP_UNLINKHEADERS:
		return io->io_unlinkheaders == NULL ?
			IO_CONT :
			io->io_unlinkheaders(io, call->caller, &id);
	case IO_OP_WRITEBODY:
		return io->io_writebody == NULL ?
			IO_CONT :
			io->io_writebody(io, call->caller, call->message,
					 call->force);
	case IO_OP_READBODY:
		return io->io_readbody == NULL ?
			IO_CONT :
			io->io_readbody(io, call->caller, call->message);
	case IO_OP_UNLINKBODY:
		return io->io_unlinkbody == NULL ?
			IO_CONT :
			io->io_unlinkbody(io, call->caller, &id);
	}
	return IO_FAIL;
}

static bool is_unlink(enum io_operation op)
{
	return op == IO_OP_UNLINKHEADERS || op == IO_OP_UNLINKBODY;
}

static bool is_write(enum io_operation op)
{
	return op == IO_OP_WRITEHEADERS || op == IO_OP_WRITEBODY;
}

/* The native store is the last one. */
static bool may_be_later(const struct spool_call *call, unsigned int i)
{
	const struct spool *spool = call->spool;

	return call->later.ready != NULL &&
		spool->modules[i].io == spool->store &&
		spool->store_class->finish != NULL &&
		(call->op == IO_OP_WRITEHEADERS ||
		 call->op == IO_OP_UNLINKHEADERS);
}

void spool_expect(struct spool *spool, int more)
{
	if (spool->store != NULL && spool->store_class->expect != NULL)
		spool->store_class->expect(spool->store, more);
}

static int start_store(struct spool_call *call)
{
	const struct spool_store *class_ = call->spool->store_class;
	io_infrastructure *store = call->spool->store;

	return call->op == IO_OP_WRITEHEADERS ?
		class_->start_writeheaders(store, call->message, &call->later) :
		class_->start_unlinkheaders(store, &call->id, &call->later);
}

/* A later module may keep a copy of what this one calls removed. */
static void warn_unlink_done(struct spool_call *call, unsigned int i)
{
	struct spool_module *module = &call->spool->modules[i];

	if (module->io == call->spool->store ||
	    i + 1 == call->spool->module_count ||
	    atomic_exchange(&module->warned, true))
		return;
	spool_warn(call->spool,
		   "module %s answered IO_DONE to %s: later modules are not "
		   "asked to remove the message",
		   module->io->shared.name, hook_names[call->op]);
}

/* Who is told that there is a body reads it. */
static bool has_no_body(const struct spool_call *call)
{
	return call->op == IO_OP_READBODY && call->message->body == NULL;
}

static int check_answer(struct spool_call *call, unsigned int i, int answer)
{
	const char *name = call->spool->modules[i].io->shared.name;

	switch (answer) {
	case IO_DONE:
		if (is_unlink(call->op))
			warn_unlink_done(call, i);
		if (!has_no_body(call))
			return answer;
		errno = EINVAL;
		io_set_error("module %s: %s answered IO_DONE, and has set no "
			     "body",
			     name, hook_names[call->op]);
		return IO_FAIL;
	case IO_CONT:
		return answer;
	case IO_FAIL:
	case IO_TRANS_FAIL:
		if (*io_get_error() == '\0')
			io_set_error("module %s: %s failed", name,
				     hook_names[call->op]);
		return answer;
	default:
		errno = EINVAL;
		io_set_error("module %s: %s gave the unknown answer %d", name,
			     hook_names[call->op], answer);
		return IO_FAIL;
	}
}

/* What the end of the chain means when nobody said IO_DONE. */
static int nobody_answered(const struct spool_call *call)
{
	if (is_unlink(call->op))
		return IO_DONE;
	errno = is_write(call->op) ? ENOTSUP : ENOENT;
	if (is_write(call->op))
		io_set_error("no module journalled the message");
	else
		io_set_error("no module has the message");
	return IO_FAIL;
}

/* From where the call stands. */
static int ask_modules(struct spool_call *call)
{
	struct spool *spool = call->spool;
	unsigned int i;
	int answer;

	while (call->asked < spool->module_count) {
		i = call->asked++;
		/* what a module that went on met is no reason of a later one's */
		io_clear_error();
		if (may_be_later(call, i)) {
			answer = start_store(call);
			if (answer == SPOOL_LATER)
				return answer;
		} else {
			answer = call_hook(call, spool->modules[i].io);
		}
		answer = check_answer(call, i, answer);
		if (answer != IO_CONT)
			return answer;
		call->went_on++;
	}
	return nobody_answered(call);
}

/* Each finds the answer's error, whatever those before it asked of the spool; and so
   does the embedder. */
static void tell_after(const struct spool_call *call, int result)
{
	struct io_kept_error kept;
	uint64_t version = call->message == NULL ?
		0 :
		email_message_get_version(call->message);
	io_infrastructure *io;
	unsigned int i;

	io_keep_error(&kept);
	for (i = call->spool->module_count; i > 0; i--) {
		io = call->spool->modules[i - 1].io;
		if (io->shared.after == NULL)
			continue;
		io->shared.after(io, call->op, &call->id, version, result);
		io_put_back_error(&kept);
	}
}

/* A new message that could not be journalled is taken back from the modules that
   went on with it, in reverse order: not from one that failed, which has to clean up
   itself. */
static void undo(const struct spool_call *failed, enum io_operation op,
		 unsigned int modules)
{
	struct spool_call call = { .spool = failed->spool,
				   .caller = failed->caller,
				   .op = op,
				   .id = failed->id };
	struct io_kept_error kept;
	unsigned int i;
	int answer;

	io_keep_error(&kept);
	for (i = modules; i > 0; i--) {
		io_infrastructure *io = failed->spool->modules[i - 1].io;

		io_clear_error();
		answer = call_hook(&call, io);
		if (answer != IO_DONE && answer != IO_CONT)
			spool_warn(failed->spool,
				   "module %s may keep a message that was "
				   "refused: %s: %s",
				   io->shared.name, hook_names[op],
				   io_get_error());
	}
	io_put_back_error(&kept);
}

/*
 * A call, from its start to its end
 */

static int refuse_change(void)
{
	errno = EROFS;
	io_set_error("the spool was opened for reading only");
	return IO_FAIL;
}

/* The next version would be none, or begin anew. */
static bool is_last_version(const struct spool_call *call)
{
	return is_write(call->op) &&
		email_message_get_version(call->message) >= EMAIL_VERSION_MAX;
}

/* What is there already is another message of this id: what modules have is its. */
static bool is_anothers(void)
{
	return io_get_errno() == EEXIST;
}

static void end_writebody(struct spool_call *call, int answer)
{
	if (answer == IO_DONE)
		return;
	if (email_message_get_version(call->message) > 0)
		email_message_set_write_failed(call->message, true);
	else if (!is_anothers())
		undo(call, IO_OP_UNLINKBODY, call->went_on);
}

static void end_writeheaders(struct spool_call *call, int answer)
{
	email_message_set_write_failed(call->message,
				       answer != IO_DONE && call->version > 0);
	if (answer == IO_DONE)
		return;
	email_message_set_version(call->message, call->version);
	if (call->version > 0 || call->asked == 0)
		return;
	if (!is_anothers()) {
		undo(call, IO_OP_UNLINKHEADERS, call->went_on);
		/* the body was written before, as far as the chain went */
		undo(call, IO_OP_UNLINKBODY, call->spool->module_count);
	}
	email_message_set_store_note(call->message, NULL);
}

/* A failed rewrite leaves the version before the truth, whatever the modules that
   went on have made of it: none of them may skip the next write. */
static int end_call(struct spool_call *call, int answer)
{
	/* also what a module met, and went on */
	if (answer == IO_DONE)
		io_clear_error();
	/* where the spool refuses, nobody was asked */
	if (call->asked > 0)
		tell_after(call, answer);
	if (call->op == IO_OP_WRITEBODY)
		end_writebody(call, answer);
	else if (call->op == IO_OP_WRITEHEADERS)
		end_writeheaders(call, answer);
	return answer;
}

int spool_call_start(struct spool_call *call)
{
	struct spool *spool = call->spool;
	bool read_only = (spool->flags & SPOOL_OPEN_READ_ONLY) != 0;
	int answer;

	call->asked = call->went_on = 0;
	io_clear_error();
	if (call->message != NULL)
		call->id = call->message->message_id;
	if ((is_write(call->op) || is_unlink(call->op)) &&
	    spool_is_forked(spool))
		return io_refuse_forked(spool);
	if (is_write(call->op) && spool->opening)
		return io_refuse(EBUSY,
				 "a module's init is too early to write "
				 "messages: the spool is being opened");
	if (is_last_version(call))
		return io_refuse(EOVERFLOW,
				 "the message's version is the last one that "
				 "there is");
	if (call->op == IO_OP_WRITEBODY && !read_only) {
		/* nobody was asked: there is nothing to take back */
		answer = spool_keep_body(spool, call->message);
		if (answer != IO_DONE)
			return answer;
	}
	if (is_write(call->op)) {
		call->version = email_message_get_version(call->message);
		if (email_message_get_write_failed(call->message) &&
		    call->force == 0)
			call->force = 1;
	}
	if (call->op == IO_OP_WRITEHEADERS)
		email_message_set_version(
			call->message,
			call->version == 0 ?
				email_message_get_first_version(call->message) :
				call->version + 1);
	if (read_only && (is_write(call->op) || is_unlink(call->op)))
		return end_call(call, refuse_change());
	if (!atomic_load(&spool->in_use))
		atomic_store(&spool->in_use, true);
	answer = ask_modules(call);
	return answer == SPOOL_LATER ? answer : end_call(call, answer);
}

int spool_call_finish(struct spool_call *call)
{
	int answer;

	io_clear_error();
	answer = check_answer(call, call->asked - 1,
			      call->spool->store_class->finish(&call->later));
	if (answer == IO_CONT) {
		call->went_on++;
		answer = ask_modules(call);
	}
	return end_call(call, answer);
}

/*
 * Calls that wait
 */

int spool_writebody(struct spool *spool, io_caller caller,
		    email_message *message, int force)
{
	struct spool_call call = { .spool = spool,
				   .caller = caller,
				   .op = IO_OP_WRITEBODY,
				   .message = message,
				   .force = force };

	return spool_call_start(&call);
}

int spool_writeheaders(struct spool *spool, io_caller caller,
		       email_message *message, int force)
{
	struct spool_call call = { .spool = spool,
				   .caller = caller,
				   .op = IO_OP_WRITEHEADERS,
				   .message = message,
				   .force = force };

	return spool_call_start(&call);
}

static int run_read(struct spool *spool, io_caller caller,
		    email_message *message, enum io_operation op)
{
	struct spool_call call = {
		.spool = spool, .caller = caller, .op = op, .message = message
	};

	return spool_call_start(&call);
}

int spool_readheaders(struct spool *spool, io_caller caller,
		      email_message *message)
{
	return run_read(spool, caller, message, IO_OP_READHEADERS);
}

int spool_readbody(struct spool *spool, io_caller caller,
		   email_message *message)
{
	return run_read(spool, caller, message, IO_OP_READBODY);
}

static int run_unlink(struct spool *spool, io_caller caller,
		      const message_id *id, enum io_operation op)
{
	struct spool_call call = {
		.spool = spool, .caller = caller, .op = op, .id = *id
	};

	return spool_call_start(&call);
}

int spool_unlinkheaders(struct spool *spool, io_caller caller,
			const message_id *id)
{
	return run_unlink(spool, caller, id, IO_OP_UNLINKHEADERS);
}

int spool_unlinkbody(struct spool *spool, io_caller caller,
		     const message_id *id)
{
	return run_unlink(spool, caller, id, IO_OP_UNLINKBODY);
}
