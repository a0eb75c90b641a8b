#!/usr/bin/env python3
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
"""Takes a sync, an order or a check out of the sources, one at a time, and looks
whether the test that tests/mutants.list names for it fails. A mutant that lives, an
entry whose lines are not in the source any more, or one that does not compile, is a
failure.

    tests/mutants.py [--jobs N] [--build DIR] [--every N] [NAME...]

The sources stay as they are: a mutant is a copy of one file, compiled for itself and
linked in front of the archives of a build."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
LIST = TOP / "tests" / "mutants.list"
# In seconds; one that is not mutated may be as slow as the machine is, and one that is
# may take so many times as long.
TIMEOUT, PATIENCE = 10, 60
TIMES = 10
# What several threads have to do with may go well by luck.
TRIES = 3


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

    def find_test(self):
        """An error where the program's source has no such test."""
        source = TOP / (self.program + ".c")
        if source.exists() and f"{self.test}(" not in source.read_text():
            raise ValueError(f"{self.program} has no {self.test}")


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


class Build:
    """What "make check" left in a build directory: the archives and the programs'
    objects, which a mutant's own object is linked in front of."""

    PRINT = ("mutant-flags: ; @printf '%s\\n' '$(CC)' "
             "'$(DEFS) $(DEFAULT_INCLUDES) $(INCLUDES) $(AM_CPPFLAGS) "
             "$(CPPFLAGS)' '$(LDADD)' '$(stream_libs) $(LIBS)' ")

    def __init__(self, directory):
        self.directory = directory
        self.variables = {}
        self.usual = {}  # how long a test takes without a mutant
        if not (directory / "Makefile").exists():
            sys.exit(f"{directory} has no Makefile: configure there, and make "
                     "check, first")
        lines = self.ask(self.PRINT, "mutant-flags")
        self.compiler = lines[0].split()
        self.cppflags = lines[1].split()
        self.libs = [self.archive(word) for word in lines[2].split()]
        self.libs += lines[3].split()

    @staticmethod
    def archive(word):
        """What libtool calls x/y.la is x/.libs/y.a."""
        if not word.endswith(".la"):
            return word
        path = pathlib.Path(word)
        convenience = path.parent / ".libs" / (path.stem + ".a")
        return str(convenience)

    def ask(self, rule, target):
        result = subprocess.run(
            ["make", "-s", "--eval", rule, target], cwd=self.directory,
            stdout=subprocess.PIPE, text=True, check=True)
        return result.stdout.splitlines()

    def variable(self, program, which):
        """What automake calls program_WHICH, as words."""
        if (program, which) not in self.variables:
            name = program.replace("/", "_").replace("-", "_")
            self.variables[program, which] = self.ask(
                f"mutant-words: ; @echo $({name}_{which})",
                "mutant-words")[0].split()
        return self.variables[program, which]

    def run(self, args):
        result = run(args, self.directory)
        if result.returncode != 0:
            raise ValueError("it does not compile:\n"
                             + result.stdout[-1500:])

    def compile(self, source, where, more):
        target = where / (source.stem + ".o")
        self.run(self.compiler + self.cppflags + more
                 + ["-std=gnu11", "-O0", "-w", "-c", str(source),
                    "-o", str(target)])
        return target

    def compile_mutant(self, mutant, where):
        """Its object; a header's are those of the files that include it."""
        original = TOP / mutant.file
        text = mutant.apply(original.read_text())
        changed = where / original.name
        changed.write_text(text)
        near = ([f"-I{original.parent}"] +
                self.variable(mutant.program, "CPPFLAGS"))
        if original.suffix != ".h":
            return [self.compile(changed, where, near)]
        include = f'#include "{original.name}"'
        sources = [TOP / (mutant.program + ".c")]
        for folder in ("lib", "lib-stream", "lib-spool"):
            sources += (TOP / folder).rglob("*.c")
        users = [path for path in sources if include in path.read_text()]
        first = near + ["-include", "config.h", "-include", str(changed)]
        return [self.compile(path, where, first) for path in users]

    def link(self, mutant, where):
        """The mutant's test program."""
        objects = self.compile_mutant(mutant, where)
        # what the program has of its own is called FILE.o or PROGRAM-FILE.o
        own = mutant.program.replace("/", "_").replace("-", "_") + "-"
        names = {path.name for path in objects}
        others = [o for o in self.variable(mutant.program, "OBJECTS")
                  if pathlib.Path(o).name.removeprefix(own) not in names]
        program = where / "program"
        self.run(self.compiler + ["-pthread", "-o", str(program)]
                 + self.variable(mutant.program, "LDFLAGS")
                 + [str(o) for o in objects] + others + self.libs)
        return program

    def test(self, program, test, timeout=PATIENCE):
        """None where it passes, or how it failed."""
        env = dict(os.environ, TEST_FILTER=test,
                   TEST_DATA=str(TOP / "tests" / "data"),
                   top_srcdir=str(TOP), top_builddir=str(self.directory))
        try:
            result = run([str(program)], self.directory, env=env,
                         timeout=timeout)
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
        with tempfile.TemporaryDirectory(prefix="bobbin-mutant-") as where:
            program = self.link(mutant, pathlib.Path(where))
            how, tries = None, 0
            while how is None and tries < TRIES:
                how = self.test(program, mutant.test, self.patience(mutant))
                tries += 1
            return how

    def try_without(self, program, test):
        """As test(), of the program that is there."""
        started = time.monotonic()
        how = self.test(self.directory / program, test)
        self.usual[program, test] = time.monotonic() - started
        return how

    def patience(self, mutant):
        slow = mutant.program.startswith(("tests/crash/", "tests/schedule/"))
        usual = self.usual[mutant.program, mutant.test]
        return max(PATIENCE if slow else TIMEOUT, TIMES * usual)


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

    def work(self, build):
        while True:
            mutant = self.next()
            if mutant is None:
                return
            started = time.monotonic()
            try:
                how = build.try_mutant(mutant)
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


def check_lines(mutants):
    """Also of those that are not built this time."""
    wrong = 0
    for mutant in mutants:
        try:
            mutant.apply((TOP / mutant.file).read_text())
            mutant.find_test()
        except ValueError as error:
            print(f"ERROR {mutant.name}: {error}")
            wrong += 1
    if wrong > 0:
        sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1)
    parser.add_argument("--build", type=pathlib.Path,
                        default=TOP / "out" / "plain",
                        help="where make check ran (default: out/plain)")
    parser.add_argument("--every", type=int, default=1, metavar="N",
                        help="one of N only; of those that a test of crashes "
                        "kills, one of N / 4")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()

    listed = read_list()
    check_lines(listed)
    crash_every = max(args.every // 4, 1)
    mutants = [m for i, m in enumerate(listed)
               if m.name in args.names or not args.names and
               i % (crash_every if m.program.startswith("tests/crash/")
                    else args.every) == 0]
    if not mutants:
        sys.exit("no such mutant")
    build = Build(args.build.resolve())
    # a test that fails anyway says nothing
    for program, test in sorted({(m.program, m.test) for m in mutants}):
        how = build.try_without(program, test)
        if how is not None:
            sys.exit(f"{test} of {program} {how} without any mutant")
    todo = Round(mutants)
    threads = [threading.Thread(target=todo.work, args=(build,))
               for _ in range(max(1, min(args.jobs, len(mutants))))]
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
