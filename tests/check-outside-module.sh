#!/bin/sh
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
#
# Modules as shared objects, built against a staged install and loaded by a program
# and by the command: the tutorial's sees the calls that it should; what is no
# module, or none for this version, is refused before anything of it is called.

. "$(dirname "$0")/script-common.sh"

doc=$top_srcdir/doc/hooks.md
sed -n '/^#include/,$p' "$top_srcdir/examples/module-audit.c" >"$work/real.c"
c_blocks "$doc" >"$work/shown.c"
check "doc/hooks.md shows its module as it is" \
	diff "$work/shown.c" "$work/real.c"

sed -n '/^#include/,$p' "$top_srcdir/examples/module-brotli.c" >"$work/real.c"
c_blocks "$top_srcdir/doc/codecs.md" >"$work/shown.c"
check "doc/codecs.md shows its codec as it is" \
	diff "$work/shown.c" "$work/real.c"

outside_stage || finish
if [ ! -f "$stage$libdir/libbobbin-spool.so" ]; then
	not_run "modules as shared objects: this build has no shared libraries"
	finish
fi
LD_LIBRARY_PATH=$stage$libdir
export LD_LIBRARY_PATH
bobbin=$stage$($PKG_CONFIG --variable=prefix bobbin-stream)/bin/bobbin
cd "$work" || exit 99

# module SOURCE OUTPUT [OPTION-OF-CC...]
module()
{
	module_source=$1 module_output=$2
	shift 2
	build_outside "$module_source" "$module_output" bobbin-spool "" \
		-fPIC -shared -Wall -Wextra -Werror "$@"
}
check "the tutorial's module builds" \
	module "$top_srcdir/examples/module-audit.c" audit.so

# What a module says by IO_TRANS_FAIL, mail systems are told by 75, whatever the errno is.
"$bobbin" spool init full && echo "module = $work/audit.so /dev/full" >>full/spool.conf
echo mail | "$bobbin" spool put full - >full.out 2>full.err
check "a module's full disk ends put with 75" sh -c \
	"test $? = 75 && grep -q 'audit: writing the log failed: No space' full.err"

#
# A program that loads it
#
cat >program.c <<'END'
#include <bobbin/istream.h>
#include <bobbin/spool.h>

#include <stdio.h>
#include <stdlib.h>

static const char wire[] = "Subject: x\r\n\r\ny\r\n.\r\n";

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, io_get_error());
	return 1;
}

static int use(struct spool *spool)
{
	struct istream *body = i_stream_create_from_data(wire, sizeof(wire) - 1);
	email_message *message;
	message_id id;

	spool_new_id(spool, &id);
	message = email_message_new(&id);
	email_message_set_body(message, body, 0);
	i_stream_unref(&body);
	if (spool_put(spool, message) != IO_DONE)
		return fail("put");
	email_message_unref(&message);
	if (spool_get(spool, &id, &message) != IO_DONE)
		return fail("get");
	if (spool_writeheaders(spool, IO_ASYNCHRONOUS, message, 1) != IO_DONE)
		return fail("rewrite");
	email_message_unref(&message);
	if (spool_remove(spool, &id) != IO_DONE)
		return fail("remove");
	if (spool_get(spool, &id, &message) == IO_DONE)
		return fail("get of what was removed");
	return 0;
}

/* program DIR: uses it; program DIR MODULE SYMBOL CONFIG...: each time one more */
int main(int argc, char *argv[])
{
	struct spool_settings settings = { .body = "" };
	struct spool *spool;
	char *error;
	int i, ret = 0;

	if ((spool_init(argv[1], &settings, &error) < 0 &&
	     (free(error), 0)) ||
	    (spool = spool_open(argv[1], 0, NULL, &error)) == NULL) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	for (i = 2; i + 2 < argc && ret == 0; i += 3) {
		if (spool_load_module(spool, argv[i],
				      *argv[i + 1] == '\0' ? NULL : argv[i + 1],
				      argv[i + 2], &error) < 0) {
			fprintf(stderr, "%s\n", error);
			free(error);
			ret = 1;
		}
	}
	if (ret == 0)
		ret = use(spool);
	spool_close(&spool);
	return ret;
}
END
check "a program that loads modules builds" \
	build_outside program.c program bobbin-spool

