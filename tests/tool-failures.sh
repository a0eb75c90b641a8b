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

finish
