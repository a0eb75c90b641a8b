dnl Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.

dnl BOBBIN_WARNINGS(FLAGS): those that the compiler knows go to BOBBIN_CFLAGS.
AC_DEFUN([BOBBIN_WARNINGS], [
BOBBIN_CFLAGS=
BOBBIN_LDFLAGS=
save_CFLAGS=$CFLAGS
for flag in -std=c11 m4_normalize([$1]); do
	CFLAGS="$save_CFLAGS -Werror $flag"
	AC_MSG_CHECKING([whether $CC knows $flag])
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
		[AC_MSG_RESULT([yes])
		BOBBIN_CFLAGS="$BOBBIN_CFLAGS $flag"],
		[AC_MSG_RESULT([no])])
done
CFLAGS=$save_CFLAGS])

dnl BOBBIN_SANITIZER(NAME, SANITIZER): --enable-NAME builds with it.
AC_DEFUN([BOBBIN_SANITIZER], [
AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1],
	[build with -fsanitize=$2])],
	[AS_IF([test "x$enableval" = xyes],
		[sanitized=yes
		BOBBIN_CFLAGS="$BOBBIN_CFLAGS -fsanitize=$2 -fno-sanitize-recover=all -fno-omit-frame-pointer"
		BOBBIN_LDFLAGS="$BOBBIN_LDFLAGS -fsanitize=$2"])])])
