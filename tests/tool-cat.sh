#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# bobbin cat and bobbin keygen against the public tools, in both directions, and
# what they say and do where something is wrong. With BOBBIN_LARGE set (make
# check-large) also 100 MiB, and 10 GiB in bounded memory.

. "$(dirname "$0")/script-common.sh"

cd "$work" || exit 99
mkdir empty

#
# Keys
#
check "keygen writes a key" sh -c "'$BOBBIN' keygen -o key >public"
check "the key is its owner's only" \
	test "$(stat -c %a key 2>/dev/null)" = 600
check "keygen prints a public key" grep -q '^age1[a-z0-9]\{58\}$' public
check "keygen -y prints it again" \
	sh -c "'$BOBBIN' keygen -y key | cmp - public"
"$BOBBIN" keygen -o other >other.public
if command -v age-keygen >/dev/null; then
	check "age-keygen reads the key" \
		sh -c "age-keygen -y key | cmp - public"
else
	not_run "keys with age-keygen: it is not installed"
fi

#
# The public tools, both directions
#
# Text, and data that does not compress (and does not begin like a gzip file).
seq 1 200000 >text.all
seq 1 800000 | gzip -nc | tail -c +20 >dense.all
large=
if [ -n "${BOBBIN_LARGE:-}" ]; then
	large=104857600
	seq 1 13000000 >text.all
	seq 1 60000000 | gzip -1nc | tail -c +20 >dense.all
fi

# With sanitizers processes start slowly: fewer of them.
sizes="0 1 65535 65536 65537 1048577"
! sanitized || sizes="0 65536 65537"

# both NAME SPEC ENCODE DECODE: pipes of shell, the public tool's.
guessed=yes # whether it is found by itself
both()
{
	for size in $sizes $large; do
		for data in text dense; do
			# small ones do not differ
			[ $data = text ] || [ $size -ge 65537 ] || continue
			if [ "$(stat -c %s $data.all)" -lt $size ]; then
				fail "$data.all is too short"
				continue
			fi
			head -c $size $data.all >plain
			"$BOBBIN" cat --to "$2" -o ours plain &&
				sh -c "$4" <ours | cmp - plain &&
				sh -c "$3" <plain >theirs &&
				"$BOBBIN" cat -i key --from "$2" theirs |
				cmp - plain &&
				{ [ $guessed = no ] || "$BOBBIN" cat -i key <theirs |
					cmp - plain; } && continue
			echo "$1: $data of $size bytes"
		done
	done >both.out 2>&1
	check_empty "$1 in both directions, and found by itself" both.out
}

tool()
{
	if command -v "$1" >/dev/null; then
		both "$@"
	else
		not_run "files of the public $1: it is not installed"
	fi
}

tool gzip gzip:6 "gzip -c" "gzip -dc"
tool lz4 lz4 "lz4 -c" "lz4 -dc"
zstd=
if "$BOBBIN" --version | grep -q '^streams:.* zstd'; then
	zstd="zstd:1 | null"
	tool zstd zstd:3 "zstd -c" "zstd -dc"
else
	not_run "zstd: this build lacks it"
	"$BOBBIN" cat --to zstd /dev/null >/dev/null 2>&1
	check "and says so" test $? = 69
fi
optional_tool()
{
	if "$BOBBIN" --version | grep -q "^streams:.* $1"; then
		tool "$@"
	else
		not_run "$1: this build lacks it"
		"$BOBBIN" cat --to "$1" /dev/null >/dev/null 2>&1
		check "and says so" test $? = 69
	fi
}
optional_tool bzip2 bzip2 "bzip2 -c" "bzip2 -dc"
optional_tool xz xz:1 "xz -c" "xz -dc"
if "$BOBBIN" --version | grep -q "^streams:.* lzma"; then
	guessed=no
	tool xz lzma:1 "xz --format=lzma -c" "xz --format=lzma -dc"
	guessed=yes
fi
tool age "age:recipients=public" "age -R public" "age -d -i key"
tool age "age:recipients=public,threads=2" "age -R public" "age -d -i key"
tool age "age:recipients=public | armor" "age -a -R public" "age -d -i key"
if command -v age >/dev/null && command -v gzip >/dev/null; then
	both "gzip and age" "gzip | age:recipients=public" \
		"gzip -c | age -R public" "age -d -i key | gzip -dc"
