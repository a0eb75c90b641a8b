# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
"""What bench/spool.py compares: rows as in rows.py. {disk} is a folder on the disk,
{record} the bytes that a message takes in a journal, {messages} how many there are in
{disk}/large; {disk}/thousand has 1,000."""

import dataclasses

import rows

# Messages of a run, by writers: what a journal has of them fits into one segment,
# which is there before the clock runs, as the raw limit's blocks are.
WRITERS = {1: 400, 16: 4000, 64: 10000}
BODY = 4096


@dataclasses.dataclass
class Row(rows.Row):
    clock: str = "wall"
    cores: int = 2
    # of the plot: how many write, and what the two are
    writers: int = 0
    stores: tuple = ()


def put(program, writers, out, extra="", part=1):
    return (f"{program} corpus={{crlf}} piece={BODY} writers={writers} "
            f"total={max(WRITERS[writers] // part, 100)} "
            f"out={{disk}}/fresh-{out}{extra}")


def journal(writers, codec=""):
    return put("spool put", writers, "journal",
               f" store=journal 'codec={codec}'")


def of(writers):
    return "1 writer" if writers == 1 else f"{writers} writers"


def stores(filesystem):
    """filesystem: how many times as fast as a file a message the journal is to be
    there; None: nobody said."""
    group = "4 KiB messages, each on the disk"
    peers = (
        ("raw", "the raw limit", "spool-raw put", 1, " record={record}"),
        ("files", "a file a message, by hand", "spool-raw put-files", 4,
         " record={record}"),
        ("file store", "our file store", "spool put", 4,
         " store=file codec="),
        ("SQLite", "SQLite (WAL, FULL)", "spool-sqlite put", 4, ""),
        ("LMDB", "LMDB", "spool-lmdb put", 4, ""),
        ("Postfix", "Postfix over loopback", "spool-postfix put", 4, ""))
    for writers in WRITERS:
        for store, name, work, part, extra in peers:
            target = {"raw": 0.9 if writers == 1 else 0.8,
                      "files": filesystem}.get(store)
            yield Row(group, f"{of(writers)}, journal against {name}",
                      journal(writers),
                      put(work, writers, store.replace(" ", "-"), extra, part),
                      target=target, writers=writers,
                      stores=("journal", store))


def new_segments():
    """More than a segment: the journal makes new ones meanwhile, whose blocks are
    written twice."""
    total = 4 * WRITERS[64]
    sized = [work.replace(f"total={WRITERS[64]}", f"total={total}")
             for work in (journal(64) + " layer=growing",
                          put("spool-raw put", 64, "raw",
                                           " record={record}"))]
    yield Row("new segments", f"{total:,} messages, {of(64)}, journal against "
              "the raw limit", *sized)


CODECS = ("zstd:3", "zstd:3 | age:recipient={recipient}")


def name_of(codec):
    return codec.split(":recipient")[0]


def codecs():
    for codec in CODECS:
        for writers in (16, 64):
            ours = journal(writers, codec)
            theirs = put("spool encode", writers, "nothing", f" 'codec={codec}'")
            yield Row("stacks", f"{name_of(codec)}, {of(writers)}, against the codecs alone",
                      ours, theirs, target=0.85)
            if codec == "zstd:3":
                yield Row("stacks", f"zstd:3, {of(writers)}, the least, its library and "
                          "the raw limit, against the codecs alone",
                          put("spool-raw put", writers, "raw",
                              " codec=zstd record={zstd_record}"), theirs)


def asynchronous():
    """One thread has 64 messages under way, and workers have their codecs."""
    group = "asynchronous calls, 64 messages under way"

    def journal_async(codec=""):
        return journal(64, codec).replace("spool put", "spool put-async")
    yield Row(group, "journal against 64 threads that wait", journal_async(),
              journal(64))
    yield Row(group, "journal against the raw limit with 64 threads",
              journal_async(),
              put("spool-raw put", 64, "raw", " record={record}"))
    for codec in CODECS:
        yield Row(group, f"{name_of(codec)}, against the codecs alone",
                  journal_async(codec),
                  put("spool encode", 64, "nothing", f" 'codec={codec}'"),
                  target=0.85)


def starting(messages):
    group = f"opening {messages:,} messages after a kill"
    opening = f"spool open in={{disk}}/large total={messages}"
    yield Row(group, "what it reads, against reading files in turn", opening,
              "spool-raw read-files in={disk}/large/journal "
              f"total={512 << 20}", target=0.7)
    yield Row(group, "seconds", opening, "", "seconds")
    yield Row(group, "resident memory a message", opening, "", "each",
              target=68)


def changes(messages):
    group = f"CPU of a call among {messages:,} messages, against 1,000"
    for work in ("rewrite", "unlink"):
        ours = (f"spool {work} corpus={{crlf}} piece={BODY} total=300 "
                "in={disk}/large")
        yield Row(group, work, ours, ours.replace("large", "thousand"), "times",
                  target=1.1)


def compaction():
    ours = (f"spool put-beside corpus={{crlf}} piece={BODY} writers=16 "
            "total=8000 store=journal codec= layer=compact "
            "out={disk}/fresh-beside")
    yield Row("compaction", "p99.9 of a put, with it against without", ours,
              ours.replace("compact ", " "), "times", target=2)


def all_rows(messages, filesystem):
    yield from stores(filesystem)
    yield from new_segments()
    yield from codecs()
    yield from asynchronous()
    yield from starting(messages)
    yield from changes(messages)
    yield from compaction()
