/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_SPOOL_H
#define BOBBIN_SPOOL_H

/* A durable mail spool: a chain of modules (io-infrastructure.h) that ends in a
   native store. Calls may come from many threads. They return IO_DONE, IO_FAIL or
   IO_TRANS_FAIL (try again later); io_get_error() tells why. */

#include "io-infrastructure.h"
#include "stream-kinds.h"

BOBBIN_BEGIN_DECLS

struct spool;

/* How a new spool stores. */
struct spool_settings {
	/* Stacks of transforms (stack-spec.h), NULL or "" for plain. Public keys
	   that an age layer names are copied into the spool. headers NULL: as
	   the body. */
	const char *body;
	const char *headers;
	/* The native store: "file" or "journal". NULL: "file". */
	const char *store;
	/* Modules (doc/hooks.md), "/PATH [CONFIG]" each, NULL behind the last; NULL: none.
	   They are loaded, as the stacks may be theirs, and closed again. */
	const char *const *modules;
	/* Public keys for an age layer that names none; NULL: none. They are copied into
	   the spool where there is such a layer. */
	struct age_recipients *recipients;
};

/* Makes DIR (which may exist, but must be empty; the process's own becomes mode 0700) a
   spool; it is on stable storage when this returns 0. -1 with errno and a sentence in
   *error_r (free() it), and nothing is left of it. A bad setting is EINVAL;
   EDESTADDRREQ: a stack encrypts, and does not say for whom; EEXIST: DIR is not
   empty. */
int spool_init(const char *dir, const struct spool_settings *settings,
	       char **error_r);

enum spool_open_flags {
	/* For looking at a spool that may belong to another process: no lock,
	   and writes and removals fail. A scan hands out, and changes
	   nothing: what is damaged it leaves out. */
	SPOOL_OPEN_READ_ONLY = 0x01,
	/* A journal that cannot be opened since the first block of a segment is
	   damaged is opened without that segment, which is put into quarantine/
	   (READ_ONLY: only left out). Its messages are missing then, and some
	   that it says are removed may be back. And a scan looks at all of the
	   headers that it finds, and puts aside those that are damaged
	   (READ_ONLY: that of a journal does not look). */
	SPOOL_OPEN_REPAIR = 0x02
};

/* Opens a spool, and loads the modules that its spool.conf names. Without READ_ONLY it
   takes the lock (EBUSY: who holds it is in the text). flags: enum spool_open_flags.
   keys (may be NULL): identities to read encrypted messages with, referenced. The spool
   is this process's: in a child that fork() made writes, removals, spool_compact() and
   spool-async.h fail (EPERM), and a scan finds nothing. What was opened with READ_ONLY
   a child of a process with one thread may use. A process with a limit on the size of its
   files (RLIMIT_FSIZE) ignores SIGXFSZ: what is too large fails then, and is cleaned up
   (ostream.h). NULL with errno and *error_r (free() it), as above. EINVAL: its
   configuration is wrong, or a flag is not known; EBADMSG: a journal cannot be opened, as
   the first block of a segment is damaged. */
struct spool *spool_open(const char *dir, unsigned int flags,
			 const struct stream_context *keys, char **error_r);
/* A spool without a directory and without a native store: modules only. */
struct spool *spool_new(void);

/* Adds a module in front of the native store, behind the ones added before (those
   that spool.conf names are the first); it must outlive the spool, and be of no
   other one meanwhile (but one that has only an init may be). -1 with errno and
   *error_r (free() it): EINVAL, it is of another version, or its init() failed; EBUSY,
   it is of a spool already, or the first message, or the scan, was before it, or the init()
   of another one is what adds it. Then it is
   the caller's as before, who frees it (spool-modules.h: spool_module_free()). */
int spool_add_module(struct spool *spool, io_infrastructure *module,
		     const char *config, char **error_r);
/* The same from a shared object, which exports its io_infrastructure as `symbol`
   (NULL: SPOOL_MODULE_SYMBOL). A file that everybody may write is refused
   (EPERM). A path without "/" is of the current directory. It is unloaded when the
   spool is closed, unless its init has registered kinds (stream-kinds.h). */
