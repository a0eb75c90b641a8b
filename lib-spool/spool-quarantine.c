/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* SPOOL/quarantine/: what is kept for a person, and counting it. */

#include "config.h"
#include "spool-private.h"
#include "file-ops.h"
#include "mem.h"
#include "ostream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
	int dir_fd; /* the spool's: temporary files are not for a person */
	int quarantine_fd; /* to be synced with each name that it gets */
};

/* 1; 0: something has that name; -1 with errno. */
static int keep(const struct place *place, const char *name,
		enum ostream_file_atomic_flags flags, const void *data,
		size_t size)
{
	struct ostream *output;
	int ret, error;

	output = o_stream_create_file_atomic_at(place->quarantine_fd, name,
						place->dir_fd, 0600, flags);
	o_stream_nsend(output, data, size);
	ret = o_stream_finish(output) > 0 ? 1 : -1;
	error = output->stream_errno;
	o_stream_destroy(&output);
	errno = error;
	return ret < 0 && error == EEXIST ? 0 : ret;
}

/* It is there from the last time. */
static bool has_bytes(const struct place *place, const char *name,
		      const unsigned char *data, size_t size)
{
	int fd = file_open_regular(place->quarantine_fd, name);
	unsigned char part[4096];
	ssize_t ret = -1;
	size_t pos = 0;

	if (fd < 0)
		return false;
	while ((ret = file_pread(fd, part, sizeof(part), (off_t)pos)) > 0 &&
	       (size_t)ret <= size - pos &&
	       memcmp(part, data + pos, (size_t)ret) == 0)
		pos += (size_t)ret;
	(void)file_close(&fd);
	return ret == 0 && pos == size;
}

static int keep_reason(const struct place *place, const char *name,
		       const char *why)
{
	char *reason = i_strdup_printf("%s" SPOOL_REASON_SUFFIX, name);
	char *line = i_strdup_printf("%s\n", why);
	int ret = keep(place, reason, 0, line, strlen(line)), error = errno;

	i_free(line);
	i_free(reason);
	errno = error;
	return ret > 0 ? 0 : -1;
}

static int keep_all(const struct place *place, const char *name,
		    const void *data, size_t size, const char *why)
{
	char *own = i_strdup(name);
	unsigned int number = 0;
	int ret = 1, error;

	while (data != NULL &&
	       (ret = keep(place, own, OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE,
			   data, size)) == 0 &&
	       !has_bytes(place, own, data, size)) {
		i_free(own);
		own = i_strdup_printf("%s.%u", name, ++number);
	}
	if (ret >= 0)
		ret = keep_reason(place, own, why);
	error = errno;
	i_free(own);
	errno = error;
	return ret;
}

int spool_put_aside(int dir_fd, const char *name, const void *data, size_t size,
		    const char *why)
{
	struct place place = { .dir_fd = dir_fd };
	int ret, error;

	place.quarantine_fd =
		file_open(dir_fd, "quarantine",
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (place.quarantine_fd < 0)
		return -1;
	ret = keep_all(&place, name, data, size, why);
	error = errno;
	(void)file_close(&place.quarantine_fd);
	errno = error;
	return ret;
}

/*
 * Counting
 */

/* What was put aside at once of a message: its files have one number, or none. */
struct kept {
	message_id id;
	unsigned int number;
};

struct count {
	struct kept *kept;
	size_t used, room;
	uint64_t parts;
	bool no_memory;
};

static bool ends_in(const char *name, const char *suffix)
{
	size_t size = strlen(name), suffix_size = strlen(suffix);

	return size > suffix_size &&
		strcmp(name + size - suffix_size, suffix) == 0;
}

/* "ID.h" and "ID.TAG.b" have none, "ID.h.2" has 2. */
static unsigned int number_of(const char *name)
{
	const char *last = strrchr(name, '.');

	return last[1] != '\0' &&
			last[1 + strspn(last + 1, "0123456789")] == '\0' ?
		(unsigned int)strtoul(last + 1, NULL, 10) :
		0;
}

static bool is_of_message(const char *name, struct kept *kept_r)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	(void)snprintf(text, sizeof(text), "%s", name);
	if (strlen(name) < sizeof(text) || name[sizeof(text) - 1] != '.' ||
	    !message_id_from_text(text, &kept_r->id))
		return false;
	kept_r->number = number_of(name);
	return true;
}

static bool add_kept(struct count *count, const struct kept *kept)
{
	size_t room = count->room == 0 ? 64 : count->room * 2;
	struct kept *more;

	if (count->used == count->room) {
		more = try_realloc(count->kept, room * sizeof(*more));
		if (more == NULL)
			return false;
		count->kept = more;
		count->room = room;
	}
	count->kept[count->used++] = *kept;
	return true;
}

static bool count_name(int dir_fd ATTR_UNUSED, const char *name, void *context)
{
	struct count *count = context;
	struct kept kept;

	memset(&kept, 0, sizeof(kept));
	/* a reason alone is no message; of a segment that is missing there is
	   nothing else */
	if (ends_in(name, SPOOL_REASON_SUFFIX))
		count->parts += strncmp(name, "journal-", 8) == 0 ? 1 : 0;
	else if (is_of_message(name, &kept))
		count->no_memory = !add_kept(count, &kept);
	return !count->no_memory;
}

static int by_message(const void *_a, const void *_b)
{
	const struct kept *a = _a, *b = _b;
	int ret = message_id_cmp(&a->id, &b->id);

	if (ret != 0 || a->number == b->number)
		return ret;
	return a->number < b->number ? -1 : 1;
}

int spool_count_quarantined(const struct spool *spool,
			    struct spool_strays *strays)
{
	struct count count = { .kept = NULL };
	int ret, error;
	size_t i;

	ret = spool_walk_dir(spool->dir_fd, "quarantine", count_name, &count);
	error = count.no_memory ? ENOMEM : errno;
	if (ret == 0 && !count.no_memory) {
		if (count.used > 0)
			qsort(count.kept, count.used, sizeof(*count.kept),
			      by_message);
		for (i = 0; i < count.used; i++) {
			if (i == 0 ||
			    by_message(&count.kept[i - 1], &count.kept[i]) != 0)
				strays->quarantined++;
		}
		strays->quarantined_parts += count.parts;
	}
	i_free(count.kept);
	errno = error;
	return count.no_memory ? -1 : ret;
}
