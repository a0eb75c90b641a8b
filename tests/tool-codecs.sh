#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Every kind of file that the public compressors' options make, read by bobbin
# cat, and what bobbin writes at each level, read by them. (tool-cat.sh has the
# sizes.) And what cannot be read is refused in words.

. "$(dirname "$0")/script-common.sh"

cd "$work" || exit 99
seq 1 40000 >text
seq 1 200000 | gzip -nc | tail -c +20 | head -c 300000 >dense
: >empty
files="empty text dense"

# have PROGRAM: or says what does not run.
have()
{
	command -v "$1" >/dev/null && return
	not_run "files of the public $1: it is not installed"
	return 1
}

# theirs KIND COMMAND [OPTIONS...]: what the command makes of each file with each
# of the options (one word is one set of them) is read back; of text also what it
# makes of a file, and whether it is found by itself.
guessed=yes # whether it is found by itself
theirs()
{
	theirs_kind=$1 theirs_command=$2
	shift 2
	for options in "$@"; do
		for file in $files; do
			sh -c "$theirs_command $options -c" <$file >made &&
				"$BOBBIN" cat --from "$theirs_kind" made |
				cmp - $file &&
				{ [ $guessed = no ] || [ $file != text ] ||
					"$BOBBIN" cat <made | cmp - text; } ||
				echo "$theirs_command $options: $file"
		done
		sh -c "$theirs_command $options -c text" >made &&
			"$BOBBIN" cat --from "$theirs_kind" made | cmp - text ||
			echo "$theirs_command $options text"
	done >theirs.out 2>&1
	check_empty "$theirs_kind reads what $theirs_command makes" theirs.out
}

# ours COMMAND SPEC...: what these specs make, the command reads.
ours()
{
	ours_command=$1
	shift
	for spec in "$@"; do
		for file in $files; do
			"$BOBBIN" cat --to "$spec" $file |
				sh -c "$ours_command" | cmp - $file ||
				echo "$spec: $file"
		done
	done >ours.out 2>&1
	check_empty "$ours_command reads what bobbin makes" ours.out
}

# refused WORDS FILE SPEC: exit code 65 and the words.
refused()
{
	"$BOBBIN" cat --from "$3" "$2" >refused.plain 2>refused.err
	refused_code=$?
	if [ $refused_code = 65 ] && grep -q -e "$1" refused.err; then
		pass "refused: $1"
	else
		fail "exit code $refused_code, not 65 with \"$1\":"
		sed 's/^/  /' refused.err
	fi
}

# several COMMAND SPEC: two of theirs and one of ours are one.
several()
{
	check "$1: several in one file, ours among them" sh -c "
		{ $1 -c <text; '$BOBBIN' cat --to $2 dense; $1 -c <empty; } >made
		cat text dense >both
		'$BOBBIN' cat --from $2 made | cmp - both &&
			$1 -dc <made | cmp - both"
}

if have gzip; then
	theirs gzip gzip -1 -6 -9 -n --rsyncable
	ours "gzip -dc" gzip:0 gzip:1 gzip:6 gzip:9
	several gzip gzip
fi

if have lz4; then
	theirs lz4 "lz4 -q" -1 -9 -12 --fast=9 -B4 -B5 -B6 -B7 -B4D -BD -BX \
		--content-size --no-frame-crc "-B4 -BD -BX --content-size" \
		"-B7 -BX --no-frame-crc" "-9 -B5 -BD"
	ours "lz4 -dc" lz4:0 lz4:1 lz4:9 lz4:12
	several "lz4 -q" lz4
	lz4 -q -l -c text >legacy.lz4
	refused "legacy lz4 format, which is not supported" legacy.lz4 lz4
	if lz4 -q -D text -c dense >dictionary.lz4 2>/dev/null; then
		"$BOBBIN" cat --from lz4 dictionary.lz4 >made 2>made.err
		check "lz4 -D: never other data without a word" sh -c \
			"test -s made.err || cmp made dense"
	fi
fi

if ! "$BOBBIN" --version | grep -q '^streams:.* zstd'; then
	not_run "zstd: this build lacks it"