fi
# C2SP's vector: its header, an empty line, a file for the passphrase "password".
vector=$top_srcdir/tests/data/age/scrypt
(umask 077; printf 'password\nmore\n' >pass; printf 'passwort' >wrong-pass)
sed '1,/^$/d' "$vector" >for-passphrase
"$BOBBIN" cat --passphrase-file pass for-passphrase >plain 2>pass.err
check "a passphrase decrypts" test "$(sha256sum <plain | cut -c 1-64)" = \
	"$(sed -n 's/^payload: //p' "$vector")"
check_empty "and nothing is said about its file" pass.err
chmod 644 pass
check "one that others may read gets a warning" sh -c \
	"'$BOBBIN' cat --passphrase-file pass for-passphrase 2>&1 >/dev/null |
		grep -q 'others may read pass, which holds a passphrase'"
rm -f plain ours theirs
seq 1 30000 >text

#
# What is not a file
#
check "stdin is read from where it stands" \
	sh -c "{ dd bs=1 count=10 of=/dev/null 2>/dev/null; '$BOBBIN' cat -; } \
		<text >rest && tail -c +11 text | cmp - rest"
check "-o - is stdout" sh -c "'$BOBBIN' cat -o - text | cmp - text"
check "--to may have the end, --from the beginning" \
	sh -c "'$BOBBIN' cat --to 'gzip | file:\"a b.gz\"' text &&
		'$BOBBIN' cat --from 'gzip|file:\"a b.gz\"' | cmp - text"
mkdir 'my keys, a|b'
cp key 'my keys, a|b/"key"'
cp public 'my keys, a|b/c\d'
quoted()
{
	"$BOBBIN" cat --to 'age:recipients="my keys, a|b/c\\d"' -o ours text &&
		"$BOBBIN" cat --from 'age:identity="my keys, a|b/\"key\""' ours |
		cmp - text
}
check "keys may have any name, in quotes" quoted
check "an empty spec has no layers" \
	sh -c "'$BOBBIN' cat --to '' --from '' 'a b.gz' | cmp - 'a b.gz'"
check "auto and --to: one format becomes another" \
	sh -c "'$BOBBIN' cat --from auto --to lz4 'a b.gz' |
		'$BOBBIN' cat --from lz4 | cmp - text"
check "with --to alone nothing is undone" \
	sh -c "'$BOBBIN' cat --to hex 'a b.gz' | '$BOBBIN' cat --from hex |
		cmp - 'a b.gz'"

if command -v python3 >/dev/null; then
	cat >nonblocking.py <<'END'
import os, subprocess, sys, threading
text = open("text", "rb").read()
i, feed = os.pipe()
drain, o = os.pipe()
os.set_blocking(i, False)
os.set_blocking(o, False)
p = subprocess.Popen([sys.argv[1], "cat", "--to", "gzip"], stdin=i, stdout=o)
os.close(i)
os.close(o)
def write():
    for at in range(0, len(text), 1000):
        os.write(feed, text[at:at + 1000])
    os.close(feed)
threading.Thread(target=write).start()
got = b""
while True:
    piece = os.read(drain, 10)
    if not piece:
        break
    got += piece
import gzip
sys.exit(p.wait() or gzip.decompress(got) != text)
END
	check "non-blocking pipes lose nothing" python3 nonblocking.py "$BOBBIN"
else
	not_run "non-blocking pipes: python3 is not installed"
fi

#
# -v, and silence
#
"$BOBBIN" cat -v --to "dot | gzip | age:recipients=public" -o m.age text 2>v.out
check "-v tells every layer's bytes and ratio" sh -c "
	grep -q '^make dot .* -> .* bytes  *[0-9.]* : 1$' v.out &&
	grep -q '^make gzip ' v.out && grep -q '^make age ' v.out &&
	grep -q '^read $(stat -c %s text) bytes, wrote $(stat -c %s m.age) bytes$' \
		v.out"
"$BOBBIN" cat -v -i key m.age 2>v.out >/dev/null
check "-v tells what auto found" sh -c "
	grep -q '^undo age .* $(stat -c %s m.age) -> ' v.out &&
	grep -q '^undo gzip ' v.out"
"$BOBBIN" cat -i key m.age 2>v.out >/dev/null
check_empty "without -v nothing is said" v.out

