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
int said_together(int a);
#define macro(a, \
	      b) said(a)

int behind_an_empty_line(void);

#define bare_macro(a) said(a)

/*
 * Section
 */
int unsaid(void);

/* A paragraph of its own. */

/* Said, too. */
int last(void);
END
header_to_man() {
	$AWK -v header=bare.h -v header_name=bare.h -v name=bare "$@" \
		-f "$top_srcdir/doc/header-to-man.awk" "$work/bare.h"
}
header_to_man -v check=1 >"$work/bare.out"
for name in behind_an_empty_line bare_macro unsaid; do
	echo "bare.h: no comment says what $name does"
done >"$work/bare.expect"
check "a declaration without a comment in its own group is found" \
	diff "$work/bare.expect" "$work/bare.out"
header_to_man >"$work/bare.3"
check "a macro's parameters are read over several lines" \
	grep -qx '\.Fn macro "a" "b"' "$work/bare.3"
check "a paragraph between two functions is kept" \
	grep -qx 'A paragraph of its own\.' "$work/bare.3"
if command -v mandoc >/dev/null; then
	mandoc -Tlint -W error "$work/bare.3" >"$work/lint" 2>&1
	check_empty "and ends their list" "$work/lint"
fi

# What the group of each function says: "NAME... : TEXT".
for page in "$pages"/bobbin-*.3; do
	$AWK 'function end_group()
		{
			if (text != "")
				print names " :" text
			names = text = ""
		}
		/^\.It Fn/ {
			if (text != "")
				end_group()
			names = names " " $3
			next
		}
		/^\.(El|It|Ss|Sh)/ { end_group() }
		names != "" { text = text " " $0 }' "$page"
done >"$work/said"
# Such a function speaks of references, unless it has the text of another one.
grep -E '_(ref|unref) .*:' "$work/said" | grep -v 'reference' >"$work/borrowed"
check_empty "what counts references speaks of them" "$work/borrowed"
check "there are functions that do" grep -q 'o_stream_ref :' "$work/said"

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
