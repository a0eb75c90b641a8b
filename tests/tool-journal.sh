#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# A journal as its operator sees it.
. "${top_srcdir:-.}/tests/script-common.sh"
mail=$top_srcdir/tests/data/mail
cd "$work" || exit 99

# journal DIR: an empty one with small segments.
journal()
{
	"$BOBBIN" spool init --store journal "$1" &&
		printf '%s\n' 'segment-size = 131072' 'inline-limit = 8192' \
			'compaction = off' >>"$1/spool.conf"
}

#
# Counting
#
journal j || exit 99
"$BOBBIN" spool put -v j "$mail"/l*.eml >ids 2>syncs
number=$(wc -l <ids)
check "put -v tells the sizes of groups" \
	grep -q "^$number groups, of changes: 0 to 1$" syncs
check "and how long the syncs took" sh -c "
	test \$(awk '/^[0-9]* syncs, of microseconds: [0-9]* to [0-9]*\$/ {
		n += \$1 } END { print n }' syncs) = $number"
"$BOBBIN" spool rm j $(sed -n 1p ids)
"$BOBBIN" spool stats j >stats
check "stats counts segments" grep -q \
	'^segments      1 live, 0 dead, 0 blank, 0 cut$' stats
check "and the records in them" grep -q \
	"^records       $((2 * number)), live $((2 * number - 2))$" stats
"$BOBBIN" spool init f && "$BOBBIN" spool put -v f "$mail"/l*.eml >ids.f 2>syncs
check_empty "a file store has none" syncs
check "of these" sh -c '! "$0" spool stats f | grep segment' "$BOBBIN"
if "$BOBBIN" spool stats --json j >json 2>json.err; then
	check "--json has them" python3 -c '
import json
stats = json.load(open("json"))
assert stats["live_segments"] == 1 and stats["dead_segments"] == 0
assert stats["records"] == stats["live_records"] + 2
assert 131072 <= stats["segment_bytes"] <= 135168 + 4096'
else
	not_run "stats --json: $(cat json.err)"
fi

#
# Damage
#
# damage FILE OFFSET: another byte there.
damage()
{
	byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
	printf "\\$(printf %o $((255 - byte)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
journal d || exit 99
# large ones in the first segment
"$BOBBIN" spool put d "$mail"/p*.eml "$mail"/[lm]*.eml >ids
"$BOBBIN" spool verify d >verify.out || fail "there is no damage yet"
second=$(ls d/journal/*.seg | sed -n 2p)
"$BOBBIN" spool list d | awk 'NR > 1 { print $1 }' | sort >before
cp -R d e
damage d/journal/00000001.seg 20
id=$(sed -n 1p ids)
says="first block of segment 1 .*bobbin spool repair"
fails 65 "$says" "$BOBBIN" spool list d
fails 65 "$says" "$BOBBIN" spool stats d
fails 65 "$says" "$BOBBIN" spool get d "$id"
fails 65 "$says" "$BOBBIN" spool rm d "$id"
# a mail system does not give a message back for that
fails 75 "$says" "$BOBBIN" spool put d "$mail"/mail-qp-ascii-header.eml
"$BOBBIN" spool verify d >verify.out
check "verify reads the rest, and names it" sh -c "
	test $? = 65 && grep -q 'segment 1, byte 0: the first block' verify.out"
check "once" grep -q '^[1-9][0-9]* messages, 1 damaged$' verify.out
"$BOBBIN" spool repair d >repair.out
check "repair puts it aside" sh -c "test -f d/quarantine/journal-00000001-*.seg"
check "with the reason" grep -q 'first block' d/quarantine/journal-00000001-*.why
"$BOBBIN" spool list d | awk 'NR > 1 { print $1 }' | sort >after
comm -13 before after >new
check_empty "nothing else is there then" new
check "but the rest is" test -s after
# the files of bodies whose records are gone, and the segment
check "the bodies that were in files are aside, too" sh -c '
	test "$(ls d/quarantine/*.b | wc -l)" -gt 0 &&
	test "$(sed -n "s/^put aside  *//p" repair.out)" = \
		"$(ls d/quarantine/*.b | wc -l), 1 parts of the journal"'
"$BOBBIN" spool verify d >verify.out
check "and verify finds no damage any more" test $? = 0
check "though it knows of the part" grep -q '^1 damaged or missing parts' verify.out
check "as stats does" sh -c \
	'"$0" spool stats d | grep -q "^damaged parts 1$"' "$BOBBIN"
if "$BOBBIN" spool stats --json d >json 2>json.err; then
	check "and --json" grep -q '"quarantined_parts": *1[,}]' json
else
	not_run "stats --json: $(cat json.err)"
fi
check "the spool goes on" "$BOBBIN" spool put d "$mail"/l*.eml

# A message whose body is damaged, and one behind it.
journal b || exit 99
"$BOBBIN" spool put b "$mail"/low-quality-bad-header-start.eml \
	"$mail"/low-quality-bad-header-start.eml >ids.b
id=$(sed -n 1p ids.b)
damage b/journal/00000001.seg 4200
"$BOBBIN" spool verify b >verify.out
check "a message of which a record is damaged is counted once" sh -c "
	test $? = 65 && test \$(grep -c '^$id ' verify.out) = 1 &&
	grep -q '^2 messages, 1 damaged$' verify.out"
"$BOBBIN" spool repair b >repair.out 2>&1
check "what is put aside then is told" \
	grep -q '^put aside   1$' repair.out
"$BOBBIN" spool verify b >verify.out
check "and goes on to be" sh -c "
	test $? = 0 && grep -q '^1 messages were put aside earlier' verify.out"

if [ -n "$second" ]; then
	# a record in the first segment, which has a footer
	id=$(sed -n 1p ids)
	damage e/journal/00000001.seg 4200
	"$BOBBIN" spool verify e >verify.out
	check "a damaged record is named, with its place" sh -c "
		test $? = 65 && grep -q '^$id .*segment 1.* byte 4096' verify.out"
	"$BOBBIN" spool list e | awk 'NR > 1 { print $1 }' | grep -v "^$id" | sort >left
	"$BOBBIN" spool repair e >repair.out 2>repair.err
	check "repair takes its message out" sh -c "
		grep -q 'warning: message $id is taken out.*segment 1' repair.err"
	check "and keeps what can be read of it, and what cannot" sh -c "
		test -s e/quarantine/$id.headers -a -s e/quarantine/$id.headers.why &&
		test -s e/quarantine/$id.journal-00000001-*-4096.bytes"
	"$BOBBIN" spool verify e >verify.out
	check "verify finds no damage then, at the next opening neither" test $? = 0
	"$BOBBIN" spool list e | awk 'NR > 1 { print $1 }' | sort >after
	check "and all others are there" cmp left after
else
	fail "there is more than one segment"
fi

finish
