#!/usr/bin/env python3
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
"""Times our works and those of what people would use instead, in turn, and says for each
target whether it is met.

A row runs as pairs, ours and the peer's, the order changing from pair to pair. Its figure
is the median of the pairs' ratios, and its spread the interval that holds the median with
96 % certainty (for 9 pairs: the second smallest to the second largest). The verdict is
MET or MISSED where all of the interval is on one side of the target, else UNCLEAR. All
of fewer than six pairs hold the median with less (five with 94 %), and fewer than five
give no verdict. A row whose clock is instructions runs under valgrind, once: a count
does not move. What needs one core gets one, always the same: another may run at another
speed.

Needs only the programs that "make bench" builds; a peer that is missing is NOT RUN."""

import argparse
import math
import os
import pathlib
import platform
import re
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import time

import rows as table

PREPARED = ("dot", "gzip", "zlib", "lz4", "zstd", "age")


# which it takes time to remove, and then to make anew
MANY_FILES = 100
# of what runs in pairs; fewer hold the median with less than 90 %
LEAST_PAIRS = 5


class WorkFailed(Exception):
    """A program ended with an error, or is missing: its row has no figure."""


def children_cpu():
    """Nanoseconds of those that were waited for. Not os.times(), whose ticks of 10 ms are
    a third of what some commands take."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((usage.ru_utime + usage.ru_stime) * 1e9)


def filesystem(path):
    return subprocess.run(["stat", "-f", "-c", "%T", path], check=True,
                          capture_output=True, text=True).stdout.strip()


class Bench:
    # whether the rows of a disk are told of whatever the disk is
    disk_counts = False

    def __init__(self, args):
        self.args = args
        self.programs = pathlib.Path(args.programs).resolve()
        self.out = pathlib.Path(args.out).resolve()
        self.places = {"disk": self.out / "disk",
                       "tmpfs": pathlib.Path(args.tmpfs) /
                       f"bobbin-bench-{os.getpid()}"}
        self.words = {}
        self.old = 0
        self.cores = os.sched_getaffinity(0)
        # the first one often has the interrupts
        self.core = max(self.cores) if args.core is None else args.core

    def prepare_places(self):
        for name, place in self.places.items():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            self.words[name] = str(place)

    def prepare_corpus(self, name, mib, ends):
        path = self.places["tmpfs"] / f"corpus-{name}"
        corpus = pathlib.Path(__file__).parent / "corpus.py"
        subprocess.run([sys.executable, corpus, self.args.mails, path,
                        str(mib), ends], check=True)
        self.words[name] = str(path)

    def prepare_key(self):
        self.words["key"] = str(self.places["tmpfs"] / "key")
        bobbin = self.programs.parent / "tools" / "bobbin"
        key = subprocess.run([bobbin, "keygen", "-o", self.words["key"]],
                             check=True, capture_output=True, text=True)
        self.words["recipient"] = key.stdout.strip()

    def prepare(self, rows):
        """Corpora, a key, and the files that decoders read."""
        self.prepare_places()
        tmpfs = self.places["tmpfs"]
        for name, mib, ends in (("lf", self.args.corpus, "lf"),
                                ("crlf", self.args.corpus, "crlf"),
                                ("small", 1, "crlf")):
            self.prepare_corpus(name, mib, ends)
        self.words["lf_size"] = str(os.path.getsize(self.words["lf"]))
        self.words["disk_lf"] = str(self.places["disk"] / "corpus")
        shutil.copy(self.words["lf"], self.words["disk_lf"])
        self.prepare_key()
        for codec in PREPARED:
            self.prepare_file(codec, "lf", f"codec={codec}")
            self.prepare_file(f"small_{codec}", "small", f"codec={codec}")
        self.words["packets"] = str(tmpfs / "packets")
        self.run("streams multiplex-send corpus={lf} piece=4096 "
                 "total={lf_size} out={packets}")
        self.prepare_big([work for row in rows for work in (row.ours, row.peer)])

    def prepare_file(self, name, corpus, codec):
        """The corpus as a stream writes it."""
        path = self.places["tmpfs"] / name
        self.words[name] = str(path)
        size = os.path.getsize(self.words[corpus])
        self.run(f"bobbin write-file {codec} corpus={{{corpus}}} level=6 "
                 f"key={{key}} piece=65536 total={size} out={path}")

    def prepare_big(self, works):
        """The files of the rows on threads, only where there are such rows."""
        # a build whose age has no threads runs on one
        option = ",threads=2"
        age = "age:recipient={recipient}" + option
        try:
            self.run(f"stacks known spec={age}")
        except WorkFailed:
            option = ""
        self.words["age_threads"] = option
        for name in ("big", "big_age", "big_base64"):
            self.words[name] = str(self.places["tmpfs"] / name)
        if any("{big" in work for work in works):
            with open(self.words["big"], "wb") as file:
                data = pathlib.Path(self.words["lf"]).read_bytes()
                for _ in range(max(self.args.big // self.args.corpus, 1)):
                    file.write(data)
            self.run("stacks encode-file in={big} out={big_age} "
                     "spec=age:recipient={recipient}")
        if any("{big_base64}" in work for work in works):
            # with LF: the command takes no CR
            self.run("$ base64 {big} >{big_base64}")

    def clean(self):
        for place in self.places.values():
            shutil.rmtree(place, ignore_errors=True)

    def missing(self, row):
        """What the row cannot run without and is not here."""
        if len(self.cores) < row.cores:
            return f"there are not {row.cores} cores"
        if row.clock == "instructions" and shutil.which("valgrind") is None:
            return "there is no valgrind (package valgrind)"
        peer = row.peer.split()
        if peer[:1] == ["$"] and shutil.which(peer[1]) is None:
            return f"there is no {peer[1]}"
        if peer and peer[0] != "$" and \
                not (self.programs / f"bench-{peer[0]}").exists():
            return f"there is no bench-{peer[0]}"
        if not self.disk_counts and "{disk" in row.ours and \
                filesystem(self.places["disk"]) == "tmpfs":
            return f"{self.places['disk']} is on a tmpfs, and no disk"
        return None

    def run_command(self, command):
        """A whole process: what it starts with counts, too. The bytes are those of
        the other side."""
        before, started = children_cpu(), time.monotonic_ns()
        result = subprocess.run(command, shell=True)
        wall, cpu = time.monotonic_ns() - started, children_cpu() - before
        if result.returncode != 0:
            raise WorkFailed(f"{command}: ended with {result.returncode}")
        return {"bytes": 0, "calls": 1, "out": 0, "wall": wall, "cpu": cpu,
                "rss": 0}

    def run_program(self, words, wrapper=()):
        """One work's result, and what was said on stderr."""
        program, name, *args = words
        result = subprocess.run(
            [*wrapper, self.programs / f"bench-{program}", f"work={name}",
             *args], capture_output=True, text=True)
        if result.returncode != 0:
            raise WorkFailed(f"bench-{program} work={name} {' '.join(args)}:\n"
                             f"{result.stderr}")
        keys = ("bytes", "calls", "out", "wall", "cpu", "rss")
        return dict(zip(keys, map(int, result.stdout.split()))), result.stderr

    def count(self, words):
        """The instructions between total= and twice as much: what a program starts
        with is not among them."""
        counts, results = [], []
        for factor in (1, 2):
            result, said = self.run_program(
                [re.sub(r"^total=(\d+)$",
                        lambda m: f"total={factor * int(m[1])}", word)
                 for word in words],
                ("valgrind", "--tool=cachegrind", "--cache-sim=no",
                 "--cachegrind-out-file=/dev/null"))
            count = re.search(r"I\s+refs:\s+([\d,]+)", said)
            if count is None:
                raise WorkFailed(f"valgrind counts nothing:\n{said}")
            counts.append(int(count[1].replace(",", "")))
            results.append(result)
        difference = {key: results[1][key] - results[0][key]
                      for key in ("bytes", "calls")}
        return {**difference, "instructions": counts[1] - counts[0], "out": 0}

    def run_row(self, row, work):
        """A work of the row, on as many cores as it may have."""
        os.sched_setaffinity(0, {self.core} if row.cores == 1 else self.cores)
        try:
            return self.run(work, row.clock)
        finally:
            os.sched_setaffinity(0, self.cores)

    def take_away(self, path):
        """Many files have another name until the end: ext4 without a journal looks, for
        a minute, at every inode that was let go before it gives one out."""
        if sum(len(files) for _, _, files in os.walk(path)) < MANY_FILES:
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)
        else:
            self.old += 1
            path.rename(path.with_name(f"old-{self.old}"))

    def run(self, work, clock="cpu"):
        work = work.format(**self.words)
        # a spool, or a file of a command's, is made anew each time
        for path in re.findall(r"/\S*/fresh\S*", work):
            self.take_away(pathlib.Path(path))
        if work.startswith("$ "):
            return self.run_command(work[2:])
        words = shlex.split(work)
        if clock == "instructions":
            return self.count(words)
        return self.run_program(words)[0]

    def measure(self, row):
        """The figures of all pairs, and the last result of each side."""
        pairs = self.run_pairs(row)
        return sorted(pair[0] for pair in pairs), *pairs[-1][1:]

    def run_pairs(self, row):
        """Of each pair its figure, and both results."""
        pairs = []
        once = runs_once(row)
        for i in range(1 if once else self.args.pairs + 1):
            first, second = (row.ours, row.peer)[::1 if i % 2 else -1]
            results = {w: self.run_row(row, w) for w in (first, second) if w}
            ours, peer = results[row.ours], results.get(row.peer)
            if row.peer.startswith("$ "):
                peer["bytes"] = ours["bytes"]
            # the first pair warms up
            if once or i > 0:
                pairs.append((figure(row, ours, peer), ours, peer))
        return pairs