check "it works with the module" ./program spool "$work/audit.so" "" audit.log
cut -d' ' -f3- audit.log >calls
cat >expected <<'END'
write-body 0 done
write-headers 1 asked
write-headers 1 done
read-headers 1 done
read-body 1 done
write-headers 2 asked
write-headers 2 done
unlink-headers 0 asked
unlink-headers 0 done
unlink-body 0 done
read-headers 0 failed
END
check "the module saw every call, in this order" diff expected calls
check "all about one message" test "$(cut -d' ' -f2 audit.log | sort -u |
	grep -cE '^[0-9a-z]{26}$')" = 1
check "and its log is private" test "$(ls -l audit.log | cut -c1-10)" = -rw-------

if [ -c /dev/full ]; then
	./program spool "$work/audit.so" spool_module /dev/full 2>err
	check "where the log is full nothing is stored" grep -q \
		"^put: audit: writing the log failed: No space left" err
	find spool/messages -type f >left
	check_empty "not even in part" left
else
	not_run "a full log: there is no /dev/full"
fi
check "a path without a slash is of this directory" \
	./program spool audit.so spool_module audit.log

# refused WORDS MODULE SYMBOL CONFIG...: not loaded, for a reason with these words;
# what of it was called is in the file "called".
refused()
{
	words=$1
	shift
	rm -f called
	if ./program spool "$@" >refused.out 2>refused.err; then
		fail "refused: $words"
	else
		check "refused: $words" grep -qF -e "$words" refused.err
	fi
}
called_nothing()
{
	check "and nothing of it was called" test ! -e called
}

refused "the log \"no/such/log\" cannot be opened: No such file" \
	"$work/audit.so" "" no/such/log
refused "audit.so: it is in use" "$work/audit.so" "" audit.log \
	"$work/audit.so" "" audit.log

#
# A module that tells whatever is called, and can be wrong in every way
#
cat >witness.c <<'END'
#include <bobbin/spool.h>

#include <stdio.h>

#ifndef MAGIC
#define MAGIC SPOOL_MODULE_MAGIC
#endif
#ifndef ABI
#define ABI SPOOL_MODULE_ABI
#endif
#ifndef SIZE
#define SIZE sizeof(io_infrastructure)
#endif
#ifndef INIT
#define INIT 0
#endif
#ifndef EARLY
#define EARLY 0
#endif

static char name[64] = "?";

