#!/usr/bin/env python3
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
"""Times the stores of a spool, and what a user might take instead, as run.py does the
streams: pairs in turn, medians, spreads and verdicts. BENCH_DISK is a folder on the disk
that is asked about, BENCH_MESSAGES how many a large spool has."""

import os
import pathlib
import shutil
import statistics
import subprocess

import run
import spoolrows as table

PACKAGES = {"spool-sqlite": "libsqlite3-dev", "spool-lmdb": "liblmdb-dev"}
# bytes of a record's header, the border it begins on, and the name of no stack
HEADER, ALIGN, STACK = 64, 64, len("plain")


class SpoolBench(run.Bench):
    # the table says which it is
    disk_counts = True

    def __init__(self, args):
        super().__init__(args)
        if args.disk:
            self.places["disk"] = (pathlib.Path(args.disk).resolve() /
                                   f"bobbin-bench-{os.getpid()}")
        self.rates = []

    def prepare(self, rows):
        self.prepare_places()
        self.prepare_corpus("crlf", 8, "crlf")
        self.prepare_key()
        self.words["record"] = str(self.record_size(""))
        self.words["zstd_record"] = str(self.record_size("zstd:3"))
        works = " ".join(f"{row.ours} {row.peer}" for row in rows)
        for name, count in (("large", self.args.messages), ("thousand", 1000)):
            if "{disk}/" + name in works:
                self.run(f"spool fill corpus={{crlf}} piece={table.BODY} "
                         f"writers=64 total={count} store=journal codec= "
                         f"out={{disk}}/{name}")

    def record_size(self, codec):
        """What a message takes in a segment: its body and its headers."""
        stored = self.run(f"spool stored corpus={{crlf}} piece={table.BODY} "
                          f"total=100 store=journal codec={codec} "
                          "out={tmpfs}/fresh-stored")["out"]
        sizes = (table.BODY, stored - table.BODY) if codec == "" else \
            (stored // 2, stored // 2)
        return sum(-(-(HEADER + STACK + size) // ALIGN) * ALIGN
                   for size in sizes)

    def missing(self, row):
        for program, package in PACKAGES.items():
            if row.peer.startswith(program + " ") and \
                    not (self.programs / f"bench-{program}").exists():
                return f"package {package}"
        if row.peer.startswith("spool-postfix "):
            if shutil.which("smtp-source") is None:
                return "package postfix"
            if os.geteuid() != 0:
                return "a Postfix of its own is root's to start"
        return super().missing(row)

    def measure(self, row):
        """As the base, but with medians of both sides instead of their last."""
        pairs = self.run_pairs(row)
        sides = [median_of([pair[i] for pair in pairs]) for i in (1, 2)]
        for store, side in zip(row.stores, sides):
            self.rates.append((store, row.writers, per_second(side)))
        return sorted(pair[0] for pair in pairs), *sides


def median_of(results):
    if results[0] is None:
        return None
    return {key: statistics.median(result[key] for result in results)
            for key in results[0]}


def per_second(result):
    return result["calls"] / result["wall"] * 1e9


COLUMNS = run.COLUMNS[:9] + ("ours a second", "peer a second", "ours CPU us",
                             "peer CPU us", "ours p99.9 ms", "peer p99.9 ms",
                             "ours wall MB/s", "peer wall MB/s")


def line_of(row, figures, ours, peer):
    line = run.line_of(row, figures, ours, peer)
    puts = " put" in row.ours or " encode" in row.ours
    for name, side in (("ours", ours), ("peer", peer)):
        has = side is not None
        line[f"{name} a second"] = f"{per_second(side):.0f}" if has else ""
        line[f"{name} CPU us"] = \
            f"{side['cpu'] / side['calls'] / 1e3:.1f}" if has else ""
        line[f"{name} p99.9 ms"] = \
            f"{side['out'] / 1e6:.2f}" if has and puts else ""
        line[f"{name} wall MB/s"] = run.mb_s(side, "wall")
    return line


def write_table(path, lines, args):
    """The same on stdout and in a file."""
    text = [f"Machine: {run.machine()}. {run.of_pairs(args.pairs)} "
            f"{args.filesystem}.\n"]
    group = None
    for line in lines:
        if line["group"] != group:
            group = line["group"]
            text.append(f"\n### {group}\n\n"
                        "| | figure | spread | target | verdict | a second | "
                        "peer's | CPU us | peer's | p99.9 ms | peer's |\n"
                        + "|---" * 11 + "|\n")
        name = line["name"].replace("|", "\\|")
        text.append(f"| {name} | {line['figure']} {line['unit']} | "
                    f"{line['low']} to {line['high']} | {line['target']} | "
                    f"{line['verdict']} | " +
                    " | ".join(line[c] for c in COLUMNS[9:15]) + " |\n")
    print("".join(text))
    path.write_text("".join(text))


PLOT = """set terminal svg size 900,600 font "sans,12" noenhanced
set output "{svg}"
set title "Messages of 4 KiB a second, each on the disk"
set xlabel "writers"
set ylabel "messages a second"
set logscale x 2
set xrange [0.9:72]
set logscale y 10
set xtics ({tics})
set grid
set key outside right
plot {lines}
"""


def write_plot(out, rates):
    """Of each store its messages a second over the writers; whether there is a plot
    now."""
    stores = {}
    if not rates:
        return False
    for store, writers, rate in rates:
        stores.setdefault(store, {}).setdefault(writers, []).append(rate)
    if shutil.which("gnuplot") is None:
        print("NOT RUN: the plot: there is no gnuplot (package gnuplot-nox)")
        return False
    data = out / "spool.dat"
    data.write_text("\n\n\n".join(
        "\n".join(f"{writers} {statistics.median(of_all):.1f}"
                  for writers, of_all in sorted(store.items()))
        for store in stores.values()) + "\n")
    script = out / "spool.gnuplot"
    script.write_text(PLOT.format(
        svg=out / "spool.svg",
        tics=", ".join(str(writers) for writers in table.WRITERS),
        lines=", ".join(f'"{data}" index {i} with linespoints title "{store}"'
                        for i, store in enumerate(stores))))
    subprocess.run(["gnuplot", script], check=True)
    return True


def describe_filesystem(path):
    """What it is, and whether it has a journal: (words, how many times as fast as a
    file a message ours is to be)."""
    kind = run.filesystem(path)
    if kind == "tmpfs":
        return "tmpfs: nothing is on a disk", None
    device = os.stat(path).st_dev
    link = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if kind == "ext2/ext3" and link.exists():
        name = link.resolve().name
        if any(pathlib.Path("/proc/fs/jbd2").glob(f"{name}-*")):
            return "ext4 with a journal", 2
        return "ext4 without a journal", 8
    return kind, None


def main():
    parser = run.arguments(__doc__, 7)
    parser.add_argument("--disk", default=os.environ.get("BENCH_DISK", ""),
                        help="a folder on the disk; bench/out/disk")
    parser.add_argument("--messages", type=int,
                        default=int(os.environ.get("BENCH_MESSAGES", 100000)),
                        help="of the large spool")
    args = parser.parse_args()
    if args.disk and not os.path.isdir(args.disk):
        parser.error(f"there is no folder {args.disk}")
    args.core = None
    bench = SpoolBench(args)
    bench.out.mkdir(parents=True, exist_ok=True)
    args.filesystem, times = describe_filesystem(args.disk or bench.out)
    lines = run.run_rows(bench, table.all_rows(args.messages, times), line_of)
    run.write_tsv(bench.out / "spool.tsv", lines, COLUMNS)
    write_table(bench.out / "spool.md", lines, args)
    plot = ["spool.svg"] if write_plot(bench.out, bench.rates) else []
    run.print_verdicts(lines)
    print(f"{bench.out}/{', '.join(['spool.md', 'spool.tsv', *plot])}")


if __name__ == "__main__":
    main()