int spool_load_module(struct spool *spool, const char *path, const char *symbol,
		      const char *config, char **error_r);

/* Sets who is told what needs no answer but a person's eye, on the thread where it
   comes up; NULL: nobody for now. What another thread is telling meanwhile may still come to
   who was told before. The first 32 texts from before there was a callback,
   as of opening, are told by the call that sets it. */
typedef void spool_warning_t(const char *text, void *context);
void spool_set_warning_callback(struct spool *spool, spool_warning_t *callback,
				void *context);

/* Starts the scan: found() is called on its thread, once for each message that
   was there when the spool was opened, and may call whatever other threads may: not for
   what was stored since, by this process. done() comes
   last. Either may be NULL. A later scan hands out only what those before it could not
   read, which a warning told of; a module that has its own scan decides for itself. (The
   file store remembers each message that is stored, some 40 bytes, until it is removed or
   a scan has handed out all.) One scan at a
   time: starting another one before the end of it panics. Where no thread is to be had, of which a warning
   tells, all this is done before the call returns. In a child that fork() made
   it warns, and done() is called at once. */
typedef void spool_found_t(const message_id *id, void *context);
typedef void spool_done_t(void *context);
void spool_start_scan(struct spool *spool, spool_found_t *found,
		      spool_done_t *done, void *context);
/* Waits until the scan is over (not in a child that fork() made meanwhile). */
void spool_wait_scan(struct spool *spool);
/* What opening a spool and its scans could not do, since it was opened: each was told by a
   warning. */
struct spool_undone {
	/* Messages, and directories of them, that could not be read, so that
	   nobody was handed them. */
	uint64_t left_out;
	/* Damaged messages and parts of a journal that could not be put into
	   quarantine, and are where they were. */
	uint64_t unkept;
	/* The errno of the first of each; 0: there is none. */
	int left_out_errno, unkept_errno;
};
void spool_get_undone(struct spool *spool, struct spool_undone *undone_r);

/* Stops and waits for the scan, closes the modules in reverse order, gives up the
   lock. Sets the pointer to NULL; NULL is allowed. No other call may be running, and
   what spool_async_new() made is to be closed before (else it panics). In a child that
   fork() made, of a spool that is open for writing or whose scan was running: only gives up its
   hold on the lock,
   which else is free when parent and child have ended; the modules are the parent's to
   close, and memory and other descriptors stay until the child ends. */
void spool_close(struct spool **spool);

/* Makes a new id, behind all that this spool has made. Any thread may call it. */
void spool_new_id(struct spool *spool, message_id *id_r);

/*
 * The chain, hook by hook
 */
/* Stores message->body. Like all of these it runs one hook through the modules, in the
   order in which they were added, until one answers something else than IO_CONT; that is
   the result. Where all answer IO_CONT an unlink is IO_DONE, a write IO_FAIL with
   ENOTSUP, a read IO_FAIL with ENOENT. force (of writes): the message is about to leave
   memory, so no module may skip it. A body that can be read only once, where several
   modules have an io_writebody, is read and kept first: in memory, or in an unnamed file
   (below the spool, else in $TMPDIR or /tmp) encrypted for a key that is never stored;
   message->body is what was kept then. */
int spool_writebody(struct spool *spool, io_caller caller,
		    email_message *message, int force);
/* Stores everything but the body, which was to be written before: the commit. When it
   returns IO_DONE headers and body are on stable storage, and the message's version is
   one more (for a new message its first version); IO_FAIL with EOVERFLOW where it is
   EMAIL_VERSION_MAX already. Where it fails the version is as it was, and a new message
   is taken back from the modules that had it, unless another one of its id is stored
   (EEXIST). One that was read has to be as it is stored still: IO_FAIL with EBUSY where
   somebody has written it since, who is not overwritten (read it again, and change that),
   with ENOENT where it was removed. */
int spool_writeheaders(struct spool *spool, io_caller caller,
		       email_message *message, int force);
/* Fills in everything but the body, for a message of which only the id has to be known.
   IO_FAIL with ENOENT: there is no such message. */
