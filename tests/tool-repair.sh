#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# What repair, and a start, say where they may not do what they should.
. "${top_srcdir:-.}/tests/script-common.sh"
mail=$top_srcdir/tests/data/mail/low-quality-bad-header-start.eml
cd "$work" || exit 99

# Nothing is refused to root.
as=
if [ "$(id -u)" = 0 ]; then
	as='setpriv --reuid=65534 --regid=65534 --clear-groups'
	chmod 755 .
	$as "$BOBBIN" --version >/dev/null 2>&1 || {
		not_run "nobody else can run the program from here"
		finish
	}
	mkdir mine && chown 65534:65534 mine && cd mine || exit 99
fi
bobbin()
{
	$as "$BOBBIN" "$@"
}

# fill DIR [OPTION]...: a spool with two messages, the first one's id is $id.
fill()
{
	dir=$1
	shift
	bobbin spool init "$dir" "$@" &&
		bobbin spool put "$dir" "$mail" "$mail" >ids &&
		id=$(sed -n 1p ids)
}
# ends CODE WHAT COMMAND...: its exit status, stdout in `out`, stderr in `err`.
ends()
{
	code=$1 what=$2
	shift 2
	"$@" >out 2>err
	got=$?
	[ $got = "$code" ] && pass "$what ends with $code" || {
		fail "$what ends with $code, not $got"
		cat out err
	}
}

#
# The file store
#
for closed in quarantine bucket; do
	fill f.$closed || exit 99
	h=$(find f.$closed/messages -name "$id.h")
	printf 'x' | dd of="$h" bs=1 seek=20 conv=notrunc 2>/dev/null
	dir=f.$closed/quarantine
	[ $closed = quarantine ] || dir=$(dirname "$h")
	chmod 500 "$dir"
	ends 75 "a repair that may not change the $closed" \
		bobbin spool repair f.$closed
	check "it says so" grep -q \
		"message $id is damaged, and could not be put aside .*Permission" err
	check "and nothing else" sh -c "! grep 'is put aside' err"
	check "nor counts it" sh -c "
		grep -q '^put aside   0$' out && grep -q '^not aside   1$' out"
	check "the message is where it was" test -f "$h"
	ends 65 "verify" bobbin spool verify f.$closed
	check "which counts what is damaged alone" sh -c "
		grep -q '^2 messages, 1 damaged$' out &&
		! grep 'put aside earlier' out"
	chmod 700 "$dir"
	ends 0 "the next repair" bobbin spool repair f.$closed
	check "which puts it aside" grep -q '^put aside   1$' out
	ends 0 "verify then" bobbin spool verify f.$closed
	# once more of the same id
	$as cp f.$closed/quarantine/"$id".h "$h"
	$as cp f.$closed/quarantine/"$id".b "${h%h}b"
	ends 0 "and a repair of the same message again" \
		bobbin spool repair f.$closed
	check "puts that aside, too" sh -c "
		grep -q '^put aside   1$' out && test ! -e '$h' &&
		test -f f.$closed/quarantine/$id.h.1"
done

fill unread || exit 99
h=$(find unread/messages -name "$id.h")
chmod 000 "$h"
ends 75 "a repair that may not read a message" bobbin spool repair unread
check "counts it" sh -c "
	grep -q '^messages    1$' out && grep -q '^left out    1$' out"
chmod 600 "$h"
ends 0 "the next repair" bobbin spool repair unread
check "counts all" grep -q '^messages    2$' out
check "and nothing is left out" sh -c '! grep "left out" out'

bobbin keygen -o key >public
bobbin keygen -o other >/dev/null
fill secret --body age:recipients=public || exit 99
ends 0 "a repair with another key" bobbin spool repair -i other secret
check "takes for whole what it takes for whole without one" sh -c "
	grep -q '^messages    2$' out && test ! -s err"
cat other | "$BOBBIN" spool repair -i /dev/stdin secret >out 2>err
check "a key that comes through a pipe is read once" \
	sh -c "grep -q '^messages    2$' out && test ! -s err"

#
# A journal
#
fill j --store journal || exit 99
# the second block, in which the first body is
printf 'xxxx' | dd of=j/journal/00000001.seg bs=1 seek=4200 conv=notrunc 2>/dev/null
chmod 500 j/quarantine
ends 75 "a repair of a journal that may not change the quarantine" \
	bobbin spool repair j
check "says so" grep -q "no copy could be put into quarantine (Permission" err
check "and not that there is one" sh -c '! grep "a copy is kept" err'
check "for body and headers" grep -q '^not aside   2$' out
bobbin spool put j "$mail" >out 2>err
check "so does put" sh -c "
	grep -q 'no copy could be put into quarantine' err &&
	! grep 'a copy is kept' err"
chmod 700 j/quarantine
ends 0 "the next repair" bobbin spool repair j
check "copies them" sh -c "
	grep -q '^put aside   1$' out && grep -q 'a copy is kept in quarantine' err &&
	ls j/quarantine/$id.journal-00000001-*-4096.bytes"
finish
