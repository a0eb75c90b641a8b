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

finish
