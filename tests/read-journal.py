#!/usr/bin/env python3
# Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE.
"""Reads a journal with nothing but doc/journal-format.md: read-journal.py SPOOL prints a
line for each message: id, version, octets of the body, the two stacks, the CRC of each
payload. With an id it writes its stored body to stdout."""

import hashlib
import pathlib
import struct
import sys

TABLE = []
for byte in range(256):
    crc = byte
    for _ in range(8):
        crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    TABLE.append(crc)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def text_of(message_id):
    number = int.from_bytes(message_id, "big")
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    return "".join(digits[number >> (5 * i) & 31] for i in range(25, -1, -1))


class Record:
    def __init__(self, pos, size, header, stack, payload):
        (self.type, self.flags, _, _, self.id, self.version, self.sequence, _,
         self.plain, self.crc) = header
        self.pos, self.size, self.stack, self.payload = pos, size, stack, payload


class Segment:
    def __init__(self, path):
        self.data = path.read_bytes()
        head = self.data[:64]
        assert head[:16] == b"bobbin-journal-1", path
        assert struct.unpack("<I", head[60:])[0] == crc32c(head[:60]), path
        self.incarnation = head[16:32]
        self.size, self.first, self.number = struct.unpack("<QQI", head[32:52])
        assert int(path.stem) == self.number and len(self.data) <= self.size
        self.data += bytes(self.size - len(self.data))

    def record(self, pos):
        head = self.data[pos:pos + 64]
        if len(head) < 64 or head[:4] != b"BJR1":
            return None
        if struct.unpack("<I", head[60:])[0] != \
                crc32c(self.incarnation + head[:60]):
            return None
        header = struct.unpack("<BBBB16sQQQQI", head[4:60])
        stack_size, stored = header[2], header[7]
        size = (64 + stack_size + stored + 63) // 64 * 64
        if pos + size > self.size:
            return None
        body = self.data[pos + 64:pos + 64 + stack_size + stored]
        if header[0] != 5 and crc32c(body) != header[9]:
            return None
        return Record(pos, size, header, body[:stack_size].decode(),
                      body[stack_size:])

    def records(self):
        pos, found = 4096, []
        while pos < self.size:
            record = self.record(pos)
            if record is not None:
                found.append(record)
            pos += record.size if record is not None else 64
        return found


    def footer(self):
        tail = self.data[-64:]
        if tail[:4] != b"BJF1" or struct.unpack("<I", tail[60:])[0] != \
                crc32c(self.incarnation + tail[:60]):
            return None
        count, size, last = struct.unpack("<IQQ", tail[4:24])
        entries = self.data[-64 - size:-64]
        assert struct.unpack("<I", tail[56:60])[0] == crc32c(entries)
        found = []
        for _ in range(count):
            kind, flags, zero, offset, body, version = \
                struct.unpack("<BBHIIQ", entries[:20])
            end = {3: 60, 4: 60, 6: 44}.get(kind, 36)
            assert zero == 0
            found.append((kind, flags & 0x7F, offset * 64, body * 64, version,
                          entries[20:36], entries[36:end]))
            entries = entries[end:]
        assert entries == b"" and all(r.sequence <= last for r in self.records())
        return found

    def check_footer(self):
        """It tells what the records tell."""
        found, before = [], None
        for r in self.records():
            if r.type in (2, 3, 4, 6):
                found.append((r.type, r.flags & 0x7F, r.pos,
                              before.pos if r.type == 2 and r.flags & 1 else 0,
                              r.version, r.id,
                              r.payload if r.type in (3, 4) else
                              struct.pack("<Q", r.plain) if r.type == 6 else
                              b""))
            before = r
        footer = self.footer()
        assert footer is None or footer == found, self.number
        return footer is not None

    def check_voids(self):
        """They come first."""
        types = [r.type for r in self.records() if r.type != 5]
        while types and types[0] == 4:
            types.pop(0)
        assert 4 not in types, self.number


def messages(spool):
    segments = sorted((Segment(p) for p in
                       pathlib.Path(spool, "journal").glob("*.seg")),
                      key=lambda s: (s.first, s.number))
    for segment in segments:
        segment.check_voids()
    footers = [s.number for s in segments if s.check_footer()]
    records = [(s, r) for s in segments for r in s.records()]
    voids = []

    def is_void(segment, record):
        return any(segment.incarnation == v[0] and v[1] <= record.pos and
                   record.pos + record.size <= v[2] for v in voids)

    for segment, record in reversed(records):
        if record.type == 4 and not is_void(segment, record):
            offset, size = struct.unpack("<II", record.payload[16:24])
            voids.append((record.payload[:16], offset * 64,
                          (offset + size) * 64))
    print(f"{len(footers)} footers, {len(voids)} voids", file=sys.stderr)
    there, before = {}, None
    for segment, record in records:
        if is_void(segment, record):
            continue
        if record.type == 3:
            there.pop(record.id, None)
        if record.type == 2:
            old = there.get(record.id)
            body = old[1] if old else None
            if record.flags & 1:
                whole = before is not None and before[0] is segment and \
                    before[1].type == 1 and before[1].id == record.id and \
                    before[1].flags & 2 == record.flags & 2 and \
                    before[1].pos + before[1].size == record.pos
                if not whole:
                    continue
                body = before[1]
            if body is None:
                continue
            if old is None or record.version >= old[0].version:
                same = old is not None and old[0].version == record.version
                there[record.id] = (record, body, old[2] if same else None)
        if record.type == 6:
            old = there.get(record.id)
            if old is not None and old[0].version == record.plain:
                there[record.id] = (old[0], old[1], record)
        before = (segment, record)
    return {text_of(i): m for i, m in there.items()}


def stored_body(spool, name, body):
    if body.flags & 2 == 0:
        return body.payload
    tag, size = body.payload[:8].hex(), struct.unpack("<Q", body.payload[8:16])[0]
    data = pathlib.Path(spool, "journal", "bodies", f"{name}.{tag}.b").read_bytes()
    assert len(data) == size and \
        hashlib.blake2b(data, digest_size=32).digest() == body.payload[16:], name
    return data


def main():
    found = messages(sys.argv[1])
    if len(sys.argv) > 2:
        sys.stdout.buffer.write(stored_body(sys.argv[1], sys.argv[2],
                                            found[sys.argv[2]][1]))
        return
    for name in sorted(found):
        headers, body, states = found[name]
        stored_body(sys.argv[1], name, body)
        print(name, (states or headers).version, body.plain, headers.stack,
              body.stack)


main()
