/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_AGE_CREW_H
#define BOBBIN_AGE_CREW_H

/* Threads that seal or open the chunks of one file, several at once, for one owner,
   who gives them whole chunks and gets these back in the same order. A ring of slots
   lies between: while the threads are at some, the owner fills and empties others, and
   where it would have to wait it is one thread more.
   A child that fork() made has none of the threads: wake_fd_is_parents() tells it so. There
   age_crew_stop() leaves the crew as it is, age_crew_get_wake_fd() is -1 with EPERM, and
   age_crew_count() and what it is enough for can be asked; the rest is not to be called.
   Not installed. */

#include "age-chunks.h"
#include "wake-fd.h"

#define AGE_THREADS_MAX 64
/* So many chunks are done without: a small file does not pay for threads. */
#define AGE_CREW_AFTER 8
/* A slot for what each thread is at, one for what it does next, and those by which the
   owner may be ahead of them, or behind: it reads and writes in larger pieces. */
#define AGE_CREW_SLOTS(threads) (2 * (threads) + 16)

/* One chunk. */
struct age_job {
	/* `have` bytes come in, those from out_pos to out_end go out */
	struct age_chunk chunk;
	uint64_t counter;
	bool last; /* as it was opened */
	bool ok;
};

/* What is done with a chunk, on any of the threads: from job->chunk.data to out,
   which has room for AGE_SEALED_CHUNK_SIZE bytes. Sets the job's last and ok, and
   returns how many bytes came out. */
typedef size_t age_crew_work_t(struct age_aead *aead, struct age_job *job,
			       unsigned char *out);

struct age_crew;

/* Starts the threads, each with the key; wake, which is the caller's, is set whenever a
   chunk is done. NULL: the transform has the error. */
struct age_crew *age_crew_start(struct transform *t, unsigned int threads,
				const unsigned char key[AGE_AEAD_KEY_SIZE],
				age_crew_work_t *work, struct wake_fd *wake);
/* Lets each thread end what it is at, joins them, and wipes all that is left. NULL
   is allowed; the pointer is set to NULL. */
void age_crew_stop(struct age_crew **crew);

/* How many chunks it was given and were not dropped. */
unsigned int age_crew_count(const struct age_crew *crew);
bool age_crew_is_full(const struct age_crew *crew);
/* Takes the gathered bytes; the chunk gets other memory, or none, and is empty. Not
   where it is full. */
void age_crew_give(struct age_crew *crew, struct age_chunk *chunk,
		   uint64_t counter);
/* The oldest chunk that it was given and was not dropped, once it is done. NULL where
   there is none, and without `wait` also where it is still being worked on. */
struct age_job *age_crew_first(struct age_crew *crew, bool wait);
/* The next one is the first. */
void age_crew_drop(struct age_crew *crew);
/* About the wake_fd, with a crew or without. */
int age_crew_get_wake_fd(struct age_crew *crew, struct wake_fd *wake);
void age_crew_clear_wake(struct age_crew *crew, struct wake_fd *wake);
/* Bytes that it has, roughly; 0 where it has no chunk, or there is no crew. */
size_t age_crew_pending(const struct age_crew *crew);

/* The class of a codec with a crew of so many. */
void age_crew_class(struct transform_class *class_,
		    const struct transform_class *alone, unsigned int threads);
/* Where they are too many. */
struct transform *age_create_threads_error(const struct transform_class *class_,
					   unsigned int threads);

#endif