#
# Terminals
#
if command -v script >/dev/null; then
	# on_terminal COMMAND: its exit code; what it printed is in tty.out
	on_terminal()
	{
		script -qec "$1" /dev/null </dev/null >tty.out 2>&1
	}
	on_terminal "'$BOBBIN' cat --to 'dot | gzip' text"
	check "no compressed data to a terminal" sh -c \
		"test $? = 64 && grep -q -e --force tty.out"
	on_terminal "'$BOBBIN' cat --to 'gzip | base64' text"
	check "but base64 of it" test $? = 0
	on_terminal "'$BOBBIN' cat --force --to gzip text"
	check "and with --force" test $? = 0
	on_terminal "'$BOBBIN' cat --to 'gzip | file:t.gz' text"
	check "and into a file" test $? = 0
	on_terminal "printf 'no line end' | '$BOBBIN' cat"
	printf 'no line end' >tty.exp
	check "what has no line end stays on the terminal" cmp tty.exp tty.out
else
	not_run "terminals: script is not installed"
fi
"$BOBBIN" cat --progress always --to null text 2>v.out
check "--progress always needs no terminal" test -s v.out

#
# Help
#
for verb in cat keygen kinds; do
	"$BOBBIN" $verb --help >help.out
	check "$verb --help fits a screen and has two examples" sh -c "
		test \$(wc -l <help.out) -le 24 -a \
			\$(sed -n '/^Examples:/,\$p' help.out | wc -l) -ge 3 -a \
			\$(awk '{ if (length > n) n = length } END { print n }' \
				help.out) -le 80"
done
check "help VERB is VERB --help" sh -c "
	'$BOBBIN' help cat >a && '$BOBBIN' cat --help | cmp - a &&
	'$BOBBIN' help spool put >a && '$BOBBIN' spool put --help | cmp - a &&
	'$BOBBIN' help spool | grep -q 'spool stats'"
check "help and version go to stdout" sh -c "
	'$BOBBIN' --help | grep -q keygen &&
	'$BOBBIN' --version | grep -q '^libraries: .*libsodium'"

#
# What is wrong: exit code, and words that must be there
#
wrong()
{
	wrong_code=$1 wrong_text=$2
	shift 2
	"$BOBBIN" "$@" >wrong.out 2>wrong.err </dev/null
	wrong_got=$?
	if [ $wrong_got != "$wrong_code" ] ||
		! grep -q -e "$wrong_text" wrong.err; then
		echo "bobbin $*: exit code $wrong_got, not $wrong_code" \
			"with \"$wrong_text\":"
		cat wrong.err
	fi
	# a sentence, not a dump
	if grep -q -e '(null)' -e 'Panic' -e 'AGE-SECRET-KEY-1[A-Z0-9]' wrong.err; then
		cat wrong.err
	fi
}
gzip -c text >t.gz
head -c 1000 t.gz >cut.gz
: >empty.pass
seq 1 5000 | tr -d "\n" >dense.line
{ cat t.gz; echo garbage; } >behind.gz
{ head -c 5000 t.gz; printf x; tail -c +5002 t.gz; } >flipped.gz
head -c 2000 m.age >cut.age
echo "age1typo" >typo.public
printf 'hello\r\n.\r\nmore' >behind.dot
mkdir closed
chmod 555 closed
ln -s nowhere dangling
{
	wrong 64 'Usage: bobbin VERB'
	wrong 64 'no verb "cta"' cta text
	wrong 64 "unrecognized option" cat --form gzip text
	wrong 64 'more than one FILE' cat text text
	wrong 64 'column 7: "zst": no such kind, did you mean "zstd"' \
		cat --to 'dot | zst' text
	wrong 64 '^          ^~~$' cat --to 'dot | zst' text
	wrong 64 'column 19: "keys": .*in double quotes: NAME="VALUE"' \
		cat --to 'age:recipients=my keys' text
	wrong 64 '^            ^~~~~~$' cat --to 'dot:yes,"a, b"' text
	wrong 64 'column 6: ""a b": the quote is not closed: a " is missing' \
		cat --to 'file:"a b' text
	wrong 64 'level must be a number' cat --to gzip:10 text
	wrong 64 'for whom' cat --to age text
	wrong 64 'multiple of 4' cat --to base64:3 text
	wrong 64 'give one of them' cat --to 'gzip | file:x' -o y text
	wrong 64 'give one of them' cat --from 'gzip | file:t.gz' t.gz
	wrong 64 'where the new key goes' keygen
	wrong 64 'not to stdout' keygen -o -
	wrong 64 '^bobbin: there is no verb "a\\nb"' "$(printf 'a\nb')"
	wrong 64 'no kind "zst"' kinds zst
	wrong 65 'cut.gz: gzip: ' cat --to null --from auto cut.gz
	wrong 65 'data after the end' cat --to null --from gzip behind.gz
	wrong 65 'data after the end' cat --to null --from dot behind.dot
	wrong 65 'flipped.gz' cat --to null --from gzip flipped.gz
	wrong 65 'text: gzip: ' cat --to null --from gzip text
	wrong 65 'text: age: ' cat --to null -i key --from age text
	wrong 65 'cut.age' cat --to null -i key --from age cut.age
	wrong 65 'limit' cat --to null --from 'limit:1000' text
	wrong 65 'limit' cat --to 'limit:1000 | null' text
	wrong 66 'open(nothere) failed: No such file' cat nothere
	wrong 66 'Is a directory' cat closed
	wrong 66 'open(nothere) failed' cat --to age:nothere text
	wrong 66 'open(nothere) failed' cat -i nothere m.age
	wrong 73 'File exists.*never overwritten' keygen -o key
	wrong 73 'nothere/x: .* failed: No such file' cat -o nothere/x text
	wrong 73 'leads nowhere' cat -o dangling text
	wrong 74 'No space left' cat -o /dev/full text
	wrong 74 'No space left' cat --to 'gzip | file:/dev/full' text
	wrong 77 'no identity.*-i KEY' cat m.age
	wrong 77 'identit' cat -i other m.age
	wrong 77 'passphrase' cat --passphrase-file wrong-pass for-passphrase
	wrong 77 'passphrase-file FILE' cat for-passphrase
	wrong 66 'open(nothere) failed' cat --passphrase-file nothere m.age
	wrong 78 'empty.pass: .*passphrase is empty' cat --passphrase-file empty.pass m.age
	wrong 78 'less than' cat --passphrase-file dense.line m.age
	wrong 78 'typo.public: line 1: not an age recipient' \
		cat --to age:typo.public text
	wrong 78 'public: line 1: not an age identity' cat -i public m.age
} >wrong.list 2>&1
check_empty "what is wrong is told, with its exit code" wrong.list
# Somebody whom permissions bind.
chmod 755 .
if [ "$(id -u)" != 0 ]; then
	nobody=
