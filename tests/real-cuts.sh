#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Power cuts on real file systems, REAL_CUTS of each. A disk is an image on another file
# system, which can clone the file while it is written to: the clone has what the kernel had
# handed to the disk, and little else. There what was acknowledged before has to be, and
# nothing that was removed before.
: "${REAL_CUTS:=3}"
export REAL_CUTS
. "${top_srcdir:-.}/tests/disk-common.sh"

# What a writer does until the file stop is there: ids that were stored, that are to be
# removed, and that were.
write_on()
{
	while [ ! -e stop ]; do
		"$BOBBIN" spool put "$1" $many >>stored || break
		for id in $(tail -20 stored | head -15); do
			echo "$id" >>removing
			"$BOBBIN" spool rm "$1" "$id" || break
			echo "$id" >>removed
		done
	done
	touch ended
}

# wait_for_more: until more was stored or removed than at the last call, or nothing will.
wait_for_more()
{
	more=$((${more:-0} + 1 + $(od -An -N1 -tu1 /dev/urandom) % 40))
	while [ "$(cat stored removed | wc -l)" -lt $more ] && [ ! -e ended ]; do
		sleep 0.01
	done
}

# cut IMAGE KIND: what is there behind a power cut now is right.
cut()
{
	sort stored >stored.before
	sort removed >removed.before
	cp --reflink=always "$1" "$1.cut" || return 1
	sort removing >removing.after
	option=
	[ "$2" != xfs ] || option=nouuid
	mount_image "$1.cut" disk.cut $option || return 1
	"$BOBBIN" spool repair disk.cut/spool >/dev/null &&
		"$BOBBIN" spool verify disk.cut/spool >/dev/null &&
		listed disk.cut/spool >have
	cut_code=$?
	umount disk.cut
	rm -f "$1.cut"
	{
		comm -23 stored.before removing.after | comm -23 - have |
			sed 's/^/lost: /'
		comm -12 removed.before have | sed 's/^/came back: /'
	} >wrong
	cat wrong
	[ $cut_code = 0 ] && [ ! -s wrong ]
}

# cuts KIND STORE
cuts()
{
	disk=disk.$1.$2
	make_disk "$1" host "$disk" || return
	"$BOBBIN" spool init --store="$2" "$disk/spool" || exit 99
	rm -f stop ended
	more=0
	: >stored
	: >removing
	: >removed
	write_on "$disk/spool" 2>writer.err &
	round=0
	while [ $round -lt "$REAL_CUTS" ]; do
		round=$((round + 1))
		wait_for_more
		check "$1, $2: power cut $round" cut host "$1"
	done
	touch stop
	wait
	check_empty "and the writer had no trouble" writer.err
	umount "$disk"
	rm -f host
}

# the clones' file system
make_disk xfs base disk.base || finish
umount disk.base
truncate -s 2G base
mkfs.xfs -q -f base && mount_image base disk.base || exit 99
cd disk.base || exit 99
make_mail mail
many=
for i in 1 2 3 4 5; do
	many="$many mail mail mail mail"
done
for kind in ext4 xfs btrfs; do
	cuts $kind journal
	cuts $kind file
done

cd ..
finish
