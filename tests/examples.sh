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


example=$top_builddir/examples/spool
sed 's/$/\r/' "$data" >"$work/mail"
"$example" "$work/spool" "$work/mail" >"$work/got" 2>"$work/err"
check_empty "spool creates one, stores, reads and removes" "$work/err"
check "and gives the mail back" cmp "$work/mail" "$work/got"
check "it opens the spool that is there" sh -c '"$1" "$2" "$3" | cmp - "$3"' \
	sh "$example" "$work/spool" "$work/mail"
find "$work/spool/messages" -type f >"$work/left"
check_empty "and nothing is left in it" "$work/left"
for args in "$work/spool /no/such/mail" "/no/such/spool $work/mail" \
	"$top_srcdir $work/mail" ""; do
	if "$example" $args >"$work/got" 2>"$work/err"; then
		fail "spool $args fails"
	else
		check "spool $args says why it fails" grep -qE \
			"No such file|not a spool" "$work/err"
	fi
done

example=$top_builddir/examples/spool-async
seq 20 | while read -r n; do
	sed "s/^/$n /" "$data" | "$BOBBIN" cat --to dot >"$work/wire.$n"
done
"$example" "$work/many" "$work"/wire.* >"$work/got" 2>"$work/err"
check_empty "spool-async stores what it is given" "$work/err"
first=$(cut -d' ' -f1 "$work/got" | head -n 1)
check "each is told once" test "$(cut -d' ' -f2 "$work/got" | sort -u | wc -l)" \
	-eq 20
while read -r id path; do
	"$BOBBIN" spool get --wire "$work/many" "$id" | cmp - "$path"
done <"$work/got" >"$work/differ" 2>&1
check_empty "and is there" "$work/differ"
"$BOBBIN" spool show "$work/many" "$first" >"$work/shown"
check "without a time that nobody gave it" \
	grep -q '^arrival *not set$' "$work/shown"
if "$example" "$work/many" "$work/wire.1" /no/such "$work/wire.2" \
	>"$work/got" 2>"$work/err"; then
	fail "spool-async fails where there is no file"
else
	check "spool-async says which file is missing" \
		grep -q "^/no/such: .*No such file" "$work/err"
fi
check "and stores the others" test "$(wc -l <"$work/got")" -eq 2
if "$example" /no/such/spool "$work/wire.1" 2>"$work/err"; then
	fail "spool-async fails where there can be no spool"
else
	check "spool-async says why it fails" grep -q "No such file" "$work/err"
fi

# Clients as Python has them. They write down the ids of what was acknowledged, and what
# that was: all of it, or what four of them sent until one kills the server. And one that
# sends everything at once.
cat >"$work/client.py" <<'END'
import hashlib, os, signal, smtplib, socket, sys, threading

def connected():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect("socket")
    return s

def client():
    c = smtplib.LMTP()
    c.sock = connected()
    assert c.getreply()[0] == 220
    c.ehlo_or_helo_if_needed()
    return c

def send(c, mail):
    c.mail("a@example.org")
    c.rcpt("b@example.org")
    return c.data(mail)

acknowledged = []

def many(count, kill):
    c = client()
    for i in range(count):
        mail = ("Subject: %d\r\n\r\n" % i +
                ".dots\r\n..\r\n" * (i * i % 900)).encode()
        try:
            code, text = send(c, mail)
        except (smtplib.SMTPException, OSError):
            return
        if code == 250:
            acknowledged.append((text.decode().split()[1],
                                 hashlib.sha256(mail).hexdigest()))
        if kill and len(acknowledged) >= 50:
            os.kill(int(kill), signal.SIGKILL)
            return

def tell(threads, count, kill):
    for t in [threading.Thread(target=many, args=(count, kill))
              for i in range(threads)]:
        t.start()
    for t in threading.enumerate():
        if t != threading.current_thread():
            t.join()
    for id, digest in acknowledged:
        print(id, digest)

if sys.argv[1] == "many":
    tell(1, 30, None)
elif sys.argv[1] == "killing":
    tell(4, 1000, sys.argv[2])
elif sys.argv[1] == "large":
    c = client()
    code, text = send(c, b"x" * 1000 + b"\r\n" + b"y" * (20 << 20))
    assert code == 552, text
    assert c.noop()[0] == 250
elif sys.argv[1] == "replies":
    s = connected()
    s.sendall(b"NOOP\r\n" * 2000 + b"QUIT\r\n")
    got = b""
    while b"\n221 " not in got:
        got += s.recv(10000) or sys.exit(1)
    assert got.count(b"\n250 ") == 2000, got
else:
    s = connected()
    s.sendall(b"LHLO x\r\n" + 2 * (b"MAIL FROM:<>\r\nRCPT TO:<b@c>\r\n"
              b"RCPT TO:<d@e>\r\nDATA\r\nx\n.\ny\r\n.\r\n") + b"QUIT\r\n")
    got = b""
    while True:
        more = s.recv(1000)
        if not more:
            break
        got += more
    lines = got.decode().split("\r\n")
    assert len([l for l in lines if l.endswith("is stored")]) == 4, lines
    assert lines[-2].startswith("221"), lines
