dnl Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.

dnl BOBBIN_WARNINGS(FLAGS): those that the compiler knows go to BOBBIN_CFLAGS. One by which
dnl the C library's own macros are wrong is left out (-Wconversion, by musl's CMSG_NXTHDR).
AC_DEFUN([BOBBIN_WARNINGS], [
BOBBIN_CFLAGS=
BOBBIN_LDFLAGS=
save_CFLAGS=$CFLAGS
for flag in -std=c11 m4_normalize([$1]); do
	CFLAGS="$save_CFLAGS -Werror $flag"
	AC_MSG_CHECKING([whether $CC knows $flag])
	AC_COMPILE_IFELSE([AC_LANG_SOURCE([[#include <sys/socket.h>
struct cmsghdr *next(struct msghdr *msg, struct cmsghdr *header);
struct cmsghdr *next(struct msghdr *msg, struct cmsghdr *header)
{
	return CMSG_NXTHDR(msg, header);
}]])],
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

dnl BOBBIN_NEEDS(VARIABLE, MODULE, PACKAGE): one that is not there goes to missing.
AC_DEFUN([BOBBIN_NEEDS], [
PKG_CHECK_MODULES([$1], [$2], [], [missing="$missing
  $2 (Debian: $3)"])])

dnl BOBBIN_WITH(NAME, WHAT): --with-NAME, whose value goes to with_NAME.
AC_DEFUN([BOBBIN_WITH], [
AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1],
	[$2: yes, no, auto (default: auto)])], [], [with_$1=auto])
AS_CASE([$with_$1], [yes|no|auto], [],
	[AC_MSG_ERROR([--with-$1=$with_$1: yes, no or auto is expected (PKG_CONFIG_PATH, CPPFLAGS and LDFLAGS say where to look)])])])

dnl BOBBIN_WITH_MODULE(NAME, VARIABLE, MODULE, PACKAGE): have_NAME is yes where it is wanted
dnl and there.
AC_DEFUN([BOBBIN_WITH_MODULE], [
have_$1=no
AS_IF([test "x$with_$1" != xno],
	[PKG_CHECK_MODULES([$2], [$3], [have_$1=yes],
		[AS_IF([test "x$with_$1" = xyes],
			[AC_MSG_ERROR([--with-$1 needs $3 (Debian: $4)])])])])])