def figure(row, ours, peer):
    clock = row.clock
    if row.kind == "rate":
        return (ours["bytes"] / ours[clock]) / (peer["bytes"] / peer[clock])
    if row.kind == "excess":
        beyond = ours[clock] / ours["calls"]
        if peer is not None:
            # per byte: the peer's calls may have another size
            beyond -= (peer[clock] / peer["bytes"] *
                       ours["bytes"] / ours["calls"])
        return beyond / row.layers
    if row.kind == "value":
        return ours["out"] - 1
    if row.kind == "bytes":
        return ours["out"]
    if row.kind == "times":
        return ours["out"] / peer["out"]
    if row.kind == "each":
        return ours["out"] / ours["calls"]
    if row.kind == "seconds":
        return ours["wall"] / 1e9
    if row.kind == "allocations":
        return ours["out"] / (ours["calls"] - 16)
    if row.kind == "resident":
        return ours["rss"]
    return ours["calls"] / ours["wall"] * 1e9


def interval(figures):
    """The order statistics around the median that hold it with 96 %."""
    n = len(figures)
    if n < 6:
        return figures[0], figures[-1]
    k, tail = 0, 0.0
    while True:
        tail += math.comb(n, k) / 2 ** n
        if 2 * tail > 0.04:
            break
        k += 1
    k = max(k - 1, 0)
    return figures[k], figures[n - 1 - k]


