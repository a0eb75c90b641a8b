#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# lint.sh SRCDIR BUILDDIR: what `make lint` looks at. Includes go downwards, files
# have the form that ours have, and cppcheck and clang-tidy find nothing, where
# they are installed. LINT_TIDY=no leaves clang-tidy out, which takes a minute.

top_srcdir=$(cd "${1:-.}" && pwd)
top_builddir=$(cd "${2:-.}" && pwd)
. "$top_srcdir/tests/script-common.sh"
cd "$top_srcdir" || exit 99

files=$(git ls-files '*.c' '*.h' 2>/dev/null)
[ -n "$files" ] || files=$(find lib lib-stream lib-spool tools tests examples \
	-name '*.[ch]' 2>/dev/null)

#
# Include direction
#
# includes PATTERN FOLDER...: files of the folders that include such a header.
includes()
{
	pattern=$1
	shift
	for folder in "$@"; do
		echo "$files" | grep "^$folder/" | xargs -r grep -HnE \
			"^#include \"($pattern)\""
	done
}

# headers_of FOLDER...: their names, as a pattern.
headers_of()
{
	for folder in "$@"; do
		echo "$files" | grep "^$folder/.*\\.h\$"
	done | sed 's,.*/,,' | paste -sd'|' -
}

includes "$(headers_of lib-stream lib-spool tools tests)" lib >"$work/out"
check_empty "lib/ includes nothing from above it" "$work/out"
includes "$(headers_of lib-spool tools tests)" lib-stream >"$work/out"
check_empty "lib-stream/ includes nothing from above it" "$work/out"
includes "$(headers_of tools tests)" lib-spool >"$work/out"
check_empty "lib-spool/ includes nothing from above it" "$work/out"
includes "$(headers_of tests)" tools examples >"$work/out"
check_empty "tools/ includes nothing of the tests" "$work/out"
includes 'ostream.*\.h|istream.*\.h|iostream.*\.h|stack-.*\.h|stream-kinds\.h' \
	lib-stream/transforms >"$work/out"
includes 'ostream.*\.h|istream.*\.h|iostream.*\.h|stack-.*\.h|stream-kinds\.h' \
	lib-stream/age | grep -v '^lib-stream/age/age-keys\.c:' >>"$work/out"
# age-keys.c reads and writes files of keys; it is no transform
check_empty "transforms know neither ostream nor istream" "$work/out"
includes 'transforms?(-age)?\.h|stack-.*\.h|stream-kinds\.h' \
	lib-stream/ends lib-stream/plumbing lib-stream/helpers >"$work/out"
check_empty "ends, plumbing and helpers know no transform" "$work/out"

#
# The form of files
#
for f in $files; do
	head -n 1 "$f" | grep -q 'Copyright (c) .* The Bobbin authors' ||
		echo "$f"
done >"$work/out"
check_empty "every source begins with its copyright" "$work/out"

for f in $(echo "$files" | grep '\.c$'); do
	case $f in tests/* | examples/* | bench/*) continue ;; esac
	grep -m 1 '^#include' "$f" | grep -q '"config.h"' || echo "$f"
done >"$work/out"
check_empty "config.h is the first include of every source" "$work/out"

for f in $files; do
	sed 's/"[^"]*"//g' "$f" | grep -nE '(^|[^:])//' |
		grep -v 'http' | sed "s,^,$f:,"
done | grep -vE '^[^:]*:[0-9]*:.*/\*.*//|^[^:]*:[0-9]*: *\*|^[^:]*:[0-9]*:   ' \
	>"$work/out"
check_empty "comments are /* */" "$work/out"

# open() and its like are called in one place, where tests can make them fail.
echo "$files" | grep -E '^(lib|lib-stream|lib-spool)/' |
	grep -v '^lib/file-ops\.[ch]$' | xargs -r grep -nE \
	'^[^"*]*[^a-z_>.*"](openat?|renameat2?|unlinkat?|fsync|fdatasync|linkat|mkdirat)\(' \
	>"$work/out"
check_empty "the libraries reach files through lib/file-ops.h" "$work/out"

#
# Analysers
#
defines="-DHAVE_CONFIG_H -I$top_builddir -I$top_builddir/lib -Ilib -Ilib-stream
	-Ilib-stream/transforms -Ilib-stream/age -Ilib-stream/helpers -Ilib-spool
	-Ilib-spool/modules"
sources=$(echo "$files" | grep -E '^(lib|lib-stream|lib-spool|tools)/.*\.c$')

# legacyUninitvar takes an array that a function fills for one that it reads;
# with __GNUC__ it is known which functions do not return.
if command -v cppcheck >/dev/null; then
	check "cppcheck" cppcheck --quiet --error-exitcode=1 --std=c11 \
		--enable=warning,portability --inline-suppr -j2 \
		--suppress=missingIncludeSystem \
		--suppress=legacyUninitvar -D__GNUC__=12 $defines $sources
else
	not_run "cppcheck: it is not installed"
fi

if [ "${LINT_TIDY-yes}" = no ]; then
	echo "clang-tidy was left out (LINT_TIDY=no)"
elif command -v clang-tidy >/dev/null; then
	for f in $sources; do
		clang-tidy --quiet "$f" -- -std=c11 -D_GNU_SOURCE $defines \
			2>"$work/tidy.err" || echo "$f"
	done >"$work/out"
	check_empty "clang-tidy" "$work/out"
else
	not_run "clang-tidy: it is not installed"
fi
finish
