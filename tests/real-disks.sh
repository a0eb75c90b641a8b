#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Full disks of real file systems: what was acknowledged is there, all of it can be removed,
# and what was full takes messages again.
. "${top_srcdir:-.}/tests/disk-common.sh"

# So much of a disk is left, in KiB.
ROOM=24576

# take_most DIR: of the disk there.
take_most()
{
	free=$(df -k --output=avail "$1" | tail -1)
	dd if=/dev/zero of="$1/taken" bs=1024 count=$((free - ROOM)) \
		conv=fsync 2>/dev/null
}

make_mail mail
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
	"$BOBBIN" spool verify "$1" >/dev/null && listed "$1" >have &&
		sort ids | cmp - have
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
	make_disk $kind image disk.$kind && take_most disk.$kind || continue
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
	umount disk.$kind
	rm -f image
done

finish
