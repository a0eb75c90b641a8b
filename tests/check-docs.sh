#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Every function and variable that the libraries export is described in a
# manual page; the pages are clean mdoc and refer to pages that exist; the page
# of the command knows all of its verbs.

. "$(dirname "$0")/script-common.sh"

pages=$top_builddir/doc

#
# What a comment says goes to the page; without one there is nothing.
#
for header in $STREAM_PUBLIC_HEADERS $SPOOL_PUBLIC_HEADERS; do
	$AWK -v check=1 -v header="$header" \
		-f "$top_srcdir/doc/header-to-man.awk" "$top_srcdir/$header"
done >"$work/undocumented"
check_empty "every declaration of the public headers has a comment" \
	"$work/undocumented"

cat >"$work/bare.h" <<'END'
/* About this header. */
#include "types.h"

/* Said. */
int said(int a);

#define macro(a) said(a)

/*
 * Section
 */
int unsaid(void);
END
$AWK -v check=1 -v header=bare.h -f "$top_srcdir/doc/header-to-man.awk" \
	"$work/bare.h" >"$work/bare.out"
echo "bare.h: no comment says what unsaid does" >"$work/bare.expect"
check "a declaration without a comment is found" \
	diff "$work/bare.expect" "$work/bare.out"

sed -n -e 's/^\.It F[n] \([a-z_0-9A-Z]*\).*/\1/p' \
	-e 's/^\.It Va \([a-z_0-9A-Z]*\).*/\1/p' "$pages"/bobbin-*.3 |
	sed -e 's/^bobbin_//' -e 's/^/bobbin_/' | sort -u >"$work/described"
symbols_of $STREAM_PUBLIC_HEADERS $SPOOL_PUBLIC_HEADERS >"$work/declared"
comm -23 "$work/declared" "$work/described" >"$work/missing"
check_empty "every exported symbol is described in a page of section 3" \
	"$work/missing"

#
# The pages
#
hand_written=$(ls "$top_srcdir"/doc/*.[157] 2>/dev/null)
if command -v mandoc >/dev/null; then
	for page in $hand_written "$pages"/bobbin-*.3; do
		mandoc -Tlint -W warning "$page" 2>&1 |
			sed 's,^mandoc: .*/,,' | grep -v 'new sentence' \
			>"$work/lint"
		check_empty "mandoc -Tlint $(basename "$page")" "$work/lint"
	done
else
	not_run "the pages' mdoc: there is no mandoc (package mandoc)"
fi

for page in $hand_written "$pages"/bobbin-*.3; do
	sed -n 's/^.*\.*Xr \(bobbin[a-z0-9-]*\) \([0-9]\).*/\1.\2/p' "$page" |
		while read -r target; do
			[ -f "$top_srcdir/doc/$target" ] ||
				[ -f "$pages/$target" ] ||
				echo "$(basename "$page"): $target"
		done
done | sort -u >"$work/dangling"
check_empty "every page that a page refers to exists" "$work/dangling"

(
	cd "$top_srcdir" &&
	grep -rnoE "doc/[a-z0-9-]+\\.md" README.md doc
) | while IFS=: read -r file _ target; do
	[ -f "$top_srcdir/$target" ] || echo "$file: $target"
done | sort -u >"$work/dangling"
check_empty "every document that a document speaks of exists" \
	"$work/dangling"
for doc in "$top_srcdir"/doc/*.md; do
	grep -q "doc/$(basename "$doc")" "$top_srcdir/README.md" ||
		basename "$doc"
done >"$work/unlisted"
check_empty "the README lists every document" "$work/unlisted"

#
# The settings of a spool
#
"$BOBBIN" spool init --store journal "$work/spool" >/dev/null 2>&1
cp "$work/spool/spool.conf" "$work/spool.conf"
for setting in segment-size inline-limit; do
	{ cat "$work/spool.conf"; echo "$setting = 1"; } \
		>"$work/spool/spool.conf"
	bounds=$("$BOBBIN" spool list "$work/spool" 2>&1 |
		grep -o 'from [0-9]* to [0-9]*')
	check "$setting has bounds" test -n "$bounds"
	for doc in bobbin-spool.5 spool-format.md; do
		tr '\n' ' ' <"$top_srcdir/doc/$doc" >"$work/doc"
		check "$doc: $setting is $bounds" \
			grep -qF "$bounds" "$work/doc"
	done
done

#
# The command
#
"$BOBBIN" --help | sed -n 's/^  \([a-z][a-z ]*[a-z]\)   *[^ ].*/\1/p' |
	grep -v '^bobbin' >"$work/verbs"
while read -r verb; do
	grep -qE "^\.(It|Ss|Nm|Ic).*$verb" "$top_srcdir/doc/bobbin.1" ||
		echo "verb: $verb"
	"$BOBBIN" $verb --help |
		sed -n 's/^ .*\(--[a-z-]*\).*/\1/p' | grep -v -- '^--help' |
		while read -r option; do
			grep -q -- "Fl Fl *${option#--}\\|Fl -${option#--}" \
				"$top_srcdir/doc/bobbin.1" ||
				echo "verb $verb: option $option"
		done
done <"$work/verbs" 2>&1 | sort -u >"$work/unknown"
check_empty "bobbin(1) describes every verb and option of --help" \
	"$work/unknown"
check "there are verbs at all" test -s "$work/verbs"
finish
