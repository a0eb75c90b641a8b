#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# The spool's verbs as a person or a script uses them: real mail in and out, writers
# killed by kill -9 against a ledger kept outside, bad input, a full disk.
. "${top_srcdir:-.}/tests/script-common.sh"
mail=$top_srcdir/tests/data/mail
cd "$work" || exit 99

"$BOBBIN" keygen -o key >public || exit 99
"$BOBBIN" keygen -o other >/dev/null || exit 99

#
# Everything comes back
#
round_trip()
{
	name=$1
	shift
	"$BOBBIN" spool init "$name" "$@" || return 1
	"$BOBBIN" spool put "$name" --sender a@example.org -r b@example.org \
		"$mail"/$some.eml >"$name.ids" || return 1
	ls "$mail"/$some.eml | paste -d' ' "$name.ids" - >"$name.pairs"
	while read -r id file; do
		"$BOBBIN" spool get -i key "$name" "$id" | cmp - "$file" ||
			return 1
	done <"$name.pairs"
	"$BOBBIN" spool verify -i key "$name"
}
# check_json WHAT TEXT: the shell's TEXT must succeed, where the command writes JSON.
check_json()
{
	if "$BOBBIN" spool list --json plain >/dev/null 2>json.err; then
		check "$1" sh -c "$2"
	else
		not_run "$1: $(cat json.err)"
	fi
}
# with sanitizers processes start slowly
some='*'
! sanitized || some='l*'
check "all mails come back, plain" round_trip plain
check "all mails come back, gzip" round_trip gzip --body gzip
zstd=$(zstd_or_gzip)
check "all mails come back, $zstd and age" round_trip secret \
	--body "$zstd:3 | age:recipients=public"
quoted()
{
	cp public 'my keys, "a"|b=c' || return 1
	round_trip quoted --headers 'limit:size="1G"' \
		--body 'age:recipients="my keys, \"a\"|b=c",threads="2"' &&
		grep -qx 'body = age:threads=2' quoted/spool.conf &&
		grep -qx 'headers = limit:1073741824' quoted/spool.conf &&
		grep -qxf public quoted/recipients
}
check "keys whose file needs quotes" quoted

#
# Line ends at the door
#
ends()
{
	printf "$1" >in
	id=$("$BOBBIN" spool put plain in) || return 1
	"$BOBBIN" spool get plain "$id" | cmp - in || return 1
	"$BOBBIN" spool get --wire plain "$id" | tail -c 3 >tail
	printf '.\r\n' | cmp - tail
}
check "LF mail comes back as LF" ends 'a\n.b\n'
check "CRLF mail comes back as CRLF" ends 'a\r\n.b\r\n'
check "no last line end" ends 'a\nb'
check "no last line end, CRLF" ends 'a\r\nb'
check "an empty message" ends ''
check "one line end" ends '\n'
check "only a dot" ends '.\n'
check "NUL and 8 bit" ends 'a\000\377\n'
printf 'a\nb\r\nc\n' >mixed
fails 65 "line 2: ends in CRLF" "$BOBBIN" spool put plain mixed
printf 'a\nb\rc\n' >lone
fails 65 "line 2: a CR without LF" "$BOBBIN" spool put plain lone
normalised()
{
	for data in 'a\nb\r\n' 'a\nb\r' 'a\rb\n'; do
		printf "$data" >in
		id=$("$BOBBIN" spool put --normalise plain in) || return 1
		"$BOBBIN" spool get plain "$id" >crlf
		printf 'a\r\nb\r\n' | cmp - crlf || return 1
	done
}
check "--normalise accepts them, and makes them CRLF" normalised

#
# Bad input
#
sid=$(head -1 secret.ids)
body=$(find secret/messages -name "$sid.b")
# As with cat: what is no plain file is written to, never replaced.
echo old >target
ln -s target link
"$BOBBIN" spool get -i key -o link secret "$sid"
check "get -o writes through a link instead of replacing it" sh -c \
	'test -L link && test ! -L target && ! grep -q "^old" target'
