/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Standard input is shared with those who started the command: where it is a file, it is
   read from where it stands, and left behind what was read. */

#include "config.h"
#include "tool-common.h"
#include "istream.h"

#include <unistd.h>

static struct istream *opened;

struct istream *tool_open_stdin(void)
{
	off_t offset = lseek(STDIN_FILENO, 0, SEEK_CUR);

	opened = i_stream_create_fd(STDIN_FILENO, 0);
	i_stream_set_name(opened, "stdin");
	if (offset > 0 && opened->seekable)
		i_stream_seek(opened, (uoff_t)offset);
	i_stream_ref(opened);
	return opened;
}

void tool_leave_stdin(void)
{
	if (opened == NULL)
		return;
	if (opened->seekable)
		(void)lseek(STDIN_FILENO, (off_t)opened->v_offset, SEEK_SET);
	i_stream_unref(&opened);
}