int spool_readheaders(struct spool *spool, io_caller caller,
		      email_message *message);
/* Sets message->body and body_len, by the id alone; IO_FAIL with ENOENT: there is no such
   message. The native store's body is a stream that does not end well where the bytes
   on the disk are not those that were written: it gives what it can, and then it fails
   (EINVAL; EPIPE where its stack says first that it is cut short). So nobody takes a
   body for whole before its end was read with stream_errno 0. That is behind its final
   dot: who reads the message by i_stream_create_dot() puts i_stream_create_whole() on top
   of it, which looks; who sends the wire form on as it is reads to the end before the last
   octets of it go out. */
int spool_readbody(struct spool *spool, io_caller caller,
		   email_message *message);
/* Removes a message's headers: from then on neither a scan nor a read finds it, also
   after a crash. One that is not there is IO_DONE. */
int spool_unlinkheaders(struct spool *spool, io_caller caller,
			const message_id *id);
/* Removes a message's body, after spool_unlinkheaders(): a native store refuses it before
   (IO_FAIL with EBUSY). One that is not there is IO_DONE. */
int spool_unlinkbody(struct spool *spool, io_caller caller,
		     const message_id *id);

/*
 * Messages as a whole
 */
/* Stores a message: spool_writebody(), then spool_writeheaders(), of which each has to
   return IO_DONE. */
int spool_put(struct spool *spool, email_message *message);
/* Reads a message: spool_readheaders(), then spool_readbody(). With IO_DONE *message_r is
   a new message with one reference, the caller's; else it is left alone. */
int spool_get(struct spool *spool, const message_id *id,
	      email_message **message_r);
/* Removes a message: headers, then body. One that is not there is IO_DONE. Where a full
   disk has no room for it, this compacts the spool as spool_compact() does, and tries
   again, twenty times at most. */
int spool_remove(struct spool *spool, const message_id *id);

/*
 * Looking at the native store
 */
struct spool_entry {
	message_id id;
	uint64_t version;
	uint64_t body_len;    /* octets of wire form */
	uint64_t stored_size; /* bytes on disk, headers and body */
	const char *headers_stack, *body_stack;
	/* NULL: nothing is known to be wrong; else a sentence */
	const char *problem;
	/* With a problem, what it is. EINVAL: the message is damaged (headers
	   without their body are, too). ENOTSUP: a newer version of Bobbin
	   wrote it, or its stack has a kind that is not known here (doc/codecs.md).
	   ENOKEY: its bytes are those that were written, and none of
	   the identities fits. EBADMSG, of spool_verify(): they are, and do not
	   give the message: its stack calls them damaged, as where a codec
	   takes another key for that, or headers and body do not fit together;
	   repair leaves it where it is. EILSEQ, of spool_verify(): its body is whole, and
	   does not end as SMTP wire form does (CR LF . CR LF, or . CR LF
	   alone), or before its end: as it was when it was stored. Others: it
	   cannot be read now. 0: no problem. */
	int error;
};
/* Called for each message; false stops. */
typedef bool spool_entry_t(const struct spool_entry *entry, void *context);
/* Calls back for every message, in no order. 0, or -1 with errno and *error_r. */
int spool_list(struct spool *spool, spool_entry_t *callback, void *context,
	       char **error_r);
/* The same, having read and checked every byte; what cannot be decrypted without
   a key is checked by its hash and checksum alone (headers of a line of number 1,
   doc/spool-format.md, have none).
   Read-only it also calls back for what is damaged in a journal and belongs to no
   message any more, and was not put aside yet: with the id that it was of, once, or
   all zeros where nobody knows. */
int spool_verify(struct spool *spool, spool_entry_t *callback, void *context,
		 char **error_r);

/* What lies in a spool and belongs to no message. Bodies and temporary files are
   what killed writers left, or what a writer of another process is at: opening the
   spool for writing takes the temporary files away, and a scan the bodies. */