mkfifo pipe
timeout 20 cat pipe >piped &
"$BOBBIN" spool get -i key -o pipe secret "$sid"
wait $!
check "and into a pipe" sh -c 'test -p pipe && cmp piped target'
fails 77 "secret key" "$BOBBIN" spool get secret "$sid"
fails 77 "no identity matches" "$BOBBIN" spool get -i other secret "$sid"
grep -q -e "-i KEY" fails.err && fail "no hint at what was given" ||
	pass "no hint at what was given"
fails 64 "not a message id" "$BOBBIN" spool get secret ../../etc/passwd
fails 64 "not a message id" "$BOBBIN" spool rm secret a/b
fails 66 "there is no message" "$BOBBIN" spool get secret 00000000000000000000000000
mkdir no-spool
fails 66 "not a spool" "$BOBBIN" spool list no-spool
check_empty "there is no heading of no list" fails.out
fails 66 "No such file" "$BOBBIN" spool list nowhere
fails 66 "No such file" "$BOBBIN" spool put plain nothing
fails 64 "zstd" "$BOBBIN" spool init new --body zsdt
fails 64 "^    ^~~~" "$BOBBIN" spool init new --body zsdt
fails 64 "headers: .*column 8" "$BOBBIN" spool init new --headers "gzip | zst"
fails 64 'line must be .* a multiple of 4' \
	"$BOBBIN" spool init new --body base64:77
fails 64 "body: .*for whom" "$BOBBIN" spool init new --body age
fails 64 "cannot be in the stack of a store" "$BOBBIN" spool init new --body crlf
fails 66 "body: open(nothere)" "$BOBBIN" spool init new --body age:nothere
echo age1typo >typo
fails 78 "typo: line 1" "$BOBBIN" spool init new --body age:typo
fails 64 "unrecognized option" "$BOBBIN" spool init new --nosuch
[ "$(wc -l <fails.err)" = 2 ] && pass "which is said once" || fail "which is said once"
for verb in list stats; do
	# "invalid" in glibc's words, "unrecognized" in musl's
	fails 64 "option.* '*i" "$BOBBIN" spool $verb -i key plain
done
for verb in list show stats; do
	fails 64 "unrecognized option" "$BOBBIN" spool $verb --progress never plain
done
fails 64 "store" "$BOBBIN" spool init new --store jornal
fails 73 "not empty" "$BOBBIN" spool init plain
fails 64 "which spool" "$BOBBIN" spool stats
[ ! -e new ] && pass "a refused init leaves nothing" || fail "a refused init leaves nothing"
size=$(wc -c <"$body")
cp "$body" saved
head -c "$((size - 1))" saved >"$body"
fails 65 "." "$BOBBIN" spool get -i key -o out secret "$sid"
[ ! -e out ] && pass "no half file is left" || fail "no half file is left"
"$BOBBIN" spool verify secret >verify.out 2>&1
[ $? = 65 ] && grep -q "^$sid" verify.out &&
	pass "verify finds a cut body without the key" ||
	fail "verify finds a cut body without the key"
check_json "and calls it damaged" "
	'$BOBBIN' spool verify --json secret | grep $sid |
		grep -q '\"problem_kind\": *\"damaged\"'"
cp saved "$body"
check "and is content again" "$BOBBIN" spool verify -i key secret
"$BOBBIN" spool verify -i other secret >verify.out 2>&1
check "a key that does not fit is no damage" sh -c "
	test $? = 77 && grep -q ' 0 damaged, [1-9][0-9]* that could not be read$' \
		verify.out"
# The checksum of the stack comes behind the final dot of the mail.
gid=$(head -1 gzip.ids)
body=$(find gzip/messages -name "$gid.b")
cp "$body" saved
printf 'xxxx' | dd of="$body" bs=1 conv=notrunc 2>dd.out \
	seek=$(($(wc -c <saved) - 8))
