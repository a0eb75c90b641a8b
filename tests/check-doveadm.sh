#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Dovecot's doveadm reads what bobbin cat wrote, and bobbin cat reads what doveadm
# wrote, in each compression that both have: files of doveadm's "fs", and mails in a
# Maildir, where it reads xz, too, which it never writes.

. "$(dirname "$0")/script-common.sh"

cd "$work" || exit 99

if ! command -v doveadm >/dev/null; then
	not_run "Dovecot's files: doveadm is not installed (package dovecot-core)"
	finish
fi
# Mail is not read as root.
user=$(id -un)
[ "$user" != root ] || user=nobody
cat >conf <<END
log_path = $work/log
base_dir = $work/base
mail_location = maildir:$work/mail
mail_plugins = zlib
first_valid_uid = 0
ssl = no
mail_uid = $(id -u "$user")
mail_gid = $(id -g "$user")
END
mkdir base store

# fs VERB ARGUMENT...: doveadm's file system with compression, in store/
fs()
{
	fs_verb=$1 fs_codec=$2
	shift 2
	doveadm -c conf fs $fs_verb compress \
		"$fs_codec:6:posix:prefix=$work/store/" "$@" 2>>fs.err
}

: >empty
printf x >byte
seq 1 200000 >text
seq 1 200000 | gzip -nc | tail -c +20 | head -c 300000 >dense
head -c 65536 dense >chunk
if ! { fs put gz byte probe && fs get gz probe | cmp -s - byte; }; then
	not_run "Dovecot's files: doveadm fs has no compression here"
	sed 's/^/  /' fs.err log 2>/dev/null | head -5
	finish
fi

# both CODEC SPEC: Dovecot's name for it, and ours
both()
{
	if ! has "${2%%:*}"; then
		not_run "doveadm and $1: this build lacks ${2%%:*}"
		return
	fi
	for file in empty byte text dense chunk; do
		fs put "$1" $file theirs &&
			"$BOBBIN" cat --from "$2" store/theirs | cmp - $file &&
			"$BOBBIN" cat store/theirs | cmp - $file ||
			echo "$file: bobbin reads what doveadm wrote"
		"$BOBBIN" cat --to "$2" -o store/ours $file &&
			fs get "$1" ours | cmp - $file ||
			echo "$file: doveadm reads what bobbin wrote"
	done >both.out 2>&1
	check_empty "doveadm and $1, in both directions" both.out
}

both gz gzip
both bz2 bzip2
both zstd zstd
both lz4 dovecot_lz4

fs put lz4 text theirs
head -c 30 store/theirs >cut
"$BOBBIN" cat --from dovecot_lz4 cut >/dev/null 2>&1
check "a chunk that is cut is an error" test $? = 65

#
# A Maildir
#
mail()
{
	env USER="$user" HOME="$work" doveadm -c conf "$@" 2>>mail.err
}

for dir in cur new tmp; do
	mkdir -p mail/$dir
done
{
	printf 'Subject: in many forms\r\n\r\n'
	seq 1 20000 | sed 's/$/\r/'
} >message
size=$(stat -c %s message)
n=0
for spec in gzip bzip2 zstd xz dovecot_lz4; do
	has $spec || continue
	n=$((n + 1))
	"$BOBBIN" cat --to $spec -o "mail/cur/$n.x,S=$size,W=$size:2,S" message
done
[ "$(id -u)" != 0 ] || chown -R "$user" "$work"
chmod 755 "$work"
mail fetch text all >fetched
for i in $(seq $n); do
	printf 'text:\n'
	tr -d '\r' <message
done >want
check "doveadm reads mails in $n forms out of a Maildir" \
	sh -c "tr -d '\\r' <fetched | cmp - want"

tr -d '\r' <message >message.lf
for form in gz bz2 zstd lz4; do
	case $form in
	bz2) has bzip2 || continue ;;
	zstd) has zstd || continue ;;
	esac
	rm -rf mail/new/*
	mail -o plugin/zlib_save=$form save <message
	"$BOBBIN" cat mail/new/* | cmp - message.lf || echo $form
	[ "$(stat -c %s mail/new/*)" -lt "$size" ] || echo "$form: plain"
done >saved.out 2>&1
check_empty "bobbin reads the mails that doveadm saved" saved.out
finish
