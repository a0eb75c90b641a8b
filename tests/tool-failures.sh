#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# What the command says, ends with and leaves behind where something fails: limits,
# permissions, damage, and an stdout that cannot be written.
. "${top_srcdir:-.}/tests/script-common.sh"
mail=$top_srcdir/tests/data/mail
cd "$work" || exit 99

printf 'Subject: small\n\nsmall\n' >small

#
# A file that may not grow: ulimit -f raises a signal
#
# limited BLOCKS ARGUMENT...: the command with files of at most so many blocks.
limited()
{
	(
		ulimit -f "$1"
		shift
		exec "$BOBBIN" "$@"
	)
}
seq 1 20000 >large
mkdir out
fails 74 "File too large" limited 1 cat large -o out/large
find out -type f >left
check_empty "and no part of it is left" left
"$BOBBIN" spool init limited || exit 99
fails 75 "File too large" limited 1 spool put limited large
find limited/messages -type f >left
check_empty "and no part of a message" left
"$BOBBIN" spool init limited-journal --store journal || exit 99
ls limited-journal/journal >before
fails 75 "File too large" limited 1000 spool put limited-journal small
ls limited-journal/journal | comm -13 before - >left
check_empty "and no part of a segment" left

#
# Damage says more than a missing key, and a missing key less than all else, whichever is
# told first
#
"$BOBBIN" keygen -o key >public || exit 99
"$BOBBIN" keygen -o other >/dev/null
"$BOBBIN" spool init mixed --body age:recipients=public
"$BOBBIN" spool put mixed small small small small >ids
# Headers that a newer version wrote.
cat >newer.py <<'END'
import sys
source = open(sys.argv[1]).read()
exec(source[:source.index("def text_of")])
line, record = open("saved", "rb").read().split(b"\n", 1)
line = b"bobbin-h9 " + b" ".join(line.split(b" ")[1:-1]) + b" "
sys.stdout.buffer.write(line + b"%08x\n" % crc32c(line) + record)
END
# changed ID CODE COMMAND...: tells where verify and migrate do not end so, while the
# command's output stands for the headers of this one, and nobody has the others' keys.
changed()
{
	h=$(find mixed/messages -name "$1.h")
	wanted=$2
	shift 2
	cp "$h" saved
	"$@" >"$h"
	"$BOBBIN" spool verify -i other mixed >said
	[ $? = $wanted ] || { echo "verify, not $wanted:" && cat said; }
	"$BOBBIN" spool migrate mixed to >said
	[ $? = $wanted ] || { echo "migrate, not $wanted:" && cat said; }
	[ "$(grep -c secret said)" = 3 ] || cat said
	cp saved "$h"
}
"$BOBBIN" spool init to
for id in $(cat ids); do
	changed "$id" 65 echo damaged
	! command -v python3 >/dev/null ||
		changed "$id" 69 python3 newer.py "$top_srcdir/tests/read-journal.py"
done >changed.out
check_empty "the worst of several messages decides, whichever is told first" changed.out
"$BOBBIN" spool verify -i other mixed >said
check "verify tells that only keys are missing" test $? = 77
"$BOBBIN" spool migrate mixed to >said
check "and so does migrate" test $? = 77

#
# An stdout that cannot be written
#
"$BOBBIN" spool init from && "$BOBBIN" spool put from small small >/dev/null
"$BOBBIN" spool migrate from to --keep -v >/dev/full 2>said
check "migrate tells why stdout could not be written" sh -c \
	"test $? = 74 && grep -q 'stdout failed: No space left' said"
echo damaged >"$(find from/messages -name '*.h' | head -1)"
for verb in verify 'verify --json' repair; do
	"$BOBBIN" spool $verb from >/dev/full 2>said
	echo "$verb: $?: $(grep -c 'stdout failed: No space left' said)"
done >full.out
check "what was damaged is still said where stdout cannot be written, and that it cannot" \
	sh -c "printf '%s\n' 'verify: 65: 1' 'verify --json: 65: 1' 'repair: 74: 1' |
		cmp - full.out"
"$BOBBIN" spool put from small >/dev/null
mkfifo pipe
exec 8<>pipe 9>pipe 8>&-
"$BOBBIN" spool migrate from to --keep -v >&9 2>said
check "a reader that went away" test $? = 74
exec 9>&-
check_empty "needs no words" said
"$BOBBIN" keygen -o full.key >/dev/full 2>said
check "keygen tells that there is a key whose public one was not printed" sh -c "
	test $? = 74 && grep -q 'stdout failed: No space left' said &&
	grep -q 'the key is in full.key; .bobbin keygen -y full.key. prints' said"
check "and it is one" "$BOBBIN" keygen -y full.key

# What is written would be read again until the disk is full.
into_itself()
{
	(
		ulimit -f 2048
		timeout 20 "$BOBBIN" cat "$@" 2>said
	)
	[ $? = 64 ] && grep -qE ' is (stdout|/dev/[a-z/0-9]+), too' said || {
		echo "cat $*:"
		head -1 said
	}
}
cp small grows
{
	into_itself grows >>grows
	into_itself --to gzip ./grows >>grows
	into_itself --from 'hex | file:grows' >>grows
	into_itself <grows >>grows
	into_itself --output /dev/stdout grows >>grows
	into_itself --to 'lf | file:/dev/stdout' grows >>grows
	into_itself --output /dev/fd/3 grows 3>>grows
	(
		printf 'S' >&3
		into_itself grows >&3
	) 3<>grows
	cmp grows small
} >into.out
check_empty "a file is not appended to itself" into.out
(
	read -r line
	printf '%s\n' "$line" >&3
	"$BOBBIN" cat >&3
) <grows 3<>grows
check "what is read goes before what is written: it may be one file" cmp grows small
check "and an empty one may be" sh -c "'$BOBBIN' cat empty >>empty"

