#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# The names in the object files: all of them carry the prefix, internal ones
# too; what the shared libraries give to users is what the installed headers
# declare, no more and no less.

. "$(dirname "$0")/script-common.sh"

#
# symbols.awk itself
#
cat >"$work/sample.h" <<'END'
/* int not_this_one(void); */
#define not_a_macro(a) \
	int not_in_a_macro(a);
struct sample;
struct sample {
	int (*not_a_method)(struct sample *s);
	int not_a_member;
};
typedef int not_a_type(void *context);
typedef int (*not_a_pointer_type)(int);
enum not_an_enum { NOT_A_VALUE };
BOBBIN_BEGIN_DECLS
int one(void);
struct sample *
two(int a,
    int (*callback)(void *context)) ATTR_FORMAT(1, 2) ATTR_COLD;
extern const struct sample *const three[];
extern int four;
static inline int not_inline(void)
{
	return one();
}
const char *five(const char *s) /* int not_here(void); */
	ATTR_WARN_UNUSED_RESULT;
void bobbin_six(void);
BOBBIN_END_DECLS
END
$AWK -f "$top_srcdir/lib/symbols.awk" "$work/sample.h" >"$work/sample.out"
printf '%s\n' one two three four five bobbin_six >"$work/sample.expect"
check "symbols.awk finds declarations, and only these" \
	diff "$work/sample.expect" "$work/sample.out"

#
# Every name with external linkage begins with bobbin_
#
check_prefix()
{
	nm -g --defined-only "$1" | awk 'NF == 3 { print $3 }' |
		grep -v -e '^bobbin_' -e '^__' -e '^LIBBOBBIN_' | sort -u >"$work/bare"
	check_empty "every external symbol of $(basename "$1") begins with bobbin_" \
		"$work/bare"
}

for lib in libstream-objects libspool-objects libbobbin-stream libbobbin-spool; do
	archive=$top_builddir/.libs/$lib.a
	[ -f "$archive" ] && check_prefix "$archive"
done

#
# The shared libraries export exactly what their public headers declare
#
exported()
{
	nm -D --defined-only --with-symbol-versions "$1" |
		sed -n "s/^[0-9a-f]* [A-Z] \\([^@]*\\)@@*$2\$/\\1/p" |
		grep -v '^LIBBOBBIN_' | sort -u
}

# check_exports LIBRARY NODE HEADER...
check_exports()
{
	so=$top_builddir/.libs/$1.so
	node=$2
	shift 2
	symbols_of "$@" >"$work/declared"
	exported "$so" "$node" >"$work/exported"
	comm -13 "$work/declared" "$work/exported" >"$work/too-many"
	comm -23 "$work/declared" "$work/exported" >"$work/too-few"
	check_empty "$node exports nothing that its headers do not declare" \
		"$work/too-many"
	check_empty "$node exports all that its headers declare" "$work/too-few"
}

if [ ! -f "$top_builddir/.libs/libbobbin-stream.so" ]; then
	echo "No shared libraries in this build: their exports are not looked at."
	finish
fi
check_prefix "$top_builddir/.libs/libbobbin-stream.so"
check_prefix "$top_builddir/.libs/libbobbin-spool.so"
check_exports libbobbin-stream LIBBOBBIN_STREAM_0 $STREAM_PUBLIC_HEADERS
check_exports libbobbin-stream LIBBOBBIN_PRIVATE_0 $STREAM_PRIVATE_HEADERS
check_exports libbobbin-spool LIBBOBBIN_SPOOL_0 $SPOOL_PUBLIC_HEADERS

# What the version script could not place would be exported without a version.
for lib in libbobbin-stream libbobbin-spool; do
	nm -D --defined-only --with-symbol-versions \
		"$top_builddir/.libs/$lib.so" |
		grep -v -e '@' -e ' LIBBOBBIN_' >"$work/unversioned"
	check_empty "$lib.so exports nothing without a version" \
		"$work/unversioned"
done
finish