def runs_once(row):
    return (row.kind not in ("rate", "excess", "times") or
            row.clock == "instructions")


def verdict(row, low, high, pairs):
    if row.target is None:
        return ""
    if not runs_once(row) and pairs < LEAST_PAIRS:
        return "UNCLEAR"
    if row.kind == "rate":
        met, missed = low >= row.target, high < row.target
    else:
        met, missed = high <= row.target, low > row.target
    return "MET" if met else "MISSED" if missed else "UNCLEAR"


def mb_s(result, clock):
    return "" if result is None or clock not in result else f"{result['bytes'] / result[clock] * 1e3:.0f}"


def unit(row):
    if row.clock == "instructions" and row.kind == "excess":
        return "instructions"
    return {"rate": "x", "excess": "ns", "value": "B", "bytes": "B",
            "allocations": "", "resident": "KiB", "plain": "/s", "times": "x",
            "each": "B", "seconds": "s"}[row.kind]


def number(value, digits=3):
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:,.0f}" \
        if abs(value) >= 1000 else f"{value:.1f}"


COLUMNS = ("group", "name", "clock", "figure", "low", "high", "unit", "target",
           "verdict", "ours MB/s", "peer MB/s", "ours wall MB/s",
           "peer wall MB/s")


def line_of(row, figures, ours, peer):
    low, high = interval(figures)
    has_rates = row.kind in ("rate", "excess")
    digits = 4 if row.clock == "instructions" else 3
    return dict(zip(COLUMNS, (
        row.group, row.name, row.clock,
        *(number(value, digits)
          for value in (statistics.median(figures), low, high)), unit(row),
        "" if row.target is None else f"{row.target:g}",
        verdict(row, low, high, len(figures)),
        mb_s(ours, "cpu") if has_rates else "",
        mb_s(peer, "cpu") if has_rates else "",
        mb_s(ours, "wall") if has_rates else "",
        mb_s(peer, "wall") if has_rates else "")))


