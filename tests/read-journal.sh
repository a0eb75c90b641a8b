#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# A journal as the tool fills it, and as tests/read-journal.py reads it, which was
# written from doc/journal-format.md alone: they agree.
. "${top_srcdir:-.}/tests/script-common.sh"
mail=$top_srcdir/tests/data/mail
reader=$top_srcdir/tests/read-journal.py
cd "$work" || exit 99

command -v python3 >/dev/null || {
	not_run "a journal read by another program: python3 is not installed"
	finish
}

"$BOBBIN" spool init --store journal empty
"$BOBBIN" spool list --json empty >list.json 2>json.err || {
	not_run "a journal read by another program: $(cat json.err)"
	finish
}

# agree SPOOL: the same messages, with the same numbers.
agree()
{
	"$BOBBIN" spool list --json "$1" >list.json || return 1
	python3 -c '
import json, sys
for line in sys.stdin:
    m = json.loads(line)
    print(m["queue_id"], m["version"], m["message_size"], m["headers_stack"],
          m["body_stack"])' <list.json | sort >ours
	python3 "$reader" "$1" 2>footers | sort >theirs
	cmp ours theirs && test -s ours
}

for stack in "" gzip; do
	spool=s$stack
	"$BOBBIN" spool init --store journal --body "$stack" $spool
	printf '%s\n' 'segment-size = 262144' 'inline-limit = 8192' \
		'compaction = off' >>$spool/spool.conf
	"$BOBBIN" spool put $spool "$mail"/*.eml >ids
	check "what is put, through ${stack:-nothing}" agree $spool
	"$BOBBIN" spool rm $spool $(sed -n '1~2p' ids)
	check "full segments have footers" grep -q "^[1-9]" footers
	check "large ones are in files" test -n "$(ls $spool/journal/bodies)"
	check "what is left after removals" agree $spool
	"$BOBBIN" spool put $spool "$mail"/*.eml >more
	"$BOBBIN" spool rm $spool $(sed -n '2~3p' more)
	check "segments that were written anew" agree $spool
	"$BOBBIN" spool put $spool "$mail"/*.eml "$mail"/*.eml >most
	"$BOBBIN" spool rm $spool $(sed -n '3~9!p' most)
	used=$(du -s $spool/journal | cut -f1)
	"$BOBBIN" spool compact $spool >compact.out
	check "messages that were moved" agree $spool
	check "and blocks that were given back" \
		test "$(du -s $spool/journal | cut -f1)" -lt "$used"
	id=$(sed -n 2p ids)
	check "the payload is what the public tool opens" sh -c "
		python3 '$reader' $spool $id | ${stack:-cat} ${stack:+-dc} >wire &&
		'$BOBBIN' spool get --wire $spool $id | cmp - wire"
done

# tear SPOOL: as if the headers that were written last had not reached the disk, nor the block
# behind them, by which who closed the journal says that they had.
tear()
{
	python3 - "$1" <<-'end'
		import pathlib, sys
		last = (0, 0, None)
		for path in pathlib.Path(sys.argv[1], "journal").glob("*.seg"):
		    data = path.read_bytes()
		    first = int.from_bytes(data[40:48], "little")
		    pos = data.rfind(b"BJR1\2")
		    if first and pos > 0:
		        last = max(last, (first, pos, path))
		first, pos, path = last
		with open(path, "r+b") as file:
		    file.seek(pos + 70)
		    file.write(bytes(32))
		    file.seek((pos // 4096 + 1) * 4096)
		    file.write(bytes(4096))
	end
}

spool=torn
message=$(printf '%s\n' "$mail"/*.eml | head -n 1)
"$BOBBIN" spool init --store journal --body "" $spool
printf '%s\n' 'segment-size = 262144' 'compaction = off' >>$spool/spool.conf
for round in 1 2 3 4 5 6; do
	"$BOBBIN" spool put $spool "$message" "$message" >ids
	tear $spool
	check "a torn group" agree $spool
done
"$BOBBIN" spool put $spool "$message" >ids
check "what is void is said again" agree $spool
check "by each new segment" grep -q "21 voids" footers
"$BOBBIN" spool compact $spool >compact.out
check "what said it before may go" agree $spool

finish
