#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Full disks of real file systems, each in an image of its own: what was acknowledged is
# there, all of it can be removed, and what was full takes messages again. The mounts are
# this script's alone, and go with it.
if [ -z "${own_mounts-}" ] && unshare -m true 2>/dev/null; then
	own_mounts=yes exec unshare -m "${SHELL:-/bin/sh}" "$0"
fi
. "${top_srcdir:-.}/tests/script-common.sh"
trap 'umount "$work"/disk.* 2>/dev/null; rm -rf "$work" "$work.bobbin"' EXIT
cd "$work" || exit 99

# So much of a disk is left, in KiB.
ROOM=24576

# make_disk KIND: mounts a new one on disk.KIND, of which the most is taken.
make_disk()
{
	command -v "mkfs.$1" >/dev/null || {
		not_run "$1: there is no mkfs.$1"
		return 1
	}
	truncate -s 320M "image.$1"
	"mkfs.$1" "image.$1" >mkfs.out 2>&1 && mkdir "disk.$1" &&
		mount -o loop "image.$1" "disk.$1" 2>mount.out || {
		not_run "$1: an image of it cannot be mounted here"
		return 1
	}
	free=$(df -k --output=avail "disk.$1" | tail -1)
	dd if=/dev/zero of="disk.$1/taken" bs=1024 count=$((free - ROOM)) \
		conv=fsync 2>/dev/null
}

# The bytes of a mail that no layer and no file system makes smaller.
{
	printf 'Subject: full\n\n'
	head -c 15000 /dev/urandom | od -An -tx1 -v
} >mail
many=
for i in 1 2 3 4 5 6 7 8 9 10; do
	many="$many mail mail mail mail mail"
done

# fill SPOOL: until it takes no more; their ids are in the file ids.
fill()
{
	: >ids
	while "$BOBBIN" spool put "$1" $many >>ids 2>fill.err; do
		:
	done
	grep -q 'No space left' fill.err
}

# has_all SPOOL: whether the messages are those of ids, and whole.
has_all()
{
	"$BOBBIN" spool verify "$1" >/dev/null &&
		"$BOBBIN" spool list --json "$1" |
		sed 's/.*"queue_id":"\([^"]*\)".*/\1/' | sort >listed &&
		sort ids | cmp - listed
}

# remove_all SPOOL: a few at a time, as each process begins with what the one before left.
remove_all()
{
	split -l 50 ids part.
	for part in part.*; do
		"$BOBBIN" spool rm "$1" $(cat "$part") || return 1
	done
	rm -f part.*
	: >ids
	has_all "$1"
}

for kind in ext4 xfs btrfs; do
	make_disk $kind || continue
	for store in journal file; do
		spool=disk.$kind/$store
		"$BOBBIN" spool init --store=$store "$spool" || exit 99
		check "$kind, $store: a full disk is told" fill "$spool"
		check "and what was acknowledged is there" has_all "$spool"
		check "all of it can be removed" remove_all "$spool"
		check "and there is room for more" \
			"$BOBBIN" spool put "$spool" $many
		rm -rf "$spool"
	done
	umount "disk.$kind"
	rm -f "image.$kind"
done

finish
