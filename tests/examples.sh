#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# The examples do what they say, and the README shows them as they are.

. "$(dirname "$0")/script-common.sh"

example=$top_builddir/examples/compress
data=$top_srcdir/tests/check-symbols.sh

"$example" "$work/out.gz" <"$data" 2>"$work/err"
check_empty "compress succeeds" "$work/err"
check "and gzip opens what it wrote" \
	sh -c 'gzip -dc "$1" | cmp - "$2"' sh "$work/out.gz" "$data"

if "$example" "$work/no/such/out.gz" <"$data" 2>"$work/err"; then
	fail "compress fails where it cannot write"
else
	check "compress says why it fails" grep -q "No such file" "$work/err"
fi
mkfifo "$work/fifo"
for target in "$work/fifo" "$work"; do
	if "$example" "$target" <"$data" 2>"$work/err"; then
		fail "compress refuses what a file would replace"
	else
		check "compress refuses what a file would replace" \
			grep -q "cannot create $target: it is a" "$work/err"
	fi
done
check "and leaves it as it is" test -p "$work/fifo"
"$example" "$work/part.gz" </ 2>"$work/err"
check "where its input fails it says so" test -s "$work/err"
check "and leaves no file behind" test -z "$(ls "$work" | grep part)"

sed -n '/^```c$/,/^```$/p' "$top_srcdir/README.md" | sed '1d;$d' \
	>"$work/shown.c"
sed -n '/^#include/,$p' "$top_srcdir/examples/compress.c" >"$work/real.c"
check "the README shows the example as it is" \
	diff "$work/shown.c" "$work/real.c"
finish
