#!/usr/bin/env python3
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
"""Gives the same awkward and damaged files to several libraries, and full disks, and
writes what each does as a page of Markdown.

    conformance.py --peers DIR --versions FILE --compat FILE --out FILE

Exits with 1 where Bobbin gives one wrong answer, or an expected peer is not there."""

import argparse
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile

PEERS = ("bobbin", "libdovecot", "GMime", "GIO", "libarchive")
PLAIN = b"".join(b"%d bottles of beer\r\n" % n for n in range(9000))
FORMATS = ("gzip", "bzip2", "xz", "zstd", "lz4")


def command(*args):
    return subprocess.run(args, input=PLAIN, stdout=subprocess.PIPE,
                          check=True).stdout


MAKE = {
    "gzip": lambda: command("gzip", "-n", "-c"),
    "bzip2": lambda: command("bzip2", "-c"),
    "xz": lambda: command("xz", "-c", "--check=crc64"),
    "zstd": lambda: command("zstd", "-q", "-c", "--check"),
    "lz4": lambda: command("lz4", "-q", "-c", "-BX"),
}


def flipped(data, at):
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]


def files(form):
    """Name, bytes, whether they are whole, and what is to come out at most."""
    data = MAKE[form]()
    # where the checksum of the content is, from the end
    check = {"gzip": -8, "bzip2": -4, "xz": None, "zstd": -4, "lz4": -4}[form]
    trailer = {"gzip": 8, "bzip2": 10, "xz": 12, "zstd": 4, "lz4": 8}[form]
    yield "as the command writes it", data, True, PLAIN
    yield "two members", data + data, True, PLAIN + PLAIN
    if check is not None:
        yield "checksum is wrong", flipped(data, check), False, PLAIN
    if form == "gzip":
        yield "ISIZE is wrong", flipped(data, -4), False, PLAIN
        yield "zeros behind it", data + b"\0" * 512, None, PLAIN
    yield "a bit is flipped in the middle", flipped(data, len(data) // 2), \
        False, PLAIN
    yield "cut in the middle", data[:len(data) // 2], False, PLAIN
    yield "the trailer is cut off", data[:-trailer], False, PLAIN
    yield "the last byte is cut off", data[:-1], False, PLAIN
    yield "garbage behind it", data + b"garbage behind it\n", False, PLAIN
    yield "the second member is cut", data + data[:len(data) // 2], False, \
        PLAIN + PLAIN
    yield "another format", b"This is no compressed file.\n" * 40, False, b""
    yield "empty", b"", False, b""


class Peers:
    def __init__(self, directory):
        self.directory = directory

    def run(self, peer, verb, form, path, data=b"", limit=None):
        def bound():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return subprocess.run(
            [self.directory / f"peer-{peer.lower()}", verb, form, path],
            input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=bound, timeout=60)


def ending(result):
    """None: success; "": the format is not there; or what was told."""
    if result.returncode == 2:
        return ""
    if result.returncode == 0:
        return None
    if result.returncode == 1:
        return "error"
    return f"died ({signal.Signals(-result.returncode).name})" \
        if result.returncode < 0 else f"ended with {result.returncode}"


def read_cell(result, whole, want):
    """The cell, and whether it is what one wants."""
    how = ending(result)
    got = result.stdout
    if how == "":
        return "-", True
    part = "all" if got == want else "nothing" if not got else \
        "a part" if want.startswith(got) else "wrong bytes"
    if how is not None:
        good = how == "error" and whole is not True
        text = how if part in ("all", "nothing") and whole is not True else \
            f"{part}, {how}"
        return text if good else f"**{text}**", good
    if whole is False:
        return ("**success**" if part == "all" else
                f"**success, {part}**"), False
    return ("ok", True) if part == "all" else (f"**{part}, success**", False)


def table(title, columns, rows):
    yield f"| {title} | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, cells in rows:
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""


def reading(peers, work, bad):
    path = work / "file"
    for form in FORMATS:
        rows = []
        for name, data, whole, want in files(form):
            path.write_bytes(data)
            cells = []
            for peer in PEERS:
                cell, good = read_cell(peers.run(peer, "read", form, path),
                                       whole, want)
                cells.append(cell)
                if peer == "bobbin" and not good:
                    bad.append(f"{form}, {name}: {cell}")
            rows.append((name, cells))
        yield from table(form, PEERS, rows)


def written_whole(form, path):
    tool = {"gzip": "gzip", "bzip2": "bzip2", "xz": "xz", "zstd": "zstd",
            "lz4": "lz4"}[form]
    result = subprocess.run([tool, "-dc"], input=path.read_bytes(),
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return result.returncode == 0 and result.stdout == PLAIN


def full_cell(peers, peer, form, path, room):
    """With room for so many bytes, counted from the end of a whole file's if
    negative."""
    path.write_bytes(b"")
    whole = peers.run(peer, "write", form, path, PLAIN)
    if ending(whole) == "":
        return "-", True
    size = path.stat().st_size
    limit = room if room >= 0 else size + room
    path.write_bytes(b"")
    how = ending(peers.run(peer, "write", form, path, PLAIN, limit))
    if how == "error":
        return how, True
    if how is None:
        good = written_whole(form, path)
        return ("ok" if good else "**success, bytes lost**"), good
    return f"**{how}**", False


def writing(peers, work, bad):
    path = work / "full"
    for form in FORMATS:
        rows = []
        for name, room in (("at the first byte", 0), ("after 100 bytes", 100),
                           ("eight bytes before the end", -8),
                           ("one byte before the end", -1)):
            cells = []
            for peer in PEERS:
                cell, good = full_cell(peers, peer, form, path, room)
                cells.append(cell)
                if peer == "bobbin" and not good:
                    bad.append(f"writing {form}, full {name}: {cell}")
            rows.append((name, cells))
        yield from table(f"{form}: the disk is full", PEERS, rows)


HEAD = """# What other libraries do with the same files

`make conformance` writes this page: it gives the same files and the same full disks to
Bobbin, libdovecot, GMime, GIO and libarchive, each through a small program
(`tests/conformance/peer-*.c`), and runs the call sequences of `tests/compat/` over
Bobbin and libdovecot. It fails where Bobbin gives an answer that is in bold.

"""

READ_HEAD = """## Reading

"ok": all bytes, and success. "error": an error was reported, after all the bytes or
without any; "a part" says that there were some, "wrong bytes" that those were not the
file's (a checksum at the end finds that out at the end). In bold is what a program
cannot notice: success over a damaged file, or with bytes missing. "-": the library does
not have the format (libdovecot's "lz4" is a container of its own, and it reads xz
without writing it). gzip(1) takes zeros behind a file for padding. libarchive, as bsdcat
uses it, takes another format for no compression, and gives the file as it is.

"""

WRITE_HEAD = """## A full disk

The file may have so many bytes (RLIMIT_FSIZE). "error" is the right answer; "success,
bytes lost" is a program that tells its user that all is well.

"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--peers", type=pathlib.Path, required=True)
    parser.add_argument("--versions", type=pathlib.Path, required=True)
    parser.add_argument("--compat", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()

    peers, bad = Peers(args.peers.resolve()), []
    with tempfile.TemporaryDirectory(prefix="bobbin-conformance-") as work:
        work = pathlib.Path(work)
        read = list(reading(peers, work, bad))
        write = list(writing(peers, work, bad))
    text = HEAD + args.versions.read_text() + "\n" + READ_HEAD + \
        "\n".join(read) + "\n" + WRITE_HEAD + "\n".join(write) + "\n" + \
        args.compat.read_text()
    args.out.write_text(text)
    print(f"wrote {args.out}")
    for line in bad:
        print(f"WRONG: {line}", file=sys.stderr)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