static int tell(const char *what, int answer)
{
	FILE *f = fopen("called", "a");

	if (f != NULL) {
		fprintf(f, "%s %s\n", name, what);
		fclose(f);
	}
	return answer;
}
#define HOOK(hook, args) \
	static int hook args { (void)io; (void)caller; (void)m; return tell(#hook, IO_CONT); }
#define HOOK_FORCE(hook, args) \
	static int hook args { (void)force; (void)io; (void)caller; (void)m; return tell(#hook, IO_CONT); }
HOOK_FORCE(wh, (io_infrastructure *io, io_caller caller, email_message *m, int force))
HOOK(rh, (io_infrastructure *io, io_caller caller, email_message *m))
HOOK(uh, (io_infrastructure *io, io_caller caller, message_id *m))
HOOK_FORCE(wb, (io_infrastructure *io, io_caller caller, email_message *m, int force))
HOOK(rb, (io_infrastructure *io, io_caller caller, email_message *m))
HOOK(ub, (io_infrastructure *io, io_caller caller, message_id *m))
static int end(io_infrastructure *io)
{
	(void)io;
	return tell("close", IO_DONE);
}
static int init(io_infrastructure *io, const char *config)
{
	snprintf(name, sizeof(name), "%s", config);
	if (EARLY) {
		static const message_id id;
		email_message *message = email_message_new(&id);

		if (spool_writeheaders(io->shared.spool, IO_SYNCHRONOUS, message, 1) < 0)
			(void)tell(io_get_error(), 0);
		email_message_unref(&message);
	}
	if (INIT < 0)
		io_set_error("witness: not today");
	return tell("init", INIT);
}
static void deinit(io_infrastructure *io)
{
	(void)io;
	(void)tell("deinit", 0);
}
static void after(io_infrastructure *io, enum io_operation operation,
		  const message_id *id, uint64_t version, int result)
{
	char text[64];

	(void)io;
	(void)id;
	snprintf(text, sizeof(text), "after %d %d %d", (int)operation,
		 (int)version, result);
	(void)tell(text, 0);
}
#ifdef UNDEFINED
void nowhere(void);
void (*there)(void) = nowhere;
#endif

io_infrastructure spool_module = {
	.shared = { .magic = MAGIC, .abi_version = ABI, .size = SIZE,
		    .name = "witness", .init = init, .deinit = deinit,
		    .after = after },
	.io_writeheaders = wh,
	.io_readheaders = rh,
	.io_unlinkheaders = uh,
	.io_writebody = wb,
	.io_readbody = rb,
	.io_unlinkbody = ub,
	.io_close = end
};
END

# wrong WORDS OPTION-OF-CC...: built so, it is refused, and nothing of it called.
wrong()
{
	wrong_words=$1
	shift
	module witness.c wrong.so "$@" || fail "it builds: $*"
	refused "$wrong_words" ./wrong.so "" x
	called_nothing
}
wrong "wrong.so: it is no module for Bobbin (magic 0x12345678, " -DMAGIC=0x12345678u
wrong "wrong.so: it was not built for this version of Bobbin (module interface 2, not 1)" \
	-DABI=2
wrong "wrong.so: it was not built for this version of Bobbin (its io_infrastructure has 8 bytes" \
	-DSIZE=8
wrong "wrong.so: it exports no \"spool_module\"" -Dspool_module=another
wrong "nowhere" -DUNDEFINED

module witness.c witness.so
chmod o+w witness.so
refused "witness.so: everybody may write the file" ./witness.so "" x
called_nothing
chmod o-w witness.so
refused "witness.so: it exports no \"other\"" ./witness.so other x
called_nothing
module witness.c failing.so -DINIT=-1
refused "module ./failing.so: witness: not today" ./failing.so "" x
echo "x init" >expected
check "of a module whose init fails nothing more is called" diff expected called
module witness.c other.so -Dspool_module=another
check "who loads it may know another name" ./program spool ./other.so another x

#
# The configuration's
#
cp witness.so one.so
cp witness.so two.so
rm -f called
"$bobbin" spool init named --module="$work/one.so first of all" || fail "init"
printf '%s\n' "first of all init" "first of all close" "first of all deinit" >expected
check "init tries the modules" diff expected called
check "and names them in spool.conf" \
	grep -qx "module = $work/one.so first of all" named/spool.conf
echo "module=$work/two.so   second" >>named/spool.conf
rm -f called
printf 'Subject: x\n\ny\n' >mail
"$bobbin" spool put named mail >id
cat >expected <<'END'
first of all init
second init
first of all wb
second wb
second after 3 0 0
first of all after 3 0 0
first of all wh
second wh
second after 0 1 0
first of all after 0 1 0
second close
second deinit
first of all close
first of all deinit
END
check "bobbin spool put runs the modules that spool.conf names" \
	diff expected called
rm called
check "so does get, and gives the mail back" sh -c \
	'"$1" spool get named "$(cat id)" | cmp - mail' sh "$bobbin"
check "with the reading hooks" test "$(grep -c -e ' r[hb]$' called)" = 4
rm called
check "and rm" "$bobbin" spool rm named "$(cat id)"
check "with the removing ones" test "$(grep -c -e ' u[hb]$' called)" = 4

# init_refused WORDS MODULE: no spool is made
init_refused()
{
	"$bobbin" spool init refused --module="$2" 2>err
	check "init: $1" sh -c "test $? = 64 && grep -qF -e '$1' err && test ! -e refused"
}
init_refused 'module "one.so": its path has to begin' one.so
init_refused "module $work/none.so: No such file" "$work/none.so"
init_refused "module $work/failing.so: witness: not today" "$work/failing.so"
init_refused "a control character is in it" "$work/one.so a
module = $work/two.so"
"$bobbin" spool init refused --module="$work/one.so" --module="$work/one.so" 2>err
check "init: twice is too often" sh -c "test $? = 64 && test ! -e refused"

module witness.c early.so -DEARLY=1
cp -r named early
sed -i "s,^module = .*,module = $work/early.so x," early/spool.conf
rm -f called
"$bobbin" spool put early mail >id 2>err
check "init cannot write messages" grep -q "^x a module's init is too early" called
check "and then the mail is stored" "$bobbin" spool get early "$(cat id)" -o out

line=$(grep -n "two.so" named/spool.conf | cut -d: -f1)
cp named/spool.conf conf
# conf_refused WORDS SED-COMMAND: with its line for two.so changed so.
conf_refused()
{
	sed "$line$2" conf >named/spool.conf
	"$bobbin" spool put named mail >out 2>err
	code=$?
	check "spool.conf: $1" grep -qF -e "spool.conf: line $line: $1" err
	check "exit code 78" test $code = 78
}
conf_refused "module $work/none.so: No such file" "s,two.so,none.so,"
conf_refused "module \"two.so\": its path has to begin with" "s,=.*,= two.so,"
conf_refused "module $work/failing.so: witness: not today" "s,two.so,failing.so,"
conf_refused "module $work/one.so: it is in use" "s,two.so,one.so,"
chmod o+w two.so
conf_refused "module $work/two.so: everybody may write" "s,x,x,"

#
# A codec of a module's own
#
if ! $PKG_CONFIG --exists libbrotlienc libbrotlidec ||
	! command -v brotli >brotli.path; then
	not_run "a codec of a module's own: libbrotli-dev or brotli is missing"
	finish
fi
check "the codec's module builds" module "$top_srcdir/examples/module-brotli.c" \
	brotli.so -Wl,--no-as-needed \
	$($PKG_CONFIG --cflags libbrotlienc libbrotlidec) \
	$($PKG_CONFIG --libs libbrotlienc libbrotlidec)
large=$top_srcdir/tests/data/mail/$(ls -S "$top_srcdir/tests/data/mail" | head -1)
"$bobbin" spool init --body=brotli unknown 2>err
check "without the module the stack is not known" \
	grep -q 'column 1: "brotli": no such kind' err
for store in file journal; do
	spool=brotli-$store
	check "$store: a spool is made with the module" "$bobbin" spool init \
		--store=$store --module="$work/brotli.so" --body=brotli:9 $spool
	check "a mail is stored" \
		sh -c '"$1" spool put "$2" "$3" >id' sh "$bobbin" $spool "$large"
	check "and read again" sh -c '"$1" spool get "$2" "$(cat id)" | cmp - "$3"' \
		sh "$bobbin" $spool "$large"
	check "and is whole" "$bobbin" spool verify $spool
	check "it says by which kind" sh -c \
		'"$1" spool list "$2" | grep -q "brotli$"' sh "$bobbin" $spool
	cp $spool/spool.conf conf
	sed '/^module/d' conf >$spool/spool.conf
	"$bobbin" spool put $spool "$large" >out 2>err
	check "without it nothing can be written" sh -c \
		"test $? = 78 && grep -q 'spool.conf: body: .*no such kind' err"
	"$bobbin" spool get $spool "$(cat id)" >out 2>err
	check "without it get says what is missing" sh -c \
		"test $? -ne 0 && grep -q 'brotli.*no such kind' err"
	"$bobbin" spool verify $spool >out 2>err
	check "and verify does not call it damaged" test $? = 69
	cp conf $spool/spool.conf
	check "with it again all is there" "$bobbin" spool verify $spool
done
"$bobbin" spool get --wire brotli-file "$(ls brotli-file/messages/*/*.h |
	sed 's,.*/,,; s,[.]h$,,')" >wire
check "what is stored the brotli command reads" sh -c \
	'test -s wire && brotli -dc brotli-file/messages/*/*.b | cmp - wire'
check "two spools of one process have the module: a migration" \
	"$bobbin" spool migrate brotli-file brotli-journal
finish