def machine():
    model = ""
    for text in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if text.startswith("model name"):
            model = text.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return (f"{model}, {os.cpu_count()} cores, {memory} GiB, Linux "
            f"{platform.release().split('-')[0]}")


def of_pairs(pairs):
    """How many, and what all of them hold where that is less than 96 %."""
    held = 1 - 2 ** (1 - pairs)
    less = f", whose spread holds the median with {100 * held:.0f} %"
    return f"{pairs} pairs a row{less if held < 0.96 else ''}."


def write_table(path, lines, args):
    with open(path, "w") as file:
        file.write(f"Machine: {machine()}. {of_pairs(args.pairs)}\n")
        group = None
        for line in lines:
            if line["group"] != group:
                group = line["group"]
                file.write(f"\n### {group}\n\n"
                           "| | figure | spread | target | verdict | ours, "
                           "MB/s CPU (wall) | peer, MB/s CPU (wall) |\n"
                           "|---|---|---|---|---|---|---|\n")
            rates = [f"{line[w + ' MB/s']} ({line[w + ' wall MB/s']})"
                     if line[w + " MB/s"] else "" for w in ("ours", "peer")]
            name = line["name"].replace("|", "\\|")
            file.write(f"| {name} | {line['figure']} {line['unit']} | "
                       f"{line['low']} to {line['high']} | {line['target']} | "
                       f"{line['verdict']} | {rates[0]} | {rates[1]} |\n")


PLOT = """set terminal svg size 1200,{height} font "sans,11" noenhanced
set output "{svg}"
set title "Bobbin beside its peers"
set style data points
set grid x
set logscale x 2
set xlabel "times as fast as the peer (1 = the same)"
set yrange [{count}+1:0]
set ytics ({tics})
set lmargin {margin}
set key outside top center horizontal
plot "{data}" using 2:1:3:4 with xerrorbars lc rgb "#0072b2" pt 7 ps 0.6 \
 title "median and spread", \
 "{data}" using 5:1 with points lc rgb "#d55e00" pt 2 ps 0.9 title "target"
"""


