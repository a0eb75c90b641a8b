#!/usr/bin/env python3
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
"""Postfix as a store of messages: how fast one of its own, in out=FOLDER, takes total=N
of piece=SIZE octets from writers=W connections on the loopback interface. They go to its
hold queue. Prints what the other programs print (see bench.c)."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

MAIN = """compatibility_level = 3.6
queue_directory = {out}/queue
data_directory = {out}/data
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = bench.invalid
mydestination =
alias_maps =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_client_access static:HOLD
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
default_process_limit = 200
maillog_file_prefixes = {out}
maillog_file = {out}/log
"""

MASTER = """127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def make(out):
    """The configuration's folder, and the port."""
    port = free_port()
    for name in ("conf", "queue", "data"):
        (out / name).mkdir(parents=True)
    shutil.chown(out / "data", "postfix")
    words = {"out": out, "port": port}
    (out / "conf/main.cf").write_text(MAIN.format(**words))
    (out / "conf/master.cf").write_text(MASTER.format(**words))
    return out / "conf", port


def await_port(port):
    for _ in range(100):
        try:
            with socket.create_connection(("127.0.0.1", port)) as sock:
                if sock.recv(3) == b"220":
                    return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit("Postfix does not answer")


def cpu_ns(out):
    """Of master, and of its children, those that have ended among them."""
    master = int((out / "queue/pid/master.pid").read_text())
    ticks = 0
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(path.parent.name) == master:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == master:
            ticks += sum(map(int, fields[11:13]))
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def send(port, writers, count, size):
    subprocess.run(["smtp-source", "-d", "-s", str(writers), "-m", str(count),
                    "-l", str(size), "-f", "a@example.org",
                    "-t", "b@example.org", f"127.0.0.1:{port}"], check=True)


def main():
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    out = pathlib.Path(words["out"])
    size, writers, total = (int(words[key])
                            for key in ("piece", "writers", "total"))
    conf, port = make(out)
    subprocess.run(["postfix", "-c", conf, "start"], check=True)
    try:
        await_port(port)
        send(port, writers, writers, size)
        cpu, start = cpu_ns(out), time.monotonic_ns()
        send(port, writers, total, size)
        wall, cpu = time.monotonic_ns() - start, cpu_ns(out) - cpu
    finally:
        subprocess.run(["postfix", "-c", conf, "stop"], check=True)
    held = sum(path.is_file() for path in (out / "queue/hold").rglob("*"))
    if held != writers + total:
        sys.exit(f"Postfix has {held} messages, not {writers + total}")
    print(total * size, total, total * size, wall, cpu, 0)


if __name__ == "__main__":
    main()
