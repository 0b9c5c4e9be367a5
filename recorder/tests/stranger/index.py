"""Makes the index of a segment from its frames, with docs/format.md alone, and compares it with the one in its seal.

python3 index.py SEGMENT < LINES, where LINES is what `zstd -dc SEGMENT` prints. The last line tells the outcome.
"""

import hashlib
import json
import re
import struct
import sys

TEXT = rb'"(?:[^"\\]|\\.)*"'
ATOM = rb"[0-9A-Za-z+.-]+"
LIST = rb"\[(?:" + TEXT + rb"|[0-9A-Za-z+.,:{}-])*\]"
MEMBER = re.compile(rb'"([^"\\]*)":(' + TEXT + rb"|" + ATOM + rb"|" + LIST + rb")([,}])", re.DOTALL)
MAX_PAIRS, MAX_DEPTH, MAX_LENGTH = 2 << 20, 32, (16 << 20) - (256 << 10)
KIND, RESULT, PID, UID, LOGINUID, SESSION, EXE, PROGRAM, PATH, CONTAINER, USER = range(1, 12)


def digest(data):
    return hashlib.sha256(data).digest()[:8]


def key(field, value):
    state = 0xCBF29CE484222325
    for byte in bytes([field]) + value:
        state = (state ^ byte) * 0x100000001B3 % 2**64
    return (state >> 32 ^ state & 0xFFFFFFFF) or 1


def value_of(text):
    """The bytes behind a JSON string; ValueError when it is none."""
    text = json.loads(text.decode()) if b"\\" in text else text[1:-1].decode()
    pieces = re.split("([\U0010ff80-\U0010ffff])", text)
    return b"".join(bytes([ord(p) - 0x10FF00]) if n % 2 else p.encode() for n, p in enumerate(pieces))


def members(line):
    """Names and values of a line; ValueError when it is not of the recorder's form."""
    if line[:1] != b"{":
        raise ValueError
    at, end = 1, b","
    while end == b",":
        found = MEMBER.match(line, at)
        if not found:
            raise ValueError
        name, value, end = found.groups()
        at = found.end()
        yield name, value
    if at != len(line):
        raise ValueError


def path_keys(field, path):
    borders = [at + 1 for at, byte in enumerate(path) if byte == ord("/") and at > 0]
    return {key(field, path[:end]) for end in borders[:MAX_DEPTH]} | {key(field, path)}


def line_keys(line):
    keys, absent = set(), {b"loginuid": LOGINUID, b"session": SESSION}
    for name, value in members(line):
        if value[:1] == b'"':
            if name in (b"kind", b"result", b"exe", b"path", b"path_to", b"container", b"user"):
                text = value_of(value)
            if name == b"kind":
                keys.add(key(KIND, text))
            elif name == b"result" and text != b"ok":
                keys |= {key(RESULT, text), key(RESULT, b"")}
            elif name == b"exe":
                keys |= path_keys(EXE, text) | {key(PROGRAM, text.rpartition(b"/")[2])}
            elif name in (b"path", b"path_to"):
                keys |= path_keys(PATH, text)
            elif name == b"container" and len(text) >= 12:
                keys.add(key(CONTAINER, text[:12]))
            elif name == b"user":
                keys.add(key(USER, text))
        elif value[:1] != b"[":
            fields = {b"pid": PID, b"uid": UID, b"loginuid": LOGINUID, b"session": SESSION}
            if name in fields:
                keys.add(key(fields[name], value))
                absent.pop(name, None)
    return keys | {key(field, b"null") for field in absent.values()}


def number(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def step(before, after):
    value = (after - before + 2**63) % 2**64 - 2**63
    return number((value << 1 ^ value >> 63) % 2**64)


def runs(frames):
    found = []
    for frame in frames:
        if found and found[-1][1] == frame:
            found[-1][1] += 1
        else:
            found.append([frame, frame + 1])
    start, length = found[0][0], found[0][1] - found[0][0]
    if len(found) > 1:
        out = number(start << 2 | 3) + number(len(found) - 2) + number(length - 1)
        for (_, end), (start, after) in zip(found, found[1:]):
            out += number(start - end - 1) + number(after - start - 1)
        return out
    return number(start << 2 | min(length, 3) - 1) + (number(length - 3) if length > 2 else b"")


def encode(frames, frames_of):
    table, last = b"", 0
    for payload_len, count, first, end, _ in frames:
        table += number(payload_len) + number(count) + step(last, first) + step(first, end)
        last = end
    blocks, directory, block = b"", b"", b""
    for at in sorted(frames_of):
        if not block:
            first_key = before = at
        block += number(at - before) + runs(frames_of[at])
        before = at
        if len(block) >= 4096:
            directory += struct.pack("<II", first_key, len(block)) + digest(block)
            blocks, block = blocks + block, b""
    if block:
        directory += struct.pack("<II", first_key, len(block)) + digest(block)
        blocks += block
    out = table + blocks + directory
    times = [time for frame in frames for time in frame[2:4]] or [0]
    footer = b"KIX1" + struct.pack("<5I", len(out) + 72, len(frames), len(table), len(directory) // 16, 0)
    footer += struct.pack("<Qqq", sum(268 + frame[0] for frame in frames), min(times), max(times))
    footer += digest(table) + digest(directory)
    return out + footer + digest(footer)


def index(frames):
    frames_of, pairs = {}, 0
    for place, frame in enumerate(frames):
        try:
            keys = set().union(*map(line_keys, frame[4]))
        except ValueError:
            keys = None
        if keys is None or pairs + len(keys) > MAX_PAIRS:
            frames_of.setdefault(0, []).append(place)
        else:
            pairs += len(keys)
            for at in keys:
                frames_of.setdefault(at, []).append(place)
    out = encode(frames, frames_of)
    if len(out) > MAX_LENGTH:
        out = encode(frames, {0: list(range(len(frames)))})
    return out if len(out) <= MAX_LENGTH else b""


def main():
    segment = open(sys.argv[1], "rb").read()
    lines = iter(sys.stdin.buffer.read().split(b"\n"))
    at = 8 + struct.unpack_from("<I", segment, 4)[0]
    frames = []
    while True:
        kind = segment[at + 13]
        count, _, payload_len, first, end = struct.unpack_from("<3Iqq", segment, at + 36)
        if kind == 5:
            break
        frames.append((payload_len, count, first, end, [next(lines) for _ in range(count)]))
        at += 268 + payload_len
    checkpoint_len, index_len = struct.unpack_from("<II", segment, at + 268 + 16)
    found = segment[at + 268 + 24 + checkpoint_len :]
    made = index(frames)
    assert len(found) == index_len, "the seal does not end with the index"
    strange = sum(1 for frame in frames for line in frame[4] if not is_of_our_form(line))
    print(f"{len(frames)} frames, {len(found)} bytes, {strange} lines of another form")
    print("the same" if found == made else "another index")


def is_of_our_form(line):
    try:
        line_keys(line)
        return True
    except ValueError:
        return False


main()