END
# Those of which it is not true that they are in the spool as they were sent.
acknowledged()
{
	while read -r id sum; do
		"$BOBBIN" spool get "$work/mails" "$id" | sha256sum |
			grep -q "^$sum " || echo "$id"
	done <"$work/got"
}
mkfifo "$work/stdin" "$work/told"
# The name of a socket is short; and libtool's script would be what is killed.
example=$(cd "$top_builddir/examples" && pwd)
! [ -x "$example/.libs/lmtp" ] || example=$example/.libs
lmtp()
{
	cd "$work" && exec env LD_LIBRARY_PATH="$example/../../.libs" \
		"$example/lmtp" "$@" 2>err
}
# Until it listens, or ends.
start_lmtp()
{
	lmtp mails socket <"$work/stdin" >"$work/told" &
	pid=$!
	exec 9>"$work/stdin"
	read -r told <"$work/told"
}
client() { (cd "$work" && python3 client.py "$@"); }
if command -v python3 >/dev/null; then
	start_lmtp
	check "lmtp says where it listens" test "$told" = "listening on socket"
	check "it answers each recipient" client pipelined
	check "and each of many commands at once" client replies
	check "it refuses what is too large, and goes on" client large
	client killing $pid >"$work/got" 2>"$work/why"
	wait $pid 2>"$work/why"
	exec 9>&-
	check "it acknowledges mail" test "$(wc -l <"$work/got")" -ge 50
	acknowledged >"$work/differ" 2>&1
	check_empty "which is there when it was killed" "$work/differ"
	start_lmtp
	client many >"$work/got" 2>"$work/why"
	exec 9>&-
	check "it ends with its standard input" wait $pid
	check_empty "and has nothing to complain of" "$work/err"
	check "what it acknowledged" test "$(wc -l <"$work/got")" -eq 30
	acknowledged >"$work/differ" 2>&1
	check_empty "is there" "$work/differ"
	(lmtp . socket </dev/null)
	check "where there is no spool it says so" grep -q "not a spool" "$work/err"
else
	not_run "lmtp: python3 is not installed"
fi

"$top_builddir/examples/backpressure" >"$work/got" 2>"$work/err"
check "backpressure sends all" grep -q '^14000000 bytes were read' "$work/got"
check_empty "and has nothing to complain of" "$work/err"
# the bound, and a record beyond it
most=$(sed -n 's/.*at most \([0-9]*\) waited$/\1/p' "$work/got")
check "the reader was too slow for it" test "$most" -ge 262144
check "and no more waited than it allows" test "$most" -lt $((262144 + 700))

# What an HTTP client does: the head to one file, the chunks' data to another.
read_response()
{
	while read -r line && [ "$line" != "$cr" ]; do
		echo "${line%"$cr"}"
	done >"$2"
	while read -r size && size=$((0x${size%"$cr"})) && [ $size -gt 0 ]; do
		head -c "$size"
		read -r line && [ "$line" = "$cr" ] || return 1
	done >"$3"
	[ "$size" = 0 ] && read -r line && [ "$line" = "$cr" ] && ! read -r line
} <"$1"
cr=$(printf '\r')
example=$top_builddir/examples/http-chunks
for input in "$top_srcdir/tests/mutants.list" /dev/null; do
	"$example" <"$input" >"$work/response" 2>"$work/err"
	check_empty "http-chunks has nothing to complain of" "$work/err"
	check "and sends a response of chunks" \
		read_response "$work/response" "$work/head" "$work/body.gz"
	check "which are those of what it compressed" \
		sh -c 'gzip -dc "$1" | cmp - "$2"' sh "$work/body.gz" "$input"
	check "with a head that says so" grep -q 'chunked$' "$work/head"
done
if "$example" <"$top_srcdir/tests/mutants.list" >/dev/full 2>"$work/err"; then
	fail "http-chunks fails where it cannot send"
else
	check "http-chunks says why it fails" \
		grep -q 'failed: the client is gone$' "$work/err"
fi
if "$example" </ >"$work/response" 2>"$work/err"; then
	fail "http-chunks fails where it cannot read"
else
	check "http-chunks says what it cannot read" \
		grep -q 'Is a directory' "$work/err"
fi
if read_response "$work/response" "$work/head" "$work/body.gz"; then
	fail "and then the response has no end"
else
	pass "and then the response has no end"
fi

# Its test is a program of its own, with all that waits.
[ -x "$top_builddir/tests/test-nonblocking-libev" ] ||
	not_run "ioloop-libev: there is no libev (package libev-dev), or no cmocka"

for name in compress spool; do
	n=$((${n:-0} + 1))
	c_blocks "$top_srcdir/README.md" $n >"$work/shown.c"
	check "the README shows $name.c as it is" is_part "$work/shown.c" \
		"$top_srcdir/examples/$name.c"
done
check "and no other code" test -z "$(c_blocks "$top_srcdir/README.md" 3)"
finish