def write_plot(out, lines):
    """Ratios with their spread (dots), and the targets (crosses); whether there is a
    plot now."""
    lines = [l for l in lines if l["unit"] == "x"]
    if not lines:
        return False
    if shutil.which("gnuplot") is None:
        print("NOT RUN: the plot: there is no gnuplot (package gnuplot-nox)")
        return False
    data, svg = out / "ratios.dat", out / "ratios.svg"
    plain = lambda text: text.replace(",", "")
    data.write_text("".join(
        f"{i} {plain(l['figure'])} {plain(l['low'])} {plain(l['high'])} "
        f"{l['target'] or 'nan'}\n" for i, l in enumerate(lines, 1)))
    labels = [f"{l['group']}: {l['name']}" for l in lines]
    tics = ", ".join(f'"{label}" {i}' for i, label in enumerate(labels, 1))
    script = out / "ratios.gnuplot"
    script.write_text(PLOT.format(height=120 + 18 * len(lines), svg=svg,
                                  count=len(lines), tics=tics, data=data,
                                  margin=int(max(map(len, labels)) * 0.9) + 2))
    subprocess.run(["gnuplot", script], check=True)
    return True


def run_rows(bench, rows, line_of):
    """The lines of those that are asked for and ran, each printed as it comes;
    line_of(row, figures, ours, peer) makes one."""
    rows = [r for r in rows if bench.args.only in f"{r.group}: {r.name}"]
    if not rows:
        sys.exit(f"no row's group and name contain \"{bench.args.only}\"")
    lines = []
    try:
        bench.prepare(rows)
        for row in rows:
            try:
                why = bench.missing(row)
                if why is not None:
                    raise WorkFailed(why)
                line = line_of(row, *bench.measure(row))
            except WorkFailed as error:
                print(f"NOT RUN: {row.group}: {row.name}: {error}", flush=True)
                continue
            lines.append(line)
            target = f"  target {line['target']}" if line["target"] else ""
            print(f"{line['verdict']:8}{line['figure']:>9} {line['unit']:3} "
                  f"[{line['low']} .. {line['high']}]{target}  "
                  f"{line['group']}: {line['name']}", flush=True)
    finally:
        bench.clean()
    return lines


def write_tsv(path, lines, columns):
    with open(path, "w") as file:
        file.write("\t".join(columns) + "\n")
        for line in lines:
            file.write("\t".join(line[c] for c in columns) + "\n")


def print_verdicts(lines):
    verdicts = [l["verdict"] for l in lines]
    print(", ".join(f"{verdicts.count(v)} {v}"
                    for v in ("MET", "MISSED", "UNCLEAR")))


def number_of_pairs(text):
    if int(text) < 1:
        raise ValueError
    return int(text)


def arguments(description, pairs):
    """What each benchmark may be told."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--programs", default="bench",
                        help="the folder that make bench builds in")
    parser.add_argument("--mails", required=True)
    parser.add_argument("--out", default="bench/out")
    parser.add_argument("--tmpfs", default="/dev/shm")
    parser.add_argument("--pairs", type=number_of_pairs, default=pairs)
    parser.add_argument("--only", default="",
                        help="rows whose group or name contains this")
    return parser


def main():
    parser = arguments(__doc__, 9)
    parser.add_argument("--corpus", type=int, default=32, help="in MiB")
    parser.add_argument("--core", type=int,
                        help="for what needs only one; the last")
    parser.add_argument("--big", type=int, default=1024,
                        help="in MiB, from file to file on threads")
    parser.add_argument("--messages", type=int, default=100000,
                        help="of the large spool; 0: none")
    args = parser.parse_args()
    if not os.path.isdir(args.tmpfs) or filesystem(args.tmpfs) != "tmpfs":
        parser.error(f"{args.tmpfs} is no tmpfs, and half of the rows are of "
                     "one: --tmpfs names it")

    bench = Bench(args)
    bench.out.mkdir(parents=True, exist_ok=True)
    rows = list(table.all_rows())
    if args.messages > 0:
        rows += table.large_spool(args.messages)
    lines = run_rows(bench, rows, line_of)
    write_tsv(bench.out / "results.tsv", lines, COLUMNS)
    write_table(bench.out / "results.md", lines, args)
    plot = ["ratios.svg"] if write_plot(bench.out, lines) else []
    print_verdicts(lines)
    print(f"{bench.out}/{', '.join(['results.md', 'results.tsv', *plot])}")


if __name__ == "__main__":
    main()
