# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Real file systems for scripts, each in an image; to be sourced instead of
# script-common.sh, and first. The mounts are the script's alone, and go with it.
if [ -z "${own_mounts-}" ] && unshare -m true 2>/dev/null; then
	own_mounts=yes exec unshare -m "${SHELL:-/bin/sh}" "$0"
fi
. "${top_srcdir:-.}/tests/script-common.sh"
trap 'umount "$work"/disk.*/disk.* "$work"/disk.* 2>/dev/null
	rm -rf "$work" "$work.bobbin"' EXIT
cd "$work" || exit 99

# mount_image FILE DIR [OPTION]: makes the directory.
mount_image()
{
	mkdir -p "$2" && mount -o "loop${3:+,$3}" "$1" "$2"
}

# make_disk KIND FILE DIR: a new file system of 320 MiB.
make_disk()
{
	command -v "mkfs.$1" >/dev/null || {
		not_run "$1: there is no mkfs.$1"
		return 1
	}
	truncate -s 320M "$2"
	"mkfs.$1" "$2" >mkfs.out 2>&1 && mount_image "$2" "$3" 2>mount.out || {
		not_run "$1: an image of it cannot be mounted here"
		return 1
	}
}

# listed SPOOL: the ids of its messages, sorted.
listed()
{
	"$BOBBIN" spool list "$1" | sed -e 1d -e 's/ .*//' | sort
}

# make_mail FILE: of 48 KB, which nothing makes much smaller.
make_mail()
{
	{
		printf 'Subject: mail\n\n'
		head -c 15000 /dev/urandom | od -An -tx1 -v
	} >"$1"
}
