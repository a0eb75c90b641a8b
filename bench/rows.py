# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
"""What the benchmark compares: a row is a work of ours, the same work of a peer, and
what is aimed at.

Works are named "PROGRAM WORK NAME=VALUE...". {tmpfs} and {disk} are folders, where what
is named fresh-... is removed before each run; {lf} and {crlf} the corpus with those line
ends; {dot}, {gzip}, {zlib}, {lz4}, {zstd}, {age} files that were made of it, {small_gzip}
and so on of a small one; {big} is the corpus many times, {big_age} is that encrypted. A
peer that begins with "$ " is a command for the shell.

Both sides of a row write over one file, {tmpfs}/over or {disk}/over: which of a guest's
memory its pages are is chance, makes a fourth of the time, and stays so from pair to pair."""

import dataclasses

MIB = 1 << 20


@dataclasses.dataclass
class Row:
    group: str
    name: str
    ours: str
    peer: str
    # rate: ours over the peer's, in bytes a second; excess: our nanoseconds a call
    # beyond the peer's; value: out_bytes of ours alone, less one; plain: ours alone, no
    # target
    kind: str = "rate"
    # cpu, wall, or instructions: those between total= and twice as much
    clock: str = "cpu"
    target: float | None = None
    layers: int = 1
    # how many it may have; with fewer it is NOT RUN
    cores: int = 1


def sends():
    group = "file ostream on tmpfs, corked"
    for size, total in ((64, 64), (4096, 128), (65536, 128)):
        tail = f"corpus={{lf}} total={total * MIB} out={{tmpfs}}/over"
        ours = f"streams file-send piece={size} {tail}"
        them = ours.replace("streams", "dovecot")
        raw = f"raw write piece=65536 {tail}"
        least = (f"raw write-blocks piece={size} {tail}",
                 "the least, a copy into a block and write(2), against ")
        if size == 64:
            yield Row(group, "64 B, ns a call beyond write(2) of 64 KiB", ours,
                      raw, "excess", target=7)
            yield Row(group, "64 B, against libdovecot", ours, them, target=2)
            yield Row(group, f"64 B, {least[1]}libdovecot", least[0], them)
            continue
        name = f"{size // 1024} KiB"
        yield Row(group, f"{name}, against write(2) of 64 KiB", ours, raw,
                  target=0.85 if size == 4096 else 0.98)
        if size == 4096:
            yield Row(group, f"{name}, {least[1]}write(2) of 64 KiB", least[0],
                      raw)
        yield Row(group, f"{name}, against libdovecot", ours, them)
    yield Row("file ostream on disk, corked", "4 KiB, against write(2)",
              "streams file-send corpus={lf} piece=4096 "
              f"total={128 * MIB} out={{disk}}/over",
              "raw write corpus={lf} piece=65536 "
              f"total={128 * MIB} out={{disk}}/over", clock="wall")
    for size, target in ((64, 0.5), (4096, 0.9)):
        ours = (f"streams buffer-send corpus={{lf}} piece={size} "
                f"total={512 * MIB}")
        yield Row("buffer ostream of known size",
                  f"{size} B, against memcpy", ours,
                  ours.replace("streams buffer-send", "raw memcpy"),
                  target=target)
        yield Row("buffer ostream of known size",
                  f"{size} B, against libdovecot", ours,
                  ours.replace("streams", "dovecot"))
    ours = f"streams null-send corpus={{lf}} piece=64 total={512 * MIB}"
    yield Row("null ostream", "ns a send", ours, "", "excess", target=5)
    yield Row("null ostream", "instructions a send",
              f"streams null-send corpus={{lf}} piece=64 total={MIB}", "",
              "excess", "instructions")
    yield Row("null ostream", "64 B, against libdovecot", ours,
              ours.replace("streams", "dovecot"))


