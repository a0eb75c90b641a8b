/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* An fd of several streams. */

#include "config.h"
#include "iostream.h"
#include "ends/istream-file-private.h"
#include "ends/ostream-file-private.h"
#include "file-ops.h"

struct iostream_fd *iostream_fd_init(int fd)
{
	struct iostream_fd *ref;

	i_assert(fd != -1);
	ref = i_new(struct iostream_fd, 1);
	ref->refcount = 1;
	ref->fd = fd;
	return ref;
}

void iostream_fd_ref(struct iostream_fd *ref)
{
	i_assert(ref->refcount > 0);
	ref->refcount++;
}

/* True where it was the last one; *ret is what close() said. */
static bool drop_ref(struct iostream_fd **_ref, int *ret)
{
	struct iostream_fd *ref = *_ref;

	*_ref = NULL;
	*ret = 0;
	i_assert(ref->refcount > 0);
	if (--ref->refcount > 0)
		return false;
	*ret = file_close(&ref->fd);
	i_free(ref);
	return true;
}

bool iostream_fd_unref(struct iostream_fd **ref)
{
	int ret;

	return *ref != NULL && !drop_ref(ref, &ret);
}

int iostream_fd_release(struct iostream_fd **ref)
{
	int ret;

	(void)drop_ref(ref, &ret);
	return ret;
}

struct istream *i_stream_create_fd_ref_autoclose(struct iostream_fd *ref,
						 size_t max_buffer_size)
{
	struct file_istream *file = i_new(struct file_istream, 1);

	iostream_fd_ref(ref);
	file->fd_ref = ref;
	return file_istream_init(file, ref->fd, max_buffer_size);
}

struct ostream *o_stream_create_fd_ref_autoclose(struct iostream_fd *ref,
						 size_t max_buffer_size)
{
	struct file_ostream *file = i_new(struct file_ostream, 1);

	iostream_fd_ref(ref);
	file->fd_ref = ref;
	file->autoclose = true;
	return file_ostream_init(file, ref->fd, UOFF_T_MAX, max_buffer_size);
}

void io_stream_create_fd_autoclose(int *fd, size_t max_in_buffer_size,
				   size_t max_out_buffer_size,
				   struct istream **input_r,
				   struct ostream **output_r)
{
	struct iostream_fd *ref = iostream_fd_init(*fd);

	*input_r = i_stream_create_fd_ref_autoclose(ref, max_in_buffer_size);
	*output_r = o_stream_create_fd_ref_autoclose(ref, max_out_buffer_size);
	(void)iostream_fd_unref(&ref);
	*fd = -1;
}