#
# Which of several files put could not store
#
"$BOBBIN" spool init short --body limit:1000
fails 65 "large: the output is larger than its limit of 1000 bytes" \
	"$BOBBIN" spool put short small large small
check "put stores the others" test "$(wc -l <fails.out)" = 2
"$BOBBIN" spool put short - <large 2>said
check "and says which it is of stdin, too" grep -q "put: stdin: the output is" said
fails 64 "stdin is one message" "$BOBBIN" spool put short - small -
fails 66 "put: reading the body failed: open(nothing) failed: No such file" \
	"$BOBBIN" spool put short nothing

#
# A spool that is not there: 66 would give the mail back
#
mkdir unmounted
fails 75 "open(unmounted/spool.conf) failed" "$BOBBIN" spool put unmounted small
fails 75 "open(nowhere) failed: No such file" "$BOBBIN" spool put nowhere small
fails 66 "open(small/x) failed: Not a directory" "$BOBBIN" spool put short small/x
cp -R short moved
rm -rf moved/messages/[0-9a-z][0-9a-z]
mkdir elsewhere
ln -s ../../elsewhere moved/messages/real
for a in 0 1 2 3 4 5 6 7 8 9 a b c d e f g h j k m n p q r s t v w x y z; do
	for b in 0 1 2 3 4 5 6 7 8 9 a b c d e f g h j k m n p q r s t v w x y z; do
		echo "moved/messages/$a$b"
	done
done | xargs -n 1 cp -P moved/messages/real
fails 75 "Not a directory" "$BOBBIN" spool put moved small

#
# Options behind a file
#
"$BOBBIN" spool init options
id=$(POSIXLY_CORRECT=1 "$BOBBIN" spool put options small --recipient b@x.org)
check "POSIXLY_CORRECT does not lose recipients" sh -c \
	"'$BOBBIN' spool show options $id | grep -q '^recipient  <b@x.org>'"

#
# Keys through a pipe, which can be read once
#
cat public | "$BOBBIN" spool init piped --body age:recipients=/dev/stdin
check "init reads public keys once, for bodies and headers" \
	sh -c "tail -n 1 piped/recipients | cmp - public"
fails 78 "keys: line 1: not an age recipient" sh -c "echo age1 >keys &&
	'$BOBBIN' spool init bad --headers age:recipients=keys"
fails 66 "open(no/keys) failed" "$BOBBIN" spool init bad --body age:recipients=no/keys

#
# Somebody whom permissions bind
#
# as_nobody COMMAND...
if [ "$(id -u)" != 0 ]; then
	as_nobody()
	{
		"$@"
	}
else
	chmod 777 .
	as_nobody()
	{
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	}
fi
if as_nobody "$BOBBIN" spool init permitted 2>init.err; then
	as_nobody "$BOBBIN" spool put permitted small small small >ids
	chmod 500 permitted/messages/??
	fails 75 "$(sed -n 1p ids) failed: Permission denied" \
		as_nobody "$BOBBIN" spool rm permitted $(cat ids)
	check "rm names each that it cannot remove" test \
		"$(grep -c -f ids fails.err)" = 3
	chmod 700 permitted/messages/??
	chmod 0 small
	fails 66 "open(small) failed: Permission denied" \
		as_nobody "$BOBBIN" spool put permitted small
	chmod 644 small
	as_nobody mkdir closed
	as_nobody chmod 500 closed
	fails 73 "Permission denied" as_nobody "$BOBBIN" spool init closed/spool
	as_nobody "$BOBBIN" spool init other-one
	as_nobody "$BOBBIN" spool put other-one small >/dev/null
	id=$(sed -n 1p ids)
	bucket=$(dirname "$(find permitted/messages -name "$id.h")")
	# forbidden MODE PATH "VERB [ARGUMENT...]"...: each ends with 75.
	forbidden()
	{
		as_nobody chmod "$1" "$2"
		path=$2
		shift 2
		for verb; do
			as_nobody "$BOBBIN" spool $verb >said 2>&1
			code=$?
			[ $code = 75 ] && grep -q 'Permission denied' said ||
				echo "$path: $verb: $code: $(cat said)"
		done
		as_nobody chmod 700 "$path"
	}
	{
		forbidden 0 permitted/messages "put permitted small" \
			"get permitted $id" "show permitted $id" \
			"list permitted" "verify permitted" "stats permitted" \
			"rm permitted $id" "repair permitted" "compact permitted" \
			"migrate permitted other-one" "migrate other-one permitted" \
			"migrate --keep permitted other-one"
		forbidden 500 permitted/messages/tmp "put permitted small" \
			"migrate other-one permitted"
		forbidden 0 "$bucket" "get permitted $id" "show permitted $id" \
			"list permitted" "verify permitted" "stats permitted" \
			"rm permitted $id" "repair permitted" \
			"migrate permitted other-one"
		forbidden 0 "$bucket/$id.h" "get permitted $id" "verify permitted" \
			"migrate --keep permitted other-one"
	} >forbidden.out
	check_empty "what a spool does not permit is to be tried again" forbidden.out
else
	not_run "permissions: nobody else can run the program from here"
fi

finish