fails 65 "damaged" "$BOBBIN" spool get -o out gzip "$gid"
[ ! -e out ] && pass "a wrong checksum: no file" || fail "a wrong checksum: no file"
cp saved "$body"
sed 's/version = 1/version = 9/' plain/spool.conf >conf
cp plain/spool.conf conf.saved
cp conf plain/spool.conf
fails 78 "newer version" "$BOBBIN" spool list plain
{ grep -v '^body' conf.saved; echo 'body = base64:77'; } >plain/spool.conf
fails 78 "a multiple of 4" "$BOBBIN" spool put plain lone
cp conf.saved plain/spool.conf
# What is configured for writing matters to who writes.
mv secret/recipients recipients
fails 78 "secret/recipients.*missing" "$BOBBIN" spool put secret lone
check "without its recipients a spool can be read" \
	"$BOBBIN" spool get -i key secret "$sid"
mv recipients secret/recipients
chmod 755 .
if [ "$(id -u)" != 0 ]; then
	chmod 400 plain/lock
	fails 75 "ermission denied" "$BOBBIN" spool put plain lone
	chmod 600 plain/lock
elif setpriv --reuid=65534 --regid=65534 --clear-groups "$BOBBIN" --version \
	>/dev/null 2>&1; then
	fails 75 "ermission denied" setpriv --reuid=65534 --regid=65534 \
		--clear-groups "$BOBBIN" spool put plain lone
else
	not_run "permissions: nobody else can run the program from here"
fi

# a second process on the same spool
mkfifo hold
"$BOBBIN" spool put plain - <hold >held.id &
owner=$!
exec 8>hold
printf 'Subject: held\n' >&8
n=0
until grep -q "^pid $owner$" plain/lock 2>/dev/null || [ $n = 100000 ]; do
	n=$((n + 1))
done
fails 75 "in use by another process pid $owner" "$BOBBIN" spool put plain lone
check "reading goes on meanwhile" "$BOBBIN" spool list plain
fails 75 "in use by another" "$BOBBIN" spool rm plain --wait 0 "$(printf %026d 0)"
began=$(date +%s%N)
fails 75 "in use by another" "$BOBBIN" spool rm plain --wait 1 "$(printf %026d 0)"
check "and is tried for as long as was said" \
	test $(($(date +%s%N) - began)) -ge 1000000000
fails 64 "a number of seconds" "$BOBBIN" spool put plain --wait soon mail.eml
"$BOBBIN" spool rm plain --wait 3600 "$(printf %026d 0)" 8>&- &
waiting=$!
exec 8>&-
wait $owner
check "who waits for it has it then" wait $waiting
check "the first one was not disturbed" test -s held.id

# A signal is no kill: nothing stays behind.
for signal in INT TERM HUP; do
	mkfifo slow
	env --default-signal "$BOBBIN" spool put plain - <slow >slow.id 2>slow.err &
	writer=$!
	exec 8>slow
	seq 1 200000 >&8 # more than a pipe holds: it reads
	find plain/messages/tmp -type f >before
	kill -$signal $writer
	ended $writer
	check "SIG$signal ends put, and the shell is told" sh -c \
		"test $? -gt 128 && grep -q 'put: interrupted' slow.err"
	exec 8>&-
	find plain/messages/tmp -type f >after
	check "it was writing" test -s before
	check_empty "and leaves nothing of the message" after
	check_empty "whose id nobody got" slow.id
	rm slow
done 2>/dev/null
check "and the spool is whole" "$BOBBIN" spool verify plain