def dots():
    targets = {64: 20, 512: 8, 4096: 5, 65536: 5}
    for ends in ("lf", "crlf"):
        group = f"dot over file on tmpfs, mail with {ends.upper()}"
        for size, target in targets.items():
            ours = (f"streams dot-file-send corpus={{{ends}}} piece={size} "
                    f"total={64 * MIB} out={{tmpfs}}/over")
            them = ours.replace("streams", "dovecot")
            if size == 64:
                them = them.replace(f"total={64 * MIB}", f"total={16 * MIB}")
            yield Row(group, f"{size} B, against libdovecot", ours, them,
                      target=target)
            if size >= 512:
                yield Row(group, f"{size} B, against our plain file stream",
                          ours, ours.replace("dot-file-send", "file-send"),
                          target=0.6)
        ours = f"streams dot-read corpus={{{ends}}} total={128 * MIB}"
        yield Row("reading dot", f"mail with {ends.upper()}, against "
                  "libdovecot", ours, ours.replace("streams", "dovecot"),
                  target=10)


CODECS = (("gzip", 6, 32), ("zlib", 6, 32), ("lz4", 1, 256), ("zstd", 3, 128))


def codecs():
    for codec, level, mib in CODECS:
        ours = (f"bobbin encode corpus={{lf}} codec={codec} level={level} "
                f"piece=65536 total={mib * MIB}")
        yield Row("encoding into null", f"{codec}:{level}, against its library",
                  ours, ours.replace("bobbin", "raw"), target=0.97)
        ours = (f"bobbin encode corpus={{lf}} codec={codec} level={level} "
                f"piece=65536 total={(2 if mib < 64 else 8) * MIB}")
        yield Row("encoding into null",
                  f"{codec}:{level}, instructions against its library", ours,
                  ours.replace("bobbin", "raw"), "rate", "instructions", 0.97)
        if codec != "zlib":
            ours = (f"streams decode codec={codec} in={{{codec}}} "
                    f"total={4 * mib * MIB}")
            yield Row("decoding", f"{codec}, against its library", ours,
                      ours.replace("streams", "raw"), target=0.97)
            count = (f"streams decode codec={codec} in={{small_{codec}}} "
                     f"total={4 * MIB}")
            yield Row("decoding", f"{codec}, instructions against its library",
                      count, count.replace("streams", "raw"), "rate",
                      "instructions", 0.97)
        if codec in ("gzip", "zstd"):
            yield Row("decoding", f"{codec}, against libdovecot", ours,
                      ours.replace("streams", "dovecot"))
    for codec, level, _ in CODECS:
        for work, name in (("sizes", "64-byte sends"),
                           ("sizes-dot", "dot above it")):
            yield Row("stored size", f"{codec}: bytes that a message grows by "
                      f"{name}", f"bobbin {work} corpus={{lf}} codec={codec} "
                      f"level={level} total={8 * MIB}", "", "value", target=16)
    # which read the file that the commands read, and make frames as they do
    for spec, name, command in (
            ("gzip:6", "gzip:6", "gzip -6 -c {lf}"),
            ("lz4:1", "lz4:1", "lz4 -q -1 -B4 -BD -c {lf}"),
            ("zstd:3", "zstd:3", "zstd -3 -q --single-thread -c {lf}"),
            ("age:recipient={recipient}", "age", "age -r {recipient} {lf}")):
        yield Row("the commands", f"{name}, our stream against the command",
                  f"stacks encode-file in={{lf}} spec={spec}",
                  f"$ {command} >/dev/null")
    # files large enough for the clock of a whole process
    for verb, option, source in (("encode", "", "{big}"),
                                 ("decode", "-d ", "{big_base64}")):
        yield Row("the commands", f"base64, {verb[:-1]}ing file to file, against "
                  "the command", f"stacks {verb}-file in={source} "
                  "out={tmpfs}/over spec=base64:line=76",
                  f"$ base64 {option}{source} 1<>{{tmpfs}}/over")


def ages():
    ours = ("bobbin encode corpus={lf} codec=age key={key} piece=65536 "
            f"total={256 * MIB}")
    yield Row("age into null", "against its AEAD alone", ours,
              ours.replace("bobbin encode", "raw aead-seal"), target=0.97)
    ours = f"bobbin decrypt in={{age}} key={{key}} total={256 * MIB}"
    yield Row("age into null", "decrypting, against its AEAD alone", ours,
              "raw aead-open corpus={lf} piece=65536 "
              f"total={256 * MIB}", target=0.97)
    ours = (f"bobbin messages corpus={{lf}} codec=age key={{key}} "
            f"piece=4096 total={2000 * 4096}")
    yield Row("age into null", "4 KiB to one recipient, against its two X25519",
              ours, ours.replace("bobbin messages", "raw x25519"),
              target=0.909)


