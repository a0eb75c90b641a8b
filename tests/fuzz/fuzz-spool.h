/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef FUZZ_SPOOL_H
#define FUZZ_SPOOL_H

/* A spool in a journal, made once a process, with messages that were changed and removed;
   and all of its files, from which it is made anew for each input. */

#include "test-spool-common.h"

#define FUZZ_MESSAGES 44u
#define FUZZ_LARGE_MESSAGE 20u /* its body is in a file of its own */
#define FUZZ_BODIES_MAX 2u
#define FUZZ_SEGMENTS_MAX 16u

extern struct fuzz_message {
	message_id id;
	buffer_t *bodies[FUZZ_BODIES_MAX]; /* the last one is the newest */
	unsigned int body_count;
	uint64_t version;
	bool removed;
	/* of an input: something of its records was changed; versions, since */
	bool touched;
	unsigned int added;
} fuzz_messages[FUZZ_MESSAGES];

struct fuzz_file {
	char path[300]; /* below the spool */
	buffer_t *data;
};
/* The segments, in the order of their numbers. */
extern const struct fuzz_file *fuzz_segments[FUZZ_SEGMENTS_MAX];
extern unsigned int fuzz_segment_count;
/* The large message's body. */
extern const struct fuzz_file *fuzz_body_file;
extern char fuzz_spool_dir[512];

/* Makes it. What is random is the same in each process. */
void fuzz_spool_setup(void);
/* As it was; the messages, too. */
void fuzz_spool_restore(void);
/* The id of message n, also of one that the spool does not have. */
void fuzz_make_id(unsigned int n, message_id *id);
/* NULL: it is none of these. */
struct fuzz_message *fuzz_find_message(const message_id *id);

#endif