else
	nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
fi
if $nobody "$BOBBIN" --version >/dev/null 2>&1; then
	{
		bobbin=$BOBBIN
		BOBBIN="$work/as-nobody"
		printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$nobody" "$bobbin" \
			>"$BOBBIN"
		chmod 755 "$BOBBIN"
		chmod 644 text
		wrong 73 'closed/x: .* in closed: Permission denied' cat -o closed/x text
		wrong 73 'ermission denied' keygen -o closed/key
		chmod 0 text
		wrong 66 'open(text) failed: Permission denied' cat text
		# root's key
		[ -z "$nobody" ] || wrong 66 'open(key) failed: Permission' \
			cat -i key m.age
		chmod 644 text
		BOBBIN=$bobbin
	} >wrong.list 2>&1
	check_empty "and what is not permitted" wrong.list
else
	not_run "permissions: nobody else can run the program from here"
fi

"$BOBBIN" cat --to gzip text >/dev/full 2>wrong.err
check "a full stdout is an error" sh -c \
	"test $? = 74 && grep -q 'stdout.*No space' wrong.err"

# No other file of the program comes in the place of one that is closed.
# closed CODE ARGUMENT...
closed()
{
	closed_code=$1
	shift
	timeout 20 "$BOBBIN" "$@" 2>closed.err
	closed_got=$?
	[ $closed_got = $closed_code ] &&
		grep -q 'Bad file descriptor' closed.err ||
		echo "bobbin $*: exit code $closed_got: $(cat closed.err)" \
			>>closed.list
}
: >closed.list
for args in "" "--to gzip" "--from auto" "--to gzip -o new"; do
	closed 66 cat $args <&- >/dev/null
done
for args in "cat text" "cat --to gzip text" "--version" "kinds" "cat --help"; do
	closed 74 $args >&-
done
ls -A | grep '^new$' >>closed.list
"$BOBBIN" cat --from gzip -o new text 2>&-
[ $? = 65 ] || echo "no stderr: not 65" >>closed.list
check_empty "a closed stdin or stdout is an error, and never another file" \
	closed.list