struct spool_strays {
	uint64_t bodies;    /* that no headers speak of */
	uint64_t temporary; /* files */
	uint64_t bytes;     /* of these bodies and files, on disk */
	/* files of messages in another of the file store's directories than theirs, where
	   nobody looks for them: somebody moved them there, and they stay
	   (doc/spool-format.md) */
	uint64_t misplaced;
	/* messages that scans have put aside, one each time */
	uint64_t quarantined;
	/* and of a journal what is damaged, or missing, whosever it was */
	uint64_t quarantined_parts;
};
/* Counts it. 0, or -1 with errno and *error_r. */
int spool_count_strays(struct spool *spool, struct spool_strays *strays_r,
		       char **error_r);

/* Does at once what a store does in time: the journal moves what is left in half empty
   segments (on a full disk in fuller ones, too), and gives the blocks of dead ones back; the
   file store has nothing to do.
   *moved_r: messages. -1 with errno and *error_r. The spool is open for writing (EROFS;
   EPERM in a child that fork() made); other calls may run meanwhile. */
int spool_compact(struct spool *spool, uint64_t *moved_r, char **error_r);

/* Values from 2^i to 2^(i+1) - 1 are counted in [i]; [0] has 0, too, and the last one
   what is larger. */
#define SPOOL_HISTOGRAM_SIZE 32
/* How the journal store works, and what its segments are. A file store has nothing of
   it: all is 0 then. */
struct spool_stats {
	/* Since it was opened, by this process: groups of changes (a message
	   stored, rewritten, moved or removed) that one sync made durable, by
	   their number of changes; syncs, by the microseconds that each took; and
	   groups that could not be written. */
	uint64_t group_changes[SPOOL_HISTOGRAM_SIZE];
	uint64_t sync_usecs[SPOOL_HISTOGRAM_SIZE];
	uint64_t failed_groups;

	/* Segments are in one of these states: records of messages are in it;
	   what is in it is needed by no message; nothing is in it, and it is to
	   be written next; the same, without blocks on disk. */
	uint64_t live_segments, dead_segments, blank_segments, cut_segments;
	uint64_t segment_bytes; /* on disk */
	/* Headers and bodies: those that are a message's, and all that were
	   written into these segments. */
	uint64_t live_records, records;
};
/* Fills in *stats_r; waits for the group that is being written, if one is. 0, or -1 with
   errno and *error_r. */
int spool_get_stats(struct spool *spool, struct spool_stats *stats_r,
		    char **error_r);

enum spool_migrate_flags {
	/* copies: nothing is removed */
	SPOOL_MIGRATE_KEEP = 0x01
};
/* What became of a message. */
struct spool_migrated {
	message_id id;
	uint64_t body_len; /* octets of wire form; 0 where it was not read */
	uint64_t total;    /* messages that there are to migrate */
	/* It was in the other spool already, as it is when a migration was
	   killed. */
	bool was_there;
	/* NULL: all is well; else a sentence: it is still where it was */
	const char *problem;
	/* With a problem, what it is. EEXIST: another message of this id, or
	   another version of it, is there. Others as in spool_entry. */
	int error;
};
/* Called for each message when it is done with, in no order, on the thread of who asked;
   false: no other one is begun, and those that are on their way are told. With KEEP one
   that was removed meanwhile is not told. */
typedef bool spool_migrated_t(const struct spool_migrated *what, void *context);
/* Moves the messages of a spool's native store into another spool: everything about
   them, with their ids and versions, through the other spool's stacks. Both are open
   for writing, with keys for what is encrypted, and nobody else changes messages
   meanwhile. (`from` may be read-only with KEEP, and in use.) Up to 16 are on their way at once, on
   threads of the library's own. Each message is on stable storage in
   `to` before it is removed from `from`; after a crash the same call goes on, and removes
   those that are in both, having compared them. A message that cannot be read, or
   differs, is told to the callback (may be NULL) and left where it is. -1 with errno and
   *error_r (free() it) where `to` cannot be written, `from` cannot be listed, or nothing
   can be removed from it: what was told is done then; EINVAL for a flag that is not
   known, and for a spool into itself. */
int spool_migrate(struct spool *from, struct spool *to, unsigned int flags,
		  spool_migrated_t *callback, void *context, char **error_r);

BOBBIN_END_DECLS

#endif
