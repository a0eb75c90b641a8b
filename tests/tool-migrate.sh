#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Real mail from a file store into a journal and back, by a tool that is killed again and
# again: nothing is lost, nothing is there twice.
. "${top_srcdir:-.}/tests/script-common.sh"
mail=$top_srcdir/tests/data/mail
cd "$work" || exit 99

"$BOBBIN" keygen -o key >public || exit 99

ids_of()
{
	"$BOBBIN" spool list "$1" | awk 'NR > 1 { print $1 }' | sort
}

# all_there SPOOL...: they have all messages between them.
all_there()
{
	for spool; do ids_of "$spool"; done | sort -u | cmp - sorted.ids
}

# moves FROM TO: once, to its end; TO has every message as it was put.
moves()
{
	"$BOBBIN" spool migrate -i key "$1" "$2" >moved.out || return 1
	[ -z "$(ids_of "$1")" ] || return 1
	all_there "$2" || return 1
	while read -r id file; do
		"$BOBBIN" spool get -i key "$2" "$id" | cmp - "$file" || return 1
	done <pairs
	"$BOBBIN" spool verify -i key "$2"
}

# with sanitizers processes start slowly
some='*'
rounds='1 9 2'
if sanitized; then
	some='l*'
	rounds='2'
fi
"$BOBBIN" spool init file --body "$(zstd_or_gzip):1 | age:recipients=public" || exit 99
"$BOBBIN" spool init journal --store journal --body gzip || exit 99
printf '%s\n' 'segment-size = 262144' 'inline-limit = 4096' >>journal/spool.conf
"$BOBBIN" spool put file -s a@example.org -r b@example.org "$mail"/$some.eml >ids
ls "$mail"/$some.eml | paste -d' ' ids - >pairs
sort ids >sorted.ids

"$BOBBIN" spool migrate file journal >left.out 2>left.err
check "without the key nothing moves, and each is named" sh -c "
	test $? = 77 && grep -q '^0 messages moved, $(wc -l <ids) left$' left.out &&
	test \$(grep -c 'secret key' left.out) = $(wc -l <ids)"
"$BOBBIN" spool migrate file file 2>same.err
check "a spool does not move into itself" test $? = 64

# killed FROM TO: after so many ids, more and more of them are there.
killed()
{
	before=
	for stop in $rounds; do
		rm -f acks
		mkfifo acks
		(exec "$BOBBIN" spool migrate -v -i key "$1" "$2" >acks 2>>killed.err) &
		writer=$!
		seen=0
		while read -r line; do
			seen=$((seen + 1))
			[ $seen = "$stop" ] && kill -9 $writer
		done <acks
		wait $writer 2>/dev/null
		all_there "$1" "$2" || return 1
		"$BOBBIN" spool verify -i key "$2" || return 1
	done
}
check "into a journal, killed: nothing is lost" killed file journal
check "and it goes on to its end" moves file journal
check "back again, killed" killed journal file
check "and it goes on to its end" moves journal file

"$BOBBIN" spool init copy --store journal --body "$(zstd_or_gzip)" || exit 99
"$BOBBIN" spool migrate -i key --keep file copy >keep.out
check "--keep copies" sh -c "
	grep -q '^$(wc -l <ids) messages copied$' keep.out"
check "and leaves what is there" all_there file
"$BOBBIN" spool migrate -i key file copy >move.out
check "what is there already is only removed" \
	grep -q "^0 messages moved, $(wc -l <ids) were there already$" move.out
check "then it is moved" moves copy file
cat key | "$BOBBIN" spool migrate -i /dev/stdin file copy >pipe.out 2>&1
check "a key that comes through a pipe is read once, for both spools" \
	grep -q "^$(wc -l <ids) messages moved$" pipe.out
"$BOBBIN" spool migrate copy file >pipe.out

#
# Damage of a journal, which is no message any more
#
"$BOBBIN" spool init hurt --store journal
"$BOBBIN" spool put hurt $(ls "$mail"/*.eml | head -2) >hurt.ids
printf 'xxxx' | dd of=hurt/journal/00000001.seg bs=1 seek=4100 conv=notrunc 2>/dev/null
"$BOBBIN" spool init healthy
"$BOBBIN" spool migrate --keep hurt healthy >hurt.out
check "a copy tells what is damaged" sh -c "
	test $? = 65 && grep -q '^1 messages copied, [1-9].* left$' hurt.out &&
	grep -q 'the journal is damaged: segment 1, byte 4096' hurt.out"
"$BOBBIN" spool migrate hurt healthy >hurt.out 2>hurt.err
check "and so does a move, which puts it aside" sh -c "
	test $? = 65 && grep -q '^0 messages moved, 1 were there already$' hurt.out &&
	grep -q 'put aside, and are in hurt/quarantine alone' hurt.err"
check "where it is no news afterwards" "$BOBBIN" spool migrate hurt healthy

if "$BOBBIN" spool migrate --json --keep -i key file copy >json 2>json.err; then
	check "--json has one object a message, and the counts" python3 -c '
import json, sys
lines = [json.loads(line) for line in open("json")]
count = len(open("ids").readlines())
assert lines.pop() == {"copied": count, "were_there": 0, "left": 0}
assert [l["result"] for l in lines] == ["copied"] * count
assert {tuple(l) for l in lines} == {("queue_id", "message_size", "result")}
assert sorted(l["queue_id"] for l in lines) == open("sorted.ids").read().split()'
	"$BOBBIN" spool migrate --json --keep -i key file copy >again
	"$BOBBIN" spool list --json copy >listed
	"$BOBBIN" spool migrate --json --keep file copy >unread
	check "which has its size where it was read" python3 -c '
import json
def sizes(name, part):
    lines = [json.loads(line) for line in open(name)][:part]
    return {l["queue_id"]: l.get("message_size") for l in lines}
assert sizes("json", -1) == sizes("again", -1) == sizes("listed", None)
assert set(sizes("unread", -1).values()) == {None}'
else
	not_run "migrate --json: $(cat json.err)"
fi
"$BOBBIN" spool migrate --help >help.out
check "its help fits a screen" sh -c 'test $(wc -l <help.out) -le 24 &&
	grep -q "^Examples:" help.out'

finish