elif have zstd; then
	theirs zstd "zstd -q" -1 -19 --fast=5 --no-check --long=27 \
		--no-content-size -T2 --rsyncable
	# each of its frames has one to be skipped before it
	! have pzstd || theirs zstd "pzstd -q" -1 "-p 2"
	ours "zstd -dc" zstd:1 zstd:3 zstd:19 zstd:-5
	several "zstd -q" zstd
	# from a pipe: the size of a file would make the window smaller
	if zstd -q --long=31 -c <dense >long.zst 2>/dev/null; then
		refused "window of more than 2^27 bytes, which is refused" \
			long.zst zstd
		check "zstd:window=31 reads what zstd --long=31 makes" sh -c "
			'$BOBBIN' cat --from zstd:window=31 long.zst |
				cmp - dense"
	else
		not_run "zstd --long=31: it has not the memory"
	fi
	if zstd -q --train -B1000 --maxdict=4096 text -o dictionary \
		2>/dev/null && zstd -q -D dictionary -c text >named.zst; then
		refused "needs a dictionary, which is not supported" \
			named.zst zstd
	fi
fi

if ! "$BOBBIN" --version | grep -q '^streams:.* bzip2'; then
	not_run "bzip2: this build lacks it"
elif have bzip2; then
	theirs bzip2 bzip2 -1 -5 -9 -s
	ours "bzip2 -dc" bzip2:1 bzip2:5 bzip2:9
	several bzip2 bzip2
fi

if ! "$BOBBIN" --version | grep -q '^streams:.* xz'; then
	not_run "xz and lzma: this build lacks them"
elif have xz; then
	theirs xz xz -0 -2e -6 --check=none --check=crc32 --check=sha256 \
		--block-size=50000 -T2 "--x86 --lzma2" "--delta=dist=4 --lzma2=preset=1" \
		--lzma2=dict=64MiB
	ours "xz -dc" xz:0 xz:3 xz:6
	several xz xz
	check "xz: padding between and behind" sh -c "
		{ xz -c <text; printf '\\0\\0\\0\\0'; xz -c <dense
			printf '\\0\\0\\0\\0\\0\\0\\0\\0'; } >made
		'$BOBBIN' cat --from xz made | cmp - both && xz -dc <made |
			cmp - both"
	# the size of a file would make the dictionary smaller
	xz --lzma2=preset=0,dict=256MiB -c <text >large.xz
	refused "bytes of memory to be read, and 134217728 are allowed" \
		large.xz xz
	check "xz:memory=300M reads what needs that" sh -c "
		'$BOBBIN' cat --from xz:memory=300M large.xz | cmp - text"
	guessed=no
	theirs lzma "xz --format=lzma" -0 -3 -6 --lzma1=lc=0,lp=2,pb=0
	guessed=yes
	ours "xz --format=lzma -dc" lzma:0 lzma:3
	xz --format=lzma -c <text >made && echo more >>made
	refused "data after the end" made lzma
fi

# text_codec SPEC ENCODE DECODE: a codec that is text, and the public programs.
text_files="empty text dense"
text_codec()
{
	for file in $text_files; do
		sh -c "$2" <$file | "$BOBBIN" cat --from "$1" | cmp - $file &&
			"$BOBBIN" cat --to "$1" $file | sh -c "$3" |
			cmp - $file || echo "$1: $file"
	done >text.out 2>&1
	check_empty "$1 in both directions" text.out
}

if have base64; then
	text_codec base64 base64 "tr -d '\\r' | base64 -d"
	text_codec base64:0 "base64 -w0" "base64 -d"
	text_codec base64:76 "base64 -w76" "base64 -di"
fi
if have basenc; then
	text_codec base64url "basenc --base64url" "basenc --base64url -d"
	text_codec base64url:64 "basenc --base64url -w64" "basenc --base64url -di"
fi
if have xxd; then
	text_codec hex "xxd -p | tr -d '\\n'" "xxd -r -p"
fi
if have python3 && python3 -c "import quopri" 2>/dev/null; then
	# it reads and writes lines with LF
	python="import quopri, sys; i, o = sys.stdin.buffer, sys.stdout.buffer;"
	text_files="empty text" # the other one has CRLF, too
	text_codec "crlf|qp" "python3 -c '$python quopri.encode(i, o, False)'" \
		"python3 -c '$python quopri.decode(i, o)' | tr -d '\\r'"
	python="$python d = i.read(); import binascii as b;"
	text_files="empty text dense"
	text_codec "qp:binary=yes" \
		"python3 -c '$python o.write(b.b2a_qp(d, istext=False))'" \
		"python3 -c '$python o.write(b.a2b_qp(d))'"
fi

finish