LAYERS = ("passthrough", "limit", "progress", "tee")


def layers():
    """A stack with one more layer, against itself without it."""
    for layer in LAYERS:
        for size, mib, target in ((4096, 256, 0.95), (64, 64, None)):
            ours = (f"stacks send spec=dot corpus={{crlf}} piece={size} "
                    f"total={mib * MIB} out={{tmpfs}}/over layer=")
            yield Row("one more layer: above dot over file on tmpfs",
                      f"{layer}, {size} B sends", ours + layer, ours,
                      target=target)
        # the kernel's part is not counted, so that null is the more telling end
        ours = (f"stacks send spec=dot corpus={{crlf}} piece=4096 "
                f"total={2 * MIB} layer=")
        yield Row("one more layer: above dot over null",
                  f"{layer}, 4096 B sends, instructions", ours + layer, ours,
                  "rate", "instructions")
    for layer in LAYERS:
        ours = f"stacks read spec=dot in={{dot}} total={512 * MIB} layer="
        yield Row("one more layer: between dot and the file it reads", layer,
                  ours + layer, ours, target=0.95)


def multiplex():
    group = "multiplex, 8 channels, packets of 4 KiB"
    tail = f"corpus={{lf}} piece=4096 total={256 * MIB}"
    for where, out in (("file on tmpfs", " out={tmpfs}/over"), ("null", "")):
        yield Row(group, f"writing into {where}, against libdovecot",
                  f"streams multiplex-send {tail}{out}",
                  f"dovecot multiplex-send {tail}{out}", target=2)
    ours = f"streams multiplex-read in={{packets}} total={512 * MIB}"
    yield Row(group, "reading, against libdovecot", ours,
              ours.replace("streams", "dovecot"), target=2)


def threads():
    """The clock on the wall: threads take more of the CPU's, not less."""
    tail = f"corpus={{crlf}} piece=65536 total={512 * MIB}"
    zstd = f"stacks send spec=zstd:3 {tail}"
    yield Row("on threads", "dot | zstd:3 | age, async, against zstd:3 alone",
              "stacks send 'spec=dot | zstd:3,async=yes | age:recipient="
              f"{{recipient}},async=yes' {tail}", zstd, clock="wall",
              target=0.9, cores=2)
    yield Row("on threads", "zstd:3, 2 threads against none",
              f"stacks send spec=zstd:3,threads=2 {tail}", zstd, clock="wall",
              target=1.6, cores=2)
    # 1.5 and 2 times as fast: in 2/3 and 1/2 of the time
    yield Row("on threads", "age, encrypting file to file, against the command",
              "stacks encode-file in={big} out={tmpfs}/over "
              "spec=age:recipient={recipient}{age_threads}",
              "$ age -r {recipient} {big} 1<>{tmpfs}/over", clock="wall",
              target=1.5, cores=2)
    yield Row("on threads", "age, decrypting file to file, against the command",
              "stacks decode-file in={big_age} out={tmpfs}/over "
              "spec=age:identity={key}{age_threads}",
              "$ age -d -i {key} {big_age} 1<>{tmpfs}/over", clock="wall",
              target=2, cores=2)


def copies():
    for work, name in (("file-to-file", "copy_file_range"),
                       ("file-to-socket", "sendfile")):
        ours = f"streams {work} in={{lf}} total={512 * MIB} out={{tmpfs}}/over"
        raw = ours.replace("streams", "raw")
        # a socket has somebody who reads it
        cores = 2 if work == "file-to-socket" else 1
        yield Row("send_istream on tmpfs", f"{work}, against {name}", ours, raw,
                  clock="wall", target=0.9, cores=cores)
        yield Row("send_istream on tmpfs", f"{work}, against libdovecot", ours,
                  ours.replace("streams", "dovecot"), clock="wall", cores=cores)
    ours = (f"streams file-to-file in={{disk_lf}} total={256 * MIB} "
            "out={disk}/over")
    yield Row("send_istream on disk", "file-to-file, against copy_file_range",
              ours, ours.replace("streams", "raw"), clock="wall", target=0.9)


