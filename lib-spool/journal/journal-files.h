/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_JOURNAL_FILES_H
#define BOBBIN_JOURNAL_FILES_H

/* The files of segments, of which there may be more than a process may have open: each
   is open while somebody uses it, and until many others were used since. Not
   installed. */

#include "types.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* "00000001.seg" */
#define JOURNAL_NAME_SIZE 13
/* "00000001.gone": it was given up */
#define JOURNAL_GONE_NAME_SIZE 14

struct journal_file;

struct journal_files {
	int dir_fd; /* SPOOL/journal */
	bool read_only;
	unsigned int open_max;

	pthread_mutex_t mutex;
	/* Under the mutex: those that are open, and of these the ones that nobody
	   uses, in the order in which they were used last. */
	unsigned int open_count;
	struct journal_file *idle, **idle_end;
};

/* An eighth of what the process may have open, within reason. */
void journal_files_init(struct journal_files *files, bool read_only);
/* All of its files are freed. */
void journal_files_deinit(struct journal_files *files);

/* Where the process has no more descriptors, those of files that nobody uses are given
   back. -1 with errno. */
int journal_files_open(struct journal_files *files, const char *name,
		       int flags);
void journal_segment_name(uint32_t number, char name_r[JOURNAL_NAME_SIZE]);
void journal_gone_name(uint32_t number, char name_r[JOURNAL_GONE_NAME_SIZE]);
/* Of the segment of this number, not open yet. */
struct journal_file *journal_file_new(struct journal_files *files,
				      uint32_t number);
/* Nobody uses it. Sets the pointer to NULL; NULL is allowed. */
void journal_file_free(struct journal_file **file);
/* It was just made, and open by this descriptor, which is the file's then. */
void journal_file_adopt(struct journal_file *file, int fd);
/* Its descriptor, which is good until the file is let go: as often as it was held. Opened
   by journal_files_open(). -1 with errno. */
int journal_file_hold(struct journal_file *file);
/* errno stays as it is. */
void journal_file_let_go(struct journal_file *file);

/* All of the bytes. 1; 0: the file ends before; -1 with errno. */
int journal_file_read(struct journal_file *file, void *data, size_t size,
		      uint64_t offset);
/* All of the bytes. 0, or -1 with errno. */
int journal_file_write(struct journal_file *file, const void *data, size_t size,
		       uint64_t offset);
/* The same by its descriptor. */
int journal_pwrite_all(int fd, const void *data, size_t size, uint64_t offset);
/* How many bytes it could read, up to the end. -1 with errno. */
ssize_t journal_file_read_some(struct journal_file *file, void *data,
			       size_t size, uint64_t offset);

#endif
