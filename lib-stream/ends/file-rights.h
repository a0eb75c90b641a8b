/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_FILE_RIGHTS_H
#define BOBBIN_FILE_RIGHTS_H

#include "types.h"

#include <sys/stat.h>

/* Gives fd, a new file that nobody but its owner may open so far, what the file at
   `path` (`old`) has, which it is to replace: owner and group as far as this process
   may set them, the POSIX ACL, and the permissions. Nobody may do more with the new
   file than with the old one, but for its owner: where it cannot have the old
   group, group and others get what both of them had, and nothing where there was an
   ACL; the same where an ACL cannot be set. 0, or -1 with errno where the
   permissions cannot be set. Not installed. */
int file_hand_rights_on(int fd, const char *path, const struct stat *old);

#endif