def small():
    for codec, layers, peer, target, count in (
            ("dot", 1, "messages codec=none", 1200, 100000),
            ("gzip", 1, "messages codec=gzip", 2000, 4000),
            ("lz4", 1, "messages codec=lz4", 2000, 20000),
            ("zstd", 1, "messages codec=zstd", 2000, 10000),
            ("hash,zstd", 2, "hashed-messages codec=zstd", 2000, 10000),
            ("dot,hash,zstd", 3, "hashed-messages codec=zstd", 2000, 10000)):
        level = {"gzip": 6, "lz4": 1}.get(codec, 3)
        tail = (f"corpus={{lf}} level={level} piece=4096 "
                f"total={count * 4096}")
        yield Row("create, cork, send 4 KiB, finish, destroy",
                  f"{codec.replace(',', ' | ')}: ns a layer beyond the raw "
                  "work", f"bobbin messages codec={codec} {tail}",
                  f"raw {peer} {tail}", "excess", target=target,
                  layers=layers)
        if codec in ("dot", "gzip"):
            tail = f"codec={codec} {tail}"
            yield Row("create, cork, send 4 KiB, finish, destroy",
                      f"{codec}, against libdovecot",
                      f"streams messages {tail}", f"dovecot messages {tail}",
                      target=8 if codec == "dot" else None)
        if codec == "dot":
            yield Row("create, cork, send 4 KiB, finish, destroy",
                      "dot: instructions a message", "bobbin messages "
                      f"codec=dot corpus={{lf}} piece=4096 total={200 * 4096}",
                      "", "excess", "instructions")
        yield Row("allocations a message", codec.replace(",", " | "),
                  f"bobbin messages codec={codec} corpus={{lf}} "
                  f"piece=4096 total={1016 * 4096} level={level}", "",
                  "allocations")
    ours = f"streams read-lines in={{lf}} total={512 * MIB}"
    yield Row("reading lines of mail", "against libdovecot", ours,
              ours.replace("streams", "dovecot"), target=2)
    yield Row("reading lines of mail", "the least, read(2), memchr and a NUL, "
              "against libdovecot", ours.replace("streams", "raw"),
              ours.replace("streams", "dovecot"))


def memory():
    for codec, level in (("gzip", 6), ("lz4", 1), ("zstd", 3), ("age", 0)):
        yield Row("bytes of an idle stack, of 1,000", f"dot | hash | {codec}",
                  f"bobbin idle codec=dot,hash,{codec} corpus={{lf}} "
                  f"piece=4096 total=1000 level={level} key={{key}}", "",
                  "bytes")
    for codec in ("gzip", "zstd", "age"):
        yield Row("resident while streaming, KiB more than before", codec,
                  f"bobbin encode codec={codec} corpus={{small}} piece=65536 "
                  f"total={64 * MIB} level=3 key={{key}}", "", "resident")


def spool():
    # where a sync costs nothing, the hash of the body alone is more than 10 %
    for place, count, target in (("tmpfs", 2000, None), ("disk", 100, 0.909)):
        yield Row("spool put, one writer, plain",
                  f"{place}, against the bare protocol",
                  f"bobbin spool-put corpus={{crlf}} total={count} "
                  f"out={{{place}}}/fresh-spool codec=",
                  f"raw put-files corpus={{crlf}} total={count} "
                  f"out={{{place}}}/fresh-files", clock="wall", target=target)


def large_spool(count):
    """In this order, in one run."""
    base = f"out={{tmpfs}}/large"
    for work in ("put corpus={small} codec= total=%d" % count, "list", "get",
                 "verify"):
        yield Row(f"spool of {count:,} messages on tmpfs", work.split()[0],
                  f"bobbin spool-{work} {base}", "", "plain", "wall")


def all_rows():
    for part in (sends, dots, codecs, ages, layers, multiplex, threads,
                 copies, small, memory, spool):
        yield from part()
