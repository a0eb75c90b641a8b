#!/usr/bin/env python3
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
"""Makes a large body of mail out of the few real ones in tests/data: always the same.

    corpus.py MAILS OUT MIB [lf|crlf]

OUT gets the messages one behind the other, OUT.ends the offset of each one's end. Sizes
are log-normal with a median of 8 KiB, 10 MB at most. A message is the header of a real
mail and pieces of bodies, some lines of which are attachments' base64 made anew, so that
it does not come out smaller than about half under gzip."""

import base64
import math
import pathlib
import random
import sys

MEDIAN, SIGMA, LARGEST = 8192, 1.3, 10_000_000
# of the lines; found by trying, for 2:1 under gzip -6
ATTACHED = 0.21


def read_seeds(folder):
    """Headers, and runs of lines out of the bodies."""
    headers, runs = [], []
    for path in sorted(pathlib.Path(folder).iterdir()):
        text = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        head, _, body = text.partition(b"\n\n")
        if not body or b"\0" in text or path.name.startswith("README"):
            continue
        headers.append(head + b"\n\n")
        lines = body.split(b"\n")
        runs += [lines[i:i + 12] for i in range(0, len(lines), 12)]
    return headers, runs


def message(rng, headers, runs):
    wanted = min(int(rng.lognormvariate(math.log(MEDIAN), SIGMA)), LARGEST)
    parts = [rng.choice(headers)]
    size = len(parts[0])
    while size < wanted:
        run = []
        for line in rng.choice(runs):
            # words change places, so that no long run comes twice
            words = line.split(b" ")
            if len(words) > 3 and rng.random() < 0.5:
                i = rng.randrange(len(words))
                words[i] = rng.choice(rng.choice(runs)[0].split(b" "))
            run.append(b" ".join(words))
            if rng.random() < ATTACHED:
                run.append(base64.b64encode(rng.randbytes(57)))
        piece = b"\n".join(run) + b"\n"
        parts.append(piece)
        size += len(piece)
    return b"".join(parts)[:max(wanted, 200)].rstrip(b"\n") + b"\n"


def main():
    mails, out, mib = sys.argv[1:4]
    crlf = sys.argv[4:] == ["crlf"]
    rng = random.Random(5321)
    headers, runs = read_seeds(mails)
    ends, size = [], 0
    with open(out, "wb") as file:
        while size < int(mib) << 20:
            text = message(rng, headers, runs)
            if crlf:
                text = text.replace(b"\n", b"\r\n")
            file.write(text)
            size += len(text)
            ends.append(size)
    pathlib.Path(out + ".ends").write_text("".join(f"{e}\n" for e in ends))


if __name__ == "__main__":
    main()
