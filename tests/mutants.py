#!/usr/bin/env python3
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
"""Takes a sync, an order or a check out of the sources, one at a time, and looks
whether the test that tests/mutants.list names for it fails. A mutant that lives, an
entry whose lines are not in the source any more, or one that does not compile, is a
failure.

    tests/mutants.py [--jobs N] [--work DIR] [NAME...]

Each job has a copy of the sources and a build of its own below DIR."""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
LIST = TOP / "tests" / "mutants.list"
TIMEOUT = 60


class Mutant:
    def __init__(self, name):
        self.name = name
        self.file = self.program = self.test = None
        self.old, self.new = [], []

    def apply(self, text):
        """The source with the mutation; an error where its lines are not there
        exactly once."""
        old = "".join(line + "\n" for line in self.old)
        count = text.count(old) if old else 0
        if count != 1:
            raise ValueError(
                f"its lines are {count} times in {self.file}: "
                "correct tests/mutants.list")
        return text.replace(old, "".join(line + "\n" for line in self.new))


def read_list():
    mutants = []
    for number, line in enumerate(LIST.read_text().splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("["):
            mutants.append(Mutant(line.strip("[]")))
        elif line.startswith("file "):
            mutants[-1].file = line.split()[1]
        elif line.startswith("test "):
            _, mutants[-1].program, mutants[-1].test = line.split()
        elif line.startswith("-"):
            mutants[-1].old.append(line[1:])
        elif line.startswith("+"):
            mutants[-1].new.append(line[1:])
        else:
            sys.exit(f"{LIST}:{number}: what is this?")
    names = [m.name for m in mutants]
    for name in names:
        if names.count(name) > 1:
            sys.exit(f"{LIST}: {name} is there twice")
    return mutants


def run(args, cwd, **more):
    return subprocess.run(args, cwd=cwd, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True,
                          errors="replace", **more)


def must(args, cwd):
    result = run(args, cwd)
    if result.returncode != 0:
        sys.exit(f"{' '.join(args)} failed:\n{result.stdout[-3000:]}")


class Builder:
    """A copy of the sources, and a build of it."""

    def __init__(self, where):
        self.source, self.build = where / "source", where / "build"

    def create(self, programs):
        where = self.source.parent
        shutil.rmtree(where, ignore_errors=True)
        skip = shutil.ignore_patterns("out", ".git", "autom4te.cache")
        shutil.copytree(TOP, self.source, symlinks=True, ignore=skip)
        self.build.mkdir()
        # a relative path: the build can be copied
        must(["../source/configure", "-q", "--disable-shared",
              "CFLAGS=-O0 -w"], self.build)
        # what "make check" makes before it looks at any source
        must(["make", "-s", "lib/bobbin-rename.h",
              "lib/bobbin-rename-private.h"], self.build)
        must(["make", "-s", f"-j{os.cpu_count()}"] + programs, self.build)

    def copy_to(self, other):
        shutil.rmtree(other.source.parent, ignore_errors=True)
        shutil.copytree(self.source.parent, other.source.parent,
                        symlinks=True)

    def test(self, program, test):
        """None where it passes, or how it failed."""
        env = dict(os.environ, TEST_FILTER=test,
                   TEST_DATA=str(self.source / "tests" / "data"),
                   top_srcdir=str(self.source),
                   top_builddir=str(self.build))
        try:
            result = run([f"./{program}"], self.build, env=env,
                         timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return "did not end"
        if f"[ RUN      ] {test}" not in result.stdout:
            raise ValueError(f"{program} has no {test}")
        if f"[  FAILED  ] {test}" in result.stdout:
            return "failed"
        if result.returncode != 0:
            return f"ended with {result.returncode}"
        return None

    def try_mutant(self, mutant):
        """How its test failed; None where the mutant lives."""
        path = self.source / mutant.file
        original = path.read_text()
        try:
            path.write_text(mutant.apply(original))
            result = run(["make", "-s", mutant.program], self.build)
            if result.returncode != 0:
                raise ValueError("it does not compile:\n"
                                 + result.stdout[-1500:])
            return self.test(mutant.program, mutant.test)
        finally:
            path.write_text(original)


class Round:
    """The jobs take from one queue."""

    def __init__(self, mutants):
        self.queue = list(mutants)
        self.lock = threading.Lock()
        self.killed, self.bad = 0, []

    def next(self):
        with self.lock:
            return self.queue.pop(0) if self.queue else None

    def tell(self, mutant, problem, text):
        with self.lock:
            if problem:
                self.bad.append(mutant.name)
            else:
                self.killed += 1
            print(text, flush=True)

    def work(self, builder):
        while True:
            mutant = self.next()
            if mutant is None:
                return
            started = time.monotonic()
            try:
                how = builder.try_mutant(mutant)
            except (ValueError, OSError) as error:
                self.tell(mutant, True, f"ERROR {mutant.name}: {error}")
                continue
            took = time.monotonic() - started
            if how is None:
                self.tell(mutant, True, f"LIVES {mutant.name}: "
                          f"{mutant.test} of {mutant.program} passes")
            else:
                self.tell(mutant, False, f"killed {mutant.name}: "
                          f"{mutant.test} {how} ({took:.1f} s)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--work", type=pathlib.Path,
                        default=TOP / "out" / "mutants")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()

    mutants = [m for m in read_list()
               if not args.names or m.name in args.names]
    if not mutants:
        sys.exit("no such mutant")
    programs = sorted({m.program for m in mutants})
    work = args.work.resolve()
    builders = [Builder(work / str(i))
                for i in range(max(1, min(args.jobs, len(mutants))))]
    builders[0].create(programs)
    for other in builders[1:]:
        builders[0].copy_to(other)
    # a test that fails anyway says nothing
    for program, test in sorted({(m.program, m.test) for m in mutants}):
        how = builders[0].test(program, test)
        if how is not None:
            sys.exit(f"{test} of {program} {how} without any mutant")
    todo = Round(mutants)
    threads = [threading.Thread(target=todo.work, args=(b,))
               for b in builders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"[  PASSED  ] {todo.killed} test(s).")
    if todo.bad:
        print(f" {len(todo.bad)} FAILED TEST(S): {' '.join(todo.bad)}")
        sys.exit(1)


if __name__ == "__main__":
    main()
