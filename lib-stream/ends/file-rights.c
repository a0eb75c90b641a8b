/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "ends/file-rights.h"
#include "file-ops.h"

#include <errno.h>
#include <sys/xattr.h>

/* How Linux shows an ACL (acl(5)); its bytes are the same for every file. */
#define ACL_NAME "system.posix_acl_access"
/* Entries have 8 bytes: more than 250 of them. */
#define ACL_MAX 2048

/* Root may give a file to anybody, its owner to a group of his. False where the file
   does not have the old one's group then. */
static bool hand_owner_on(int fd, const struct stat *old)
{
	struct stat now;

	if (file_ops()->fchown(fd, old->st_uid, old->st_gid) == 0 ||
	    file_ops()->fchown(fd, (uid_t)-1, old->st_gid) == 0)
		return true;
	/* some file systems refuse even what is so already */
	return file_ops()->fstat(fd, &now) == 0 && now.st_gid == old->st_gid;
}

static bool is_without_acl(int error)
{
	return error == ENODATA || error == ENOTSUP || error == ENOSYS;
}

/* False where there was one, and the new file could not get it. With an ACL the
   permissions of the group are the most that the ACL gives, and not what the group
   has. */
static bool hand_acl_on(int fd, const char *path, bool same_group)
{
	char acl[ACL_MAX];
	ssize_t size = getxattr(path, ACL_NAME, acl, sizeof(acl));

	if (size < 0 && !is_without_acl(errno))
		return false;
	if (size > 0)
		/* what it gives the group is meant for the old one */
		return same_group &&
			fsetxattr(fd, ACL_NAME, acl, (size_t)size, 0) == 0;
	/* the directory's default may have given it one */
	return fremovexattr(fd, ACL_NAME) == 0 || is_without_acl(errno);
}

/* What of the permissions is the same for the group and for others, for a file that
   is another group's: who is in that one was among the others, and who is in the old
   one is among them now. */
static mode_t common_permissions(mode_t mode)
{
	mode_t common = mode & (mode >> 3) & 07;

	return (mode & 0700) | common << 3 | common;
}

int file_hand_rights_on(int fd, const char *path, const struct stat *old)
{
	bool same_group = hand_owner_on(fd, old);
	mode_t mode = old->st_mode & 0777;

	if (!hand_acl_on(fd, path, same_group))
		mode &= 0700;
	else if (!same_group)
		mode = common_permissions(mode);
	return file_ops()->fchmod(fd, mode);
}