# Who does not get the ids does not want more stored.
before=$("$BOBBIN" spool list plain | wc -l)
"$BOBBIN" spool put plain "$mail"/*.eml >/dev/full 2>full.err
check "put stops where stdout does, and names what is stored" sh -c \
	"test $? = 74 && grep -q 'is stored, but .*: No space left' full.err"
check "after one message" test \
	"$("$BOBBIN" spool list plain | wc -l)" = $((before + 1))

#
# kill -9, against a ledger
#
# kill_writers SPOOL: each of 12 after another number of ids.
kill_writers()
{
	i=0
	while [ $i -lt 12 ]; do
		rm -f acks
		mkfifo acks
		(exec "$BOBBIN" spool put $1 "$mail"/*.eml "$mail"/*.eml >acks 2>/dev/null) &
		writer=$!
		seen=0
		stop=$((i * 7 + 1))
		while read -r id; do
			echo "$id" >>$1.ledger
			seen=$((seen + 1))
			[ $seen = $stop ] && kill -9 $writer
		done <acks
		wait $writer 2>/dev/null
		i=$((i + 1))
	done
}
for store in file journal; do
	spool=killed.$store
	"$BOBBIN" spool init $spool --store $store --body "$zstd:1" || exit 99
	if [ $store = journal ]; then
		# small segments, and bodies in files
		printf '%s\n' 'segment-size = 262144' 'inline-limit = 4096' \
			>>$spool/spool.conf
	fi
	kill_writers $spool
	"$BOBBIN" spool list $spool | awk 'NR > 1 { print $1 }' | sort >listed
	sort $spool.ledger >ledger.sorted
	comm -23 ledger.sorted listed >lost
	check_empty "$store: 12 writers killed, $(wc -l <ledger.sorted) acknowledged: none lost" lost
	check "$store: and nothing is there in part" "$BOBBIN" spool verify $spool
	# the next writer sweeps what they left
	"$BOBBIN" spool put $spool "$mail/low-quality-bad-header-start.eml" >/dev/null
	"$BOBBIN" spool stats $spool >stats.out
	check "$store: no file is left that is no message's" sh -c "
		grep -q '^stray bodies  0$' stats.out &&
		grep -q '^stray files   0$' stats.out"
done

#
# What killed writers leave
#
# plant SPOOL NAME: a body that no headers speak of.
plant()
{
	planted_from=$(find "$1/messages" -name '*.b' | head -1)
	planted=$(dirname "$planted_from")/$2$(basename "$planted_from" | tail -c 5)
	cp "$planted_from" "$planted"
}
first24=01h2xcejqtf2nbrexx3vqjhp
# killed SPOOL: a writer that began, and did not end.
killed()
{
	rm -f slow
	mkfifo slow
	"$BOBBIN" spool put "$1" - <slow >slow.id 2>&1 &
	writer=$!
	exec 8>slow
	catches $writer
	seq 1 200000 >&8
	kill -9 $writer
	wait $writer
	exec 8>&-
} 2>/dev/null
"$BOBBIN" spool init orphans --body gzip || exit 99
lid=$("$BOBBIN" spool put orphans "$mail/low-quality-bad-header-start.eml")
killed orphans
plant orphans $first24
touch orphans/lock # whatever the clock's steps are
"$BOBBIN" spool verify orphans >verify.out
check "verify tells what a killed writer left, which is no damage" sh -c "
	test $? = 0 && grep -q '^1 messages, 0 damaged$' verify.out &&
	grep -q '^1 bodies without headers and 1 temporary files, ' verify.out"
"$BOBBIN" spool stats orphans >stats.out
check "and so does stats" sh -c "
	grep -q '^stray bodies  1$' stats.out &&
	grep -q '^stray files   1$' stats.out"
"$BOBBIN" spool rm orphans $first24$first24 2>/dev/null # no id: nothing happens
[ -f "$planted" ] || fail "a wrong id changes nothing"
"$BOBBIN" spool put orphans "$mail/low-quality-bad-header-start.eml" >/dev/null
check "the next writer takes it away" test ! -e "$planted"
"$BOBBIN" spool verify orphans >verify.out
check "and then there is nothing to tell" sh -c \
	"test \$(wc -l <verify.out) = 1"
moved=$(find orphans/messages -name '*.h' | head -1)
mkdir -p orphans/messages/zz
mv "$moved" orphans/messages/zz/
"$BOBBIN" spool verify orphans >verify.out
check "what somebody moved to where nobody looks for it is told of" sh -c "
	test $? = 65 && grep -q '^1 files are where nobody looks for them: ' verify.out"
"$BOBBIN" spool repair orphans >repair.out 2>&1
check "and its body stays, which repair says" \
	grep -q 'no body is removed meanwhile' repair.out
check "by stats, too" sh -c "'$BOBBIN' spool stats orphans | grep -q '^misplaced     1$'"
mv orphans/messages/zz/* "$moved"
rmdir orphans/messages/zz
check "moved back, all is well" "$BOBBIN" spool verify orphans
plant orphans $first24
"$BOBBIN" spool repair orphans >repair.out
check "repair takes it away at any time" sh -c "
	test ! -e '$planted' && grep -q '^messages    2$' repair.out &&
	grep -q '^taken away  1 bodies, 0 temporary files$' repair.out"
rm "$(find orphans -name "$lid.b")"
fails 65 "damaged" "$BOBBIN" spool get orphans "$lid"
"$BOBBIN" spool verify orphans >verify.out
check "headers without their body are damaged" sh -c "
	test $? = 65 && grep -q '^2 messages, 1 damaged$' verify.out &&
	grep -q '^$lid  ' verify.out"
"$BOBBIN" spool repair orphans >repair.out 2>repair.err
check "and repair puts them aside" sh -c "
	test -f orphans/quarantine/$lid.h && grep -q '^put aside   1$' repair.out &&
	grep -q 'warning: message $lid is put aside' repair.err"
"$BOBBIN" spool verify orphans >verify.out
check "which verify goes on telling" sh -c "
	test $? = 0 && grep -q '^1 messages were put aside earlier' verify.out"

# A body that no put would store: a program did, or somebody else's module.
cat >malform.py <<'END'
import hashlib, re, sys
sys.argv, reader, path = [""], sys.argv[1], sys.argv[2]
source = open(reader).read()
exec(source[:source.index("def text_of")])
body = open(path + ".b", "rb").read()[:-3] + b"end"
open(path + ".b", "wb").write(body)
line, record = open(path + ".h", "rb").read().split(b"\n", 1)
words = line.split(b" ")
words[4] = hashlib.blake2b(body, digest_size=32).hexdigest().encode()
line = b" ".join(words[:-1]) + b" "
open(path + ".h", "wb").write(line + b"%08x\n" % crc32c(line) + record)
END
if command -v python3 >/dev/null; then
	"$BOBBIN" spool init malformed || exit 99
	mid=$("$BOBBIN" spool put malformed "$mail/low-quality-bad-header-start.eml")
	h=$(find malformed/messages -name "$mid.h")
	python3 malform.py "$top_srcdir/tests/read-journal.py" "${h%.h}"
	"$BOBBIN" spool verify malformed >verify.out
	check "verify names a body that is no wire form" sh -c "
		test $? = 65 && grep -q '^$mid  the body is not SMTP wire form' \
			verify.out &&
		grep -q '^1 messages, 0 damaged, 1 whose bodies are no SMTP wire form$' \
			verify.out"
	check_json "and counts it" "
		'$BOBBIN' spool verify --json malformed | tail -n 1 |
			grep -q '\"damaged\": *0, *\"malformed\": *1,'"
	check_json "and says so of the message" "
		'$BOBBIN' spool verify --json malformed | head -n 1 |
			grep -q '\"problem_kind\": *\"malformed\"'"
	check "get --wire writes all of it" sh -c "
		'$BOBBIN' spool get --wire malformed $mid |
			grep -q '^end$'"
	fails 65 "ends too early" "$BOBBIN" spool get malformed "$mid"
else
	not_run "bodies that are no wire form: python3 is not installed"
fi

# Damaged behind the first line: in a spool whose headers need a key, and without one.
for name in orphans secret; do
	did=$("$BOBBIN" spool put $name "$mail/low-quality-bad-header-start.eml")
	h=$(find $name/messages -name "$did.h")
	head -c -3 "$h" >cut && printf xyz | cat cut - >"$h"
	for with in "" "-i key"; do
		"$BOBBIN" spool verify $with $name >verify.out
		check "verify${with:+ }$with names the file of damaged headers ($name)" \
			sh -c "test $? = 65 && grep -q '^$did  $h: ' verify.out"
	done
	"$BOBBIN" spool repair $name >repair.out 2>/dev/null
	check "repair puts them aside, without the key, too" \
		grep -q '^put aside   1$' repair.out
	check "and then verify is content" "$BOBBIN" spool verify -i key $name
done

#
# A full disk
#
mkdir small
if mount -t tmpfs -o size=600k tmpfs small 2>/dev/null; then
	"$BOBBIN" spool init small/spool || fail "init on a small disk"
	head -c 200000 /dev/urandom | base64 >big
	stored=0
	while
		"$BOBBIN" spool put small/spool big >>full.ids 2>full.err
		code=$?
		[ $code = 0 ]
	do
		stored=$((stored + 1))
		[ $stored -lt 20 ] || break
	done
	check "a mail system is told to try again" test $code = 75
	"$BOBBIN" spool init source && "$BOBBIN" spool put source big >/dev/null
	fails 75 "No space left" "$BOBBIN" spool migrate source small/spool
	fails 74 "No space left" "$BOBBIN" spool get small/spool \
		"$(head -1 full.ids)" -o small/out
	grep -q "No space left on device" full.err &&
		pass "a full disk is told, after $stored messages" ||
		fail "a full disk is told, after $stored messages"
	check "what was acknowledged is whole" "$BOBBIN" spool verify small/spool
	check "removing works on a full disk" "$BOBBIN" spool rm small/spool \
		"$(head -1 full.ids)"
	check "and then there is room again" "$BOBBIN" spool put small/spool big
	umount small
	mount -t tmpfs -o size=24m tmpfs small
	"$BOBBIN" spool init --store=journal small/spool
	head -c 75000 /dev/urandom | base64 >big
	: >full.ids
	while "$BOBBIN" spool put small/spool big >>full.ids 2>full.err; do :; done
	check "what to do on a full disk is told, and of which file" \
		grep -q 'put: big: .*No space left.*bobbin spool compact small/spool' full.err
	sed -n 'p;n' full.ids >gone.ids
	while read -r id; do "$BOBBIN" spool rm small/spool "$id"; done <gone.ids
	stored=0
	# what is half empty, and on a disk that is full again what is not
	for _ in 1 2; do
		"$BOBBIN" spool compact small/spool >/dev/null
		while "$BOBBIN" spool put small/spool big >/dev/null 2>&1; do
			stored=$((stored + 1))
		done
	done
	gone=$(wc -l <gone.ids)
	check "of $gone that were removed most are room again, $stored" \
		test $stored -gt $((gone * 2 / 3))
	check "and nothing else is gone" "$BOBBIN" spool verify small/spool
	umount small
else
	not_run "full disk: mounting a tmpfs is not allowed here"
fi

#
# What show tells, and text that would be something else
#
forged=$(printf 'a\033[31m\nrecipient  <forged@x>\302\233\\')
odd=$("$BOBBIN" spool put --normalise secret -s "$forged" -r "$(printf 'b\377')" lone)
echo "$odd" >>secret.ids
"$BOBBIN" spool show -i key secret "$odd" >show.out
cat >show.expect <<'END'
sender     <a\x1b[31m\nrecipient  <forged@x>\xc2\x9b\\>
recipient  <b\xff> pending
END
grep -e '^sender' -e '^recipient' show.out >show.got
check "control characters and bytes that are no UTF-8 are escaped" \
	cmp show.got show.expect
check "show tells how a message is stored" sh -c '
	grep -q "^body       $1|age$" show.out &&
	grep -q "^headers    $1|age$" show.out &&
	grep -q "^stored     [1-9][0-9]* bytes$" show.out &&
	grep -q "^arrival    20[0-9-]* [0-9:]* UTC$" show.out' sh "$zstd"
fails 66 'open(a\\nb' "$BOBBIN" cat "$(printf 'a\nb')"
if "$BOBBIN" spool show --json -i key secret "$odd" >json 2>json.err; then
	printf '%s' "$forged" >forged
	check "the JSON has every byte of them, and is ASCII" python3 -c '
import base64, json, sys
line = json.loads(open("json", "rb").read().decode("ascii"))
assert line["sender"].encode() == open("forged", "rb").read()
assert "sender_base64" not in line
to = line["recipients"][0]
assert base64.b64decode(to["address_base64"]) == b"b\xff"
assert to["address"] == "b\ufffd" and to["state"] == "pending"
assert line["body_stack"] == line["headers_stack"] == sys.argv[1] + "|age"
assert line["stored_size"] > 0 and line["held"] is False
assert line["values"] == []' "$zstd"
else
	not_run "show --json: $(cat json.err)"
fi
# Ids of the year 2100: the clock was wrong once.
"$BOBBIN" spool init ahead && echo 03qcpc7p050000000000000000 >ahead/last-id
ahead=$("$BOBBIN" spool put ahead "$mail/low-quality-bad-header-start.eml")
"$BOBBIN" spool show ahead "$ahead" >ahead.out
check "a message arrives when the clock says, whatever the ids do" sh -c "
	grep -q '^id         03qcpc7p' ahead.out && grep -q '^arrival    20[0-9]' ahead.out"
"$BOBBIN" spool init two --body gzip --headers hex
"$BOBBIN" spool put two lone --normalise >/dev/null
check "list tells of two stacks" sh -c \
	'"$0" spool list two | grep -q " gzip, headers hex$"' "$BOBBIN"

#
# Removing, counting, JSON
#
gone()
{
	"$BOBBIN" spool rm gzip $(cat gzip.ids) || return 1
	"$BOBBIN" spool rm gzip "$(head -1 gzip.ids)" || return 1
	[ "$("$BOBBIN" spool stats gzip | awk '$1 == "messages" { print $2 }')" = 0 ] &&
		[ -z "$(find gzip/messages -name '*.b' -o -name '*.h')" ]
}
check "all messages are removed, twice is no failure" gone
if "$BOBBIN" spool stats --json plain >json 2>json.err; then
	check "--json is JSON" python3 -c '
import json, sys
for line in sys.stdin: json.loads(line)' <json
	"$BOBBIN" spool list --json secret >json
	check "list --json is one object a line" sh -c '
		test "$(wc -l <json)" = "$(wc -l <secret.ids)" &&
		python3 -c "
import json, sys
for line in sys.stdin: assert len(json.loads(line)[\"queue_id\"]) == 26" <json'
	"$BOBBIN" spool show --json -i key secret "$sid" >json
	check "show --json has the envelope" grep -q '"sender":"a@example.org"' json
else
	not_run "--json: $(cat json.err)"
fi
for verb in init put get list show rm verify stats repair; do
	"$BOBBIN" spool $verb --help >help.out &&
		[ "$(wc -l <help.out)" -le 24 ] && grep -q '^Examples:' help.out ||
		fail "bobbin spool $verb --help fits a screen and has examples"
done
pass "every verb has its help"
#
# A segment that was cut to its first block: of its messages nothing is there any more
#
check "a journal" "$BOBBIN" spool init --store journal shortened
printf "x\n" >shortmail
"$BOBBIN" spool put shortened shortmail shortmail >/dev/null
truncate -s 100 shortened/journal/00000001.seg
"$BOBBIN" spool verify shortened >verify.out
check "verify tells that all of a segment is lost" sh -c "
	test $? = 65 && grep -q '^0 messages, 1 damaged$' verify.out &&
	grep -q 'segment 1, byte 4096: the file ends' verify.out"

check "a journal of bodies for one key" "$BOBBIN" spool init --store journal \
	--body age:recipients=public sealed
lid=$("$BOBBIN" spool put sealed shortmail)
fails 77 "headers of $lid" "$BOBBIN" spool get -i other sealed "$lid"

finish