#
# Nothing half-written
#
cp text kept
for args in "--from gzip -o kept cut.gz" "--from gzip -o new cut.gz" \
	"--from age -i other -o kept m.age" "--from gzip -o kept behind.gz"; do
	"$BOBBIN" cat $args 2>/dev/null && echo "cat $args succeeded"
done >half.out
cmp text kept >>half.out 2>&1
ls -A | grep -e '^new$' -e tmp >>half.out
check_empty "a failure leaves the old file, and no new one" half.out

"$BOBBIN" cat text -o text
check "a file may be written over itself" sh -c "seq 1 30000 | cmp - text"

# The writer of the FIFO stays open: only the signal ends the read.
mkfifo fifo
mkdir out
(exec 3>fifo; echo $$ >/dev/null; "$BOBBIN" cat --to gzip -o out/x <fifo 3>&- &
	echo $! >pid
	tries=0
	while [ -z "$(ls -A out)" ] && [ $tries -lt 500 ]; do
		tries=$((tries + 1))
		sleep 0.02
	done
	ls -A out >before
	kill -TERM "$(cat pid)"
	wait "$(cat pid)"
	echo $? >code) 2>sig.err 3<>fifo
check "a signal ends a blocked read, and the shell is told" sh -c \
	"test -s before && test \"\$(cat code)\" = 143"
ls -A out >after
check_empty "and leaves no half file" after

# Nobody opens the other side.
mkfifo lonely
for args in "lonely" "-o lonely text" "-i lonely text"; do
	"$BOBBIN" cat $args >/dev/null 2>sig.err &
	catches $!
	kill -TERM $!
	ended $!
	check "a signal ends: cat $args, which waits to open a FIFO" sh -c \
		"test $? = 143 && grep -q 'cat: interrupted' sig.err"
done 2>/dev/null

# seq is long enough that the reader is gone before the end.
{ "$BOBBIN" cat --progress never text.all 2>pipe.err; echo $? >code; } |
	head -c 100 >/dev/null
check "a reader that goes away: no words, and a code" sh -c \
	"test \"\$(cat code)\" = 74 && ! test -s pipe.err"

#
# Memory
#
# resident MIB SPEC: what a stack takes for that much data, in KiB. (What wait()
# tells would be the parent's, if that was more.)
resident()
{
	cat >resident.py <<'END'
import re, subprocess, sys
size = int(sys.argv[2]) << 20
p = subprocess.Popen([sys.argv[1], "cat", "--to", sys.argv[3]],
                     stdin=subprocess.PIPE)
block = b"some text that repeats itself\r\n" * 33826
while size > 0:
    p.stdin.write(block[:size])
    size -= len(block)
p.stdin.flush()
status = open("/proc/%d/status" % p.pid).read()
p.stdin.close()
if p.wait() != 0:
    sys.exit(1)
print(re.search(r"VmHWM:\s*(\d+)", status).group(1))
END
	python3 resident.py "$BOBBIN" "$1" "$2"
}
if ! command -v python3 >/dev/null || sanitized; then
	not_run "memory: it needs python3 and a build without sanitizers"
else
	mib=64
	[ -z "$large" ] || mib=10240
	for spec in "gzip:1 | null" "lz4 | null" \
		"dot | age:recipients=public | null" ${zstd:+"$zstd"}; do
		kib=$(resident $mib "$spec")
		echo "  $mib MiB through $spec: ${kib:-?} KiB resident"
		check "$mib MiB through $spec in 16 MiB" \
			test "${kib:-99999}" -lt 16384
	done
fi

#
# A file as standard input is shared with those who come before and after
#
printf 'one\ntwo\nthree\n' >lines
check "stdin is read from where it stands, and left behind what was read" \
	sh -c "{ read x; '$BOBBIN' cat --to plain >rest; cat >after; } <lines"
check "from where it stands" test "$(cat rest)" = "$(printf 'two\nthree')"
check "nothing is left of it" test ! -s after
check "each command goes on behind the one before" \
	sh -c "{ '$BOBBIN' cat lines; '$BOBBIN' cat lines; echo end; } >both &&
	       test \$(wc -l <both) = 7"
check "so do a stdin and a stdout that are named by their paths" \
	sh -c "{ read x; '$BOBBIN' cat --from file:/dev/stdin -o /dev/stdout &&
	       echo end; } <lines >named && '$BOBBIN' cat lines -o /dev/fd/3 \
	       3>>named && test \$(wc -l <named) = 6"

finish
