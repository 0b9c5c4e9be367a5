#!/usr/bin/env python3
"""Checks a store of the recorder with nothing of ours but docs/format.md, from which it was written.

Needs Python 3.11, its package `cryptography` (Ed25519) and the program `zstd`: on Debian `apt install python3-cryptography
zstd`. It reads, and writes nothing. What the words in it mean (header, link, epoch, torn tail) is on that page.

    verify.py STORE [--key KEY] [--checkpoint FILE] [--headers-only] [--json]    a store or a copy of one
    verify.py --proof FILE --key KEY [--json]                                    the proof of one event
    verify.py --dump STORE                                                       its headers, for people
    verify.py --batch < LINES                                                    many, for programs: one JSON object a line

KEY is an origin.pub that you kept elsewhere, as a file or as its line. Ends with 5 when all is consistent (UNANCHORED: a
check like this one can't see what was rewritten as a whole), 2 when it is TAMPERED with, 3 when it is INCOMPLETE, 64 when
the command line makes no sense, 70 when it could not check.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import datetime
import functools
import hashlib
import json
import mmap
import re
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ZERO = bytes(32)
DATA, HEARTBEAT, TOMB, SEAL = 1, 2, 4, 5
EPOCH, TORN, DAMAGED, NOT_APPEND_ONLY = 1, 2, 4, 8
STOP = 4
FRAME_HEADER = 268
MAX_RAW, MAX_PAYLOAD, MAX_SEAL, MAX_RATIO = 1 << 20, (1 << 20) + 4096 + 64, 16 << 20, 16384
MAX_CHECKPOINT, MAX_SIGNATURES, MAX_PROOF = 128 << 10, 64, 1_537_644
TILE = 8192
# How much is unpacked by one call of `zstd`.
BATCH = 16 << 20
EMPTY_ZSTD = bytes.fromhex("28b52ffd240001000099e9d851")


class Broken(Exception):
    """Bytes that are not what the page says."""


class Forged(Broken):
    """A checkpoint that the origin did not sign."""


# Hashes and signatures


def sha256(*parts: bytes) -> bytes:
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.digest()


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\0", data)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1", left, right)


def crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = crc_table()


def crc32c(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state = CRC_TABLE[(state ^ byte) & 0xFF] ^ state >> 8
    return state ^ 0xFFFFFFFF


P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
# The y of the points whose order divides 8: they pass signatures that nobody made.
EIGHTH = int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little")
SMALL_ORDER = {0, 1, P - 1, EIGHTH, P - EIGHTH}


def is_sound_point(encoded: bytes) -> bool:
    """Whether this is the one encoding of a point, and not of one of small order."""
    y = int.from_bytes(encoded, "little") & (1 << 255) - 1
    return y < P and y not in SMALL_ORDER


def signed_by(key: bytes, message: bytes, signature: bytes) -> bool:
    """Ed25519, strictly: libraries differ in which odd keys and signatures they let pass, so these go first."""
    if not is_sound_point(key) or not is_sound_point(signature[:32]) or int.from_bytes(signature[32:], "little") >= L:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def unbase64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Broken(f"not base64: {text[:60]}") from error
    if base64.b64encode(data).decode() != text:
        raise Broken(f"base64 with stray bits: {text[:60]}")
    return data


def decimal(text: str) -> int:
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text, re.ASCII) or int(text) >= 2**63:
        raise Broken(f"not a number below 2^63 without leading zeros: {text[:60]}")
    return int(text)


class Origin(NamedTuple):
    """The public key of a host."""

    name: str
    key: bytes

    @classmethod
    def parse(cls, line: str) -> Origin:
        name, plus, rest = line.partition("+")
        key_id, plus, encoded = rest.partition("+")
        key = unbase64(encoded)
        if not name or not plus or any(char.isspace() for char in name) or len(key) != 33 or key[0] != 1:
            raise Broken("not a key line of the form <name>+<key id>+<base64>")
        origin = cls(name, key[1:])
        if key_id != origin.id[:4].hex() or not is_sound_point(origin.key):
            raise Broken("a key line whose key id is not that of its key")
        return origin

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode(), b"\n\1", self.key)


class Frontier:
    """The roots of the complete subtrees of an RFC 6962 tree, the largest first."""

    def __init__(self, size: int = 0, nodes: Sequence[bytes] = ()) -> None:
        self.size, self.nodes = size, list(nodes)

    def push(self, node: bytes) -> None:
        size = self.size
        while size & 1:
            node, size = node_hash(self.nodes.pop(), node), size >> 1
        self.nodes.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self.nodes:
            return sha256()
        return functools.reduce(lambda right, left: node_hash(left, right), reversed(self.nodes))


def root_of(leaves: Sequence[bytes]) -> bytes:
    tree = Frontier()
    for leaf in leaves:
        tree.push(leaf)
    return tree.root()


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Where an inclusion proof leads: RFC 9162, section 2.1.3.2, which words the check of RFC 6962."""
    if index >= size:
        raise Broken(f"place {index} of {size}")
    last, root = size - 1, leaf
    for node in path:
        if last == 0:
            raise Broken("more hashes than the way to the root has")
        if index & 1 or index == last:
            root = node_hash(node, root)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            root = node_hash(root, node)
        index, last = index >> 1, last >> 1
    if last:
        raise Broken("fewer hashes than the way to the root has")
    return root


# Checkpoints


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes
    text: str
    signatures: dict[tuple[str, bytes], bytes]

    @classmethod
    def parse(cls, data: bytes) -> Checkpoint:
        """A checkpoint whose signatures nobody has looked at; Broken when it is none."""
        if len(data) > MAX_CHECKPOINT:
            raise Broken("a checkpoint is longer than it can be")
        try:
            note = data.decode()
        except UnicodeDecodeError as error:
            raise Broken("a checkpoint is not UTF-8") from error
        if any(ord(char) < 32 and char != "\n" for char in note):
            raise Broken("a checkpoint has control characters")
        text, blank, signatures = note.rpartition("\n\n")
        if not blank or not signatures.endswith("\n"):
            raise Broken("not a checkpoint: not a text, a blank line and signature lines")
        lines = text.split("\n")
        if len(lines) < 3 or "" in lines:
            raise Broken("not a checkpoint: not an origin, a size and a root")
        root = unbase64(lines[2])
        if len(root) != 32:
            raise Broken("a checkpoint whose root has not 32 bytes")
        return cls(lines[0], decimal(lines[1]), root, text + "\n", note_signatures(signatures[:-1].split("\n")))

    def check(self, origin: Origin) -> None:
        """Forged when the origin did not sign it."""
        if self.origin != origin.name:
            raise Forged(f"a checkpoint of another origin: {self.origin[:60]}")
        signature = self.signatures.get((origin.name, origin.id[:4]))
        if signature is None:
            raise Forged("a checkpoint that the origin did not sign")
        if len(signature) != 64 or not signed_by(origin.key, self.text.encode(), signature):
            raise Forged("the origin's signature of a checkpoint does not hold")


def note_signatures(lines: list[str]) -> dict[tuple[str, bytes], bytes]:
    """The signatures by name and id of their keys."""
    if len(lines) > MAX_SIGNATURES:
        raise Broken("a checkpoint has more signatures than it can have")
    found: dict[tuple[str, bytes], bytes] = {}
    for line in lines:
        parts = re.fullmatch(r"— ([^\s+]+) (\S+)", line)
        signature = unbase64(parts[2]) if parts else b""
        if not parts or len(signature) < 5:
            raise Broken("a checkpoint has a line that is no signature")
        signer = parts[1], signature[:4]
        if signer in found:
            raise Broken("a checkpoint has two signatures by one key")
        found[signer] = signature[4:]
    return found


# Headers

SEGMENT = struct.Struct("<II4sBBHIIQQq16s32s32sQQQQ32s32s32sHH56s")
LEAF = struct.Struct("<4sBBHIQQIIIqqQ32s32s32s32s")
SEGMENT_HEADER = SEGMENT.size + 68
MAX_SEGMENT_HEADER = SEGMENT_HEADER + 64 * 32


class SegmentHeader(NamedTuple):
    magic: int
    length: int
    name: bytes
    version: int
    algorithm: int
    flags: int
    epoch: int
    number: int
    first_frame: int
    first_event: int
    created: int
    boot_id: bytes
    origin: bytes
    root: bytes
    tree_size: int
    previous_first_frame: int
    previous_length: int
    previous_valid: int
    previous_sha256: bytes
    link: bytes
    next_key: bytes
    attempt: int
    previous_attempt: int
    reserved: bytes
    nodes: list[bytes]
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, data: bytes) -> SegmentHeader:
        """The header at the beginning of a segment; Broken when it is none, or beyond a limit."""
        if len(data) < SEGMENT_HEADER:
            raise Broken("a segment header that is cut off")
        fields = SEGMENT.unpack_from(data)
        tree_size = fields[14]
        end = SEGMENT.size + 32 * tree_size.bit_count()
        if fields[:5] != (0x184D2A50, end + 60, b"KRS1", 1, 1) or len(data) < end + 68:
            raise Broken("not the header of a segment")
        if crc32c(data[: end + 64]) != int.from_bytes(data[end + 64 : end + 68], "little"):
            raise Broken("the header of the segment was changed: its checksum is wrong")
        nodes = [data[at : at + 32] for at in range(SEGMENT.size, end, 32)]
        header = cls(*fields, nodes, data[8:end], data[end : end + 64])
        if header.flags & ~15 or any(header.reserved) or header.next_key == ZERO or tree_size != header.first_frame:
            raise Broken("the header of the segment has what none can have")
        return header

    @property
    def size(self) -> int:
        return self.length + 8


class Leaf(NamedTuple):
    """What the tree has of a frame."""

    name: bytes
    version: int
    kind: int
    flags: int
    epoch: int
    number: int
    first_event: int
    count: int
    raw_length: int
    payload_length: int
    first_time: int
    last_time: int
    lost: int
    link: bytes
    inner_root: bytes
    payload_sha256: bytes
    next_key: bytes

    @classmethod
    def parse(cls, data: bytes) -> Leaf:
        leaf = cls(*LEAF.unpack(data))
        leaf.check_limits()
        return leaf

    def check_limits(self) -> None:
        stops = self.kind == SEAL and self.flags == STOP
        has_events = self.kind in (DATA, TOMB)
        counts = 1 <= self.count <= self.raw_length // 2 if has_events else self.count == self.raw_length == 0
        if (self.name, self.version) != (b"KRF1", 1) or self.kind not in (DATA, HEARTBEAT, TOMB, SEAL):
            raise Broken("not the header of a frame")
        if self.flags and not stops or (self.next_key == ZERO) != stops or not counts:
            raise Broken("the header of the frame has what none can have")
        if not 1 <= self.payload_length <= (MAX_SEAL if self.kind == SEAL else MAX_PAYLOAD):
            raise Broken("the header of the frame has a payload length beyond the limit")
        if self.raw_length > min(MAX_RAW, self.payload_length * MAX_RATIO):
            raise Broken("the header of the frame has a raw length beyond the limit")


class Frame(NamedTuple):
    offset: int
    leaf: Leaf
    leaf_bytes: bytes
    signature: bytes

    @classmethod
    def parse(cls, data: bytes, offset: int) -> Frame:
        """The frame whose header is `data`; Broken when it is none, or beyond a limit."""
        if len(data) < FRAME_HEADER or struct.unpack_from("<II4s", data) != (0x184D2A51, 260, b"KRF1"):
            raise Broken("bytes that belong to no frame")
        if crc32c(data[:264]) != int.from_bytes(data[264:268], "little"):
            raise Broken("the header of the frame was changed: its checksum is wrong")
        return cls(offset, Leaf.parse(data[8:200]), data[8:200], data[200:264])

    @property
    def payload_offset(self) -> int:
        return self.offset + FRAME_HEADER

    @property
    def end(self) -> int:
        return self.payload_offset + self.leaf.payload_length


# What a crash leaves


def begins_segment(data: bytes) -> bool:
    """Whether this is the beginning of a segment header, and not the whole of it. Its tree size tells its length."""
    size = SEGMENT_HEADER + 32 * int.from_bytes(data[128:136], "little").bit_count()
    fixed = struct.pack("<II4sB", 0x184D2A50, size - 8, b"KRS1", 1)
    if len(data) < 136:
        return fixed[:4][: len(data)] == data[:4] and fixed[8 : max(len(data), 8)] == data[8:13]
    return len(data) < size and fixed == data[:13]


def begins_frame(data: bytes) -> bool:
    """Whether this is the beginning of a frame, and not the whole of it."""
    fixed = struct.pack("<II4sB", 0x184D2A51, 260, b"KRF1", 1)
    if len(data) < FRAME_HEADER:
        return fixed[: len(data)] == data[: len(fixed)]
    try:
        return Frame.parse(data[:FRAME_HEADER], 0).end > len(data)
    except Broken:
        return False


def first_hole(tail: bytes, offset: int) -> int:
    """Where the first block of 512 bytes begins, or the part of one, that was never written; else the end."""
    start = 0
    while start < len(tail):
        end = min((offset + start) // 512 * 512 + 512 - offset, len(tail))
        if not any(tail[start:end]):
            return start
        start = end
    return start


def ends_with_seal(tail: bytes) -> bool:
    at = tail.rfind(struct.pack("<II4sBB", 0x184D2A51, 260, b"KRF1", 1, SEAL))
    try:
        seal = Frame.parse(tail[at : at + FRAME_HEADER], max(at, 0))
    except Broken:
        return False
    return seal.end == len(tail) and sha256(tail[seal.payload_offset :]) == seal.leaf.payload_sha256


def is_torn(tail: bytes, offset: int) -> bool:
    """Whether bytes from `offset` to the end of a segment are what a crash leaves."""
    if len(tail) > (FRAME_HEADER + MAX_SEAL if offset else MAX_SEGMENT_HEADER):
        return False
    hole = first_hole(tail, offset)
    begins = begins_frame if offset else begins_segment
    return begins(tail[:hole]) and not (hole < len(tail) and ends_with_seal(tail))


# Payloads


def check_zstd_shape(payload: bytes, raw_length: int) -> None:
    """Exactly one zstd frame as the page wants it: RFC 8878, section 3.1.1, walked without unpacking anything."""
    if len(payload) < 6 or payload[:4] != b"\x28\xb5\x2f\xfd" or payload[4] & 0b0011_1111 != 0b0010_0100:
        raise Broken("the payload is not a zstd frame with its size and checksum")
    width = 1 << (payload[4] >> 6)
    size = int.from_bytes(payload[5 : 5 + width], "little") + (256 if width == 2 else 0)
    at, last = 5 + width, False
    while not last:
        block = int.from_bytes(payload[at : at + 3], "little")
        last, kind, length = bool(block & 1), block >> 1 & 3, block >> 3
        at += 3 + (1 if kind == 1 else length)
        if kind == 3 or at + 4 > len(payload):
            raise Broken("the zstd frame of the payload is cut off or none")
    if at + 4 != len(payload):
        raise Broken("the payload has bytes behind its zstd frame")
    if size != raw_length:
        raise Broken(f"the payload unpacks to {size} bytes, its header says {raw_length}")


def unpack(payloads: Sequence[bytes], raw_length: int) -> bytes | None:
    """What these zstd frames unpack to; None when that is not so many bytes, of which no more are ever read."""
    with tempfile.TemporaryFile() as packed:
        packed.write(b"".join(payloads))
        packed.seek(0)
        command = ["zstd", "-q", "-d", "-c"]
        with subprocess.Popen(command, stdin=packed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as zstd:
            assert zstd.stdout is not None
            raw = zstd.stdout.read(raw_length + 1)
            zstd.stdout.close()
    return raw if zstd.returncode == 0 and len(raw) == raw_length else None


class Seal(NamedTuple):
    checkpoint: bytes
    index: bytes

    @classmethod
    def parse(cls, payload: bytes) -> Seal:
        if len(payload) < 24:
            raise Broken("the payload of the seal is cut off")
        magic, length, name, version, reserved, checkpoint, index = struct.unpack_from("<II4sB3sII", payload)
        if (magic, name, version, reserved) != (0x184D2A52, b"KRX1", 1, bytes(3)):
            raise Broken("the payload of the seal is not one")
        if length != 16 + checkpoint + index or length + 8 != len(payload) or checkpoint > MAX_CHECKPOINT:
            raise Broken("the payload of the seal has other lengths than it says")
        return cls(payload[24 : 24 + checkpoint], payload[24 + checkpoint :])


# The index of a segment, made again

TEXT = rb'"(?:[^"\\]|\\.)*"'
ATOM = rb"[0-9A-Za-z+.-]+"
LIST = rb"\[(?:" + TEXT + rb"|[0-9A-Za-z+.,:{}-])*\]"
MEMBER = re.compile(rb'"([^"\\]*)":(' + TEXT + rb"|" + ATOM + rb"|" + LIST + rb")([,}])", re.DOTALL)
MAX_PAIRS, MAX_DEPTH, MAX_INDEX = 2 << 20, 32, (16 << 20) - (256 << 10)
KIND, RESULT, PID, UID, LOGINUID, SESSION, EXE, PROGRAM, PATH, CONTAINER, USER = range(1, 12)
PLAIN = {b"pid": PID, b"uid": UID, b"loginuid": LOGINUID, b"session": SESSION}


@functools.lru_cache(1 << 16)
def index_key(field_byte: int, value: bytes) -> int:
    state = 0xCBF29CE484222325
    for byte in bytes([field_byte]) + value:
        state = (state ^ byte) * 0x100000001B3 % 2**64
    return (state >> 32 ^ state & 0xFFFFFFFF) or 1


def value_of(text: bytes) -> bytes:
    """The bytes behind a JSON string; ValueError when it is none."""
    value = json.loads(text.decode()) if b"\\" in text else text[1:-1].decode()
    pieces = re.split("([\U0010ff80-\U0010ffff])", value)
    return b"".join(bytes([ord(p) - 0x10FF00]) if n % 2 else p.encode() for n, p in enumerate(pieces))


def members(line: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of a line; ValueError when it is not of the recorder's form."""
    at, end = 1, b","
    while end == b",":
        found = MEMBER.match(line, at) if line[:1] == b"{" else None
        if not found:
            raise ValueError
        name, value, end = found.groups()
        at = found.end()
        yield name, value
    if at != len(line):
        raise ValueError


@functools.lru_cache(1 << 12)
def path_keys(field_byte: int, path: bytes) -> frozenset[int]:
    borders = [at + 1 for at, byte in enumerate(path) if byte == ord("/") and at > 0]
    return frozenset(index_key(field_byte, path[:end]) for end in [*borders[:MAX_DEPTH], len(path)])


def text_keys(name: bytes, text: bytes) -> set[int] | frozenset[int]:
    match name:
        case b"kind":
            return {index_key(KIND, text)}
        case b"result":
            return {index_key(RESULT, text), index_key(RESULT, b"")} if text != b"ok" else set()
        case b"exe":
            return path_keys(EXE, text) | {index_key(PROGRAM, text.rpartition(b"/")[2])}
        case b"path" | b"path_to":
            return path_keys(PATH, text)
        case b"container":
            return {index_key(CONTAINER, text[:12])} if len(text) >= 12 else set()
        case _:
            return {index_key(USER, text)}


def line_keys(line: bytes) -> set[int]:
    keys: set[int] = set()
    absent = {b"loginuid": LOGINUID, b"session": SESSION}
    for name, value in members(line):
        if value[:1] == b'"':
            if name in (b"kind", b"result", b"exe", b"path", b"path_to", b"container", b"user"):
                keys |= text_keys(name, value_of(value))
        elif value[:1] != b"[" and name in PLAIN:
            keys.add(index_key(PLAIN[name], value))
            absent.pop(name, None)
    return keys | {index_key(byte, b"null") for byte in absent.values()}


def number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def step(before: int, after: int) -> bytes:
    value = (after - before + 2**63) % 2**64 - 2**63
    return number((value << 1 ^ value >> 63) % 2**64)


def runs(places: Sequence[int]) -> bytes:
    found: list[list[int]] = []
    for place in places:
        if found and found[-1][1] == place:
            found[-1][1] += 1
        else:
            found.append([place, place + 1])
    start, length = found[0][0], found[0][1] - found[0][0]
    if len(found) == 1:
        return number(start << 2 | min(length, 3) - 1) + (number(length - 3) if length > 2 else b"")
    out = number(start << 2 | 3) + number(len(found) - 2) + number(length - 1)
    for (_, end), (start, after) in zip(found, found[1:]):
        out += number(start - end - 1) + number(after - start - 1)
    return out


def key_blocks(places_of: dict[int, list[int]]) -> tuple[bytes, bytes]:
    """The key blocks and their directory."""
    blocks, directory, block = bytearray(), bytearray(), bytearray()
    first = before = 0
    ordered = sorted(places_of)
    for at, key in enumerate(ordered):
        if not block:
            first = before = key
        block += number(key - before) + runs(places_of[key])
        before = key
        if len(block) >= 4096 or at + 1 == len(ordered):
            directory += struct.pack("<II", first, len(block)) + sha256(block)[:8]
            blocks += block
            block.clear()
    return bytes(blocks), bytes(directory)


def encode_index(leaves: Sequence[Leaf], places_of: dict[int, list[int]]) -> bytes:
    table, last = bytearray(), 0
    for leaf in leaves:
        table += number(leaf.payload_length) + number(leaf.count)
        table += step(last, leaf.first_time) + step(leaf.first_time, leaf.last_time)
        last = leaf.last_time
    blocks, directory = key_blocks(places_of)
    length = len(table) + len(blocks) + len(directory) + 72
    times = [time for leaf in leaves for time in (leaf.first_time, leaf.last_time)] or [0]
    footer = struct.pack("<4s5I", b"KIX1", length, len(leaves), len(table), len(directory) // 16, 0)
    footer += struct.pack("<Qqq", sum(FRAME_HEADER + leaf.payload_length for leaf in leaves), min(times), max(times))
    footer += sha256(table)[:8] + sha256(directory)[:8]
    return bytes(table + blocks + directory + footer + sha256(footer)[:8])


class Indexer:
    """Collects what the index of a segment needs, frame by frame."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.places_of: dict[int, list[int]] = {}
        self.pairs = 0

    def add(self, leaf: Leaf, lines: Sequence[bytes]) -> bool:
        """Files a frame; false when one of its lines has no keys."""
        place = len(self.leaves)
        self.leaves.append(leaf)
        try:
            keys = set().union(*map(line_keys, lines))
            known = True
        except ValueError:
            keys, known = set(), False
        if not known or self.pairs + len(keys) > MAX_PAIRS:
            self.places_of.setdefault(0, []).append(place)
        else:
            self.pairs += len(keys)
            for key in keys:
                self.places_of.setdefault(key, []).append(place)
        return known

    def finish(self) -> bytes:
        made = encode_index(self.leaves, self.places_of)
        if len(made) > MAX_INDEX:
            made = encode_index(self.leaves, {0: list(range(len(self.leaves)))})
        return made if len(made) <= MAX_INDEX else b""


# A store


@dataclass
class Report:
    """What was found: each finding is (severity, where, sentence)."""

    findings: list[tuple[str, str, str]] = field(default_factory=list)
    segments: int = 0
    frames: int = 0
    events: int = 0
    lost: int = 0
    removed: int = 0
    frames_without_keys: int = 0

    def add(self, severity: str, where: str, sentence: str) -> None:
        self.findings.append((severity, where, sentence))

    def verdict(self) -> tuple[str, int]:
        """The worst of what was found decides. Nothing here can tell whether the log was rewritten as a whole."""
        found = {severity for severity, _, _ in self.findings}
        return ("TAMPERED", 2) if "tampered" in found else ("INCOMPLETE", 3) if "incomplete" in found else ("UNANCHORED", 5)

    def as_json(self) -> str:
        verdict, code = self.verdict()
        keys = ("severity", "where", "sentence")
        findings = [dict(zip(keys, finding)) for finding in self.findings]
        counts = {name: value for name, value in vars(self).items() if name != "findings"}
        return json.dumps({"verdict": verdict.lower(), "exit_code": code, **counts, "findings": findings})

    def as_text(self) -> str:
        lines = [f"{self.verdict()[0]}: {self.events} events in {self.frames} frames of {self.segments} segments"]
        lines += [plain(f"- {severity}: {where}: {sentence}") for severity, where, sentence in self.findings]
        return "\n".join(lines)


@dataclass
class Before:
    """What the headers so far ask of the next one. `known` is false behind what could not be read."""

    known: bool = True
    link: bytes = ZERO
    key: bytes = ZERO
    sealed: bool = False
    frame: int = 0
    event: int = 0
    epoch: int = 0
    lost: int = 0
    boot_id: bytes | None = None


class File(NamedTuple):
    """The segment before, as its successor has to state it. Without a digest it could not be read."""

    first_frame: int
    attempt: int
    length: int
    valid: int
    digest: bytes | None


class Name(NamedTuple):
    """A segment, or its tombstone, by its name. In log order when sorted."""

    first_frame: int
    attempt: int
    text: str

    @classmethod
    def parse(cls, text: str) -> Name | None:
        found = re.fullmatch(r"seg-([0-9]{10,})(?:\.r([0-9]{3,}))?(\.krl\.zst|\.tomb)", text)
        if not found:
            return None
        name = cls(int(found[1]), int(found[2] or 0), text)
        attempt = f".r{name.attempt:03}" if name.attempt else ""
        return name if text == f"seg-{name.first_frame:010}{attempt}{found[3]}" else None

    @property
    def is_tombstone(self) -> bool:
        return self.text.endswith(".tomb")

    @property
    def segment(self) -> str:
        return self.text.replace(".tomb", ".krl.zst")


class Store:
    """The check of one store, segment by segment."""

    def __init__(self, path: Path, headers_only: bool = False) -> None:
        self.path, self.headers_only = path, headers_only
        self.report = Report()
        self.before = Before()
        self.file: File | None = None
        self.number = 0
        self.tree = Frontier()
        self.hashes: list[list[bytes]] | None = [[]]
        self.tiles: set[str] = set()
        self.beside: list[Name] = []
        self.removed: dict[str, Removed] = {}
        self.waiting: Removed | None = None
        self.told: list[tuple[int, bytes]] = []
        self.kept: Checkpoint | None = None
        self.origin: Origin

    def check(self, key: Origin | None, checkpoint: bytes | None) -> Report:
        names = self.list()
        if not self.take_origin(key):
            return self.report
        try:
            if checkpoint is not None:
                kept = Checkpoint.parse(checkpoint)
                kept.check(self.origin)
                self.kept = kept
        except Forged as error:
            self.report.add("tampered", "checkpoint", str(error))
        self.compare_kept()
        for name in names:
            self.check_segment(name)
            self.number += 1
        self.check_end()
        try:
            self.check_retention()
        except Broken as error:
            self.report.add("tampered", "retention", str(error))
        return self.report

    def list(self) -> list[Name]:
        names = []
        for entry in sorted(self.path.iterdir()):
            name = Name.parse(entry.name)
            if name:
                names.append(name)
            elif entry.name not in ("origin.pub", "tile", "lost+found"):
                self.tell_stranger(entry)
        there = {name.text for name in names}
        self.beside = sorted(name for name in names if name.is_tombstone and name.segment in there)
        return sorted(set(names) - set(self.beside))

    def tell_stranger(self, entry: Path) -> None:
        """What does not belong here is left out; but a segment under another name was hidden."""
        if stat.S_ISREG(entry.lstat().st_mode):
            with entry.open("rb") as file:
                beginning = file.read(12)
            if beginning[:4] == b"\x50\x2a\x4d\x18" and beginning[8:] == b"KRS1":
                self.report.add("tampered", entry.name, "a segment under a name that segments don't have")
                return
        self.report.add("warning", entry.name, "is no part of the store and was left out")

    def take_origin(self, key: Origin | None) -> bool:
        """The key to trust: the one given, else the one beside the segments."""
        beside = self.path / "origin.pub"
        try:
            text = read_regular(beside).decode()
            found = Origin.parse(text.removesuffix("\n"))
            if not text.endswith("\n"):
                raise Broken("no newline behind the key")
        except FileNotFoundError:
            found = None
            if key is None:
                self.report.add("tampered", "origin.pub", "the key of the host is not there")
        except OSError as error:
            found = None
            self.report.add("incomplete", "origin.pub", str(error))
        except (Broken, UnicodeDecodeError) as error:
            found = None
            self.report.add("tampered", "origin.pub", f"not a key: {error}")
        if key and found and key != found:
            self.report.add("tampered", "origin.pub", "another key than the one that was given")
        if not (key or found):
            return False
        self.origin = key or found
        return True

    def check_segment(self, name: Name) -> None:
        try:
            data = map_file(self.path / name.text)
        except OSError as error:
            self.report.add("incomplete", name.text, str(error))
            self.lose(File(*name[:2], 0, 0, None))
            return
        self.report.segments += not name.is_tombstone
        segment = Tombstone(self, name, data) if name.is_tombstone else Segment(self, name, data)
        try:
            segment.check()
            known = True
        except Broken as error:
            self.report.add("tampered", f"{name.text} at byte {segment.at}", str(error))
            known = False
        digest = None if name.is_tombstone else b"" if self.headers_only else sha256(data)
        file = File(*name[:2], len(data), segment.at, digest)
        if known:
            self.file = file
        else:
            self.lose(file)

    def lose(self, file: File) -> None:
        """Behind damage nothing is known but the file itself; the next start of the recorder is a new beginning."""
        self.file = file
        self.before = Before(known=False, epoch=self.before.epoch)
        self.hashes = self.waiting = None

    def push(self, leaf: bytes) -> None:
        self.tree.push(leaf)
        self.compare_kept()
        level = 0
        while self.hashes is not None:
            self.hashes[level].append(leaf)
            if len(self.hashes[level]) < 256:
                break
            self.check_tile(level, self.tree.size // 256 ** (level + 1) - 1, self.hashes[level])
            leaf, self.hashes[level] = root_of(self.hashes[level]), []
            level += 1
            if level == len(self.hashes):
                self.hashes.append([])

    def check_tile(self, level: int, place: int, hashes: list[bytes]) -> None:
        name = tile_name(level, place)
        self.tiles.add(name)
        try:
            found = read_regular(self.path / name)
        except FileNotFoundError:
            self.report.add("warning", name, "is not there: a crash, or a copy without tiles")
            return
        except OSError as error:
            self.report.add("incomplete", name, str(error))
            return
        whole = b"".join(hashes)
        if not fits(found, whole):
            self.report.add("tampered", name, "has other hashes than the frames")
        elif found != whole:
            self.report.add("warning", name, "is not whole: a crash, or it is being written")

    def take_leaves(self, end: int) -> None:
        """Goes on with the leaves of removed frames up to `end`, from the tiles of level 0."""
        while self.tree.size < end:
            name = tile_name(0, self.tree.size // 256)
            try:
                tile = read_regular(self.path / name)
            except OSError as error:
                raise Broken(f"the hashes of removed frames are not there: {error}") from error
            if len(tile) != TILE:
                raise Broken(f"{name} has not all hashes of removed frames")
            first = self.tree.size % 256
            last = min(256, end - self.tree.size + first)
            for at in range(first, last):
                self.before.link = tile[32 * at : 32 * at + 32]
                self.push(self.before.link)

    def fill(self, header: SegmentHeader) -> None:
        """Behind a removed segment without a SEAL: only the next header says how far it went."""
        self.take_leaves(header.first_frame)
        self.before.frame, self.before.event = header.first_frame, header.first_event

    def check_retention(self) -> None:
        """The tombstones are those that the newest event about them speaks of, and no removal was against its event."""
        self.report.removed = len(self.removed)
        for name in self.beside:
            self.check_beside(name)
        newest = max((frame for frame, _ in self.told), default=None)
        last = [tombstone_event(line) for frame, line in self.told if frame == newest]
        if (self.removed or last) and not self.speaks_of_all(last):
            raise Broken("the tombstones are not those that the newest event of retention speaks of")
        for _, line in self.told:
            event = tombstone_event(line)
            removed = self.removed.get(event["segment"])
            if removed and removed.is_against(event):
                raise Broken(f"{event['segment']} was removed against the limits that its own event names")

    def speaks_of_all(self, events: list[dict[str, Any]]) -> bool:
        """A crash leaves tombstones beside segments of the newest removal; a copy that was put back, beside others."""
        gone = [Name.parse(segment.replace(".krl.zst", ".tomb")) for segment in self.removed]
        own = [name for name in self.beside if any(event["segment"] == name.segment for event in events)]
        for beside in (own, self.beside):
            names = sorted(name for name in [*gone, *beside] if name)
            digest = sha256(*(sha256(read_regular(self.path / name.text)) for name in names)).hex()
            if events and all((event["tombstones"], event["tombstones_sha256"]) == (len(names), digest) for event in events):
                return True
        return False

    def check_beside(self, name: Name) -> None:
        """Beside its segment a tombstone says nothing, and may be unfinished; but one of another segment is no crash."""
        try:
            header = SegmentHeader.parse(read_regular(self.path / name.text))
            of = SegmentHeader.parse(map_file(self.path / name.segment)[:MAX_SEGMENT_HEADER])
        except Broken:
            self.report.add("warning", name.text, "is unfinished, or stands beside a torn segment")
            return
        if header != of:
            raise Broken(f"{name.text} is not of the segment that it stands beside")

    def compare_kept(self) -> None:
        if self.kept and self.kept.size == self.tree.size and self.kept.root != self.tree.root():
            self.report.add("tampered", "checkpoint", f"the first {self.kept.size} frames are not those it covers")

    def check_end(self) -> None:
        if self.kept and self.kept.size > self.tree.size:
            self.report.add("tampered", "checkpoint", f"covers {self.kept.size} frames, there are {self.tree.size}")
        if self.hashes is not None:
            self.check_tiles_ahead(self.hashes)
        if self.waiting:
            self.report.add("tampered", "the end", "the last segment is removed, which retention never does")
        if self.before.known and not self.before.key == ZERO and self.report.frames:
            self.report.add("warning", "the end", "no stop: still recording, a crash, or frames were cut off")
        if not self.report.events:
            self.report.add("incomplete", "the store", "no event was found")
        if self.report.lost:
            self.report.add("warning", "the record", f"the recorder itself says that {self.report.lost} events were lost")

    def check_tiles_ahead(self, hashes: list[list[bytes]]) -> None:
        """Tiles for frames that are not there prove nothing; but what they have of those that are there must be right."""
        begun = {tile_name(level, self.tree.size // 256 ** (level + 1)): b"".join(some) for level, some in enumerate(hashes)}
        for path in sorted((self.path / "tile").rglob("*")):
            name = str(path.relative_to(self.path))
            if path.is_dir() and not path.is_symlink() or name in self.tiles:
                continue
            if not re.fullmatch(r"tile/[0-7]/(x[0-9]{3}/)*[0-9]{3}", name):
                self.report.add("warning", name, "is no part of the store and was left out")
                continue
            try:
                found = read_regular(path) if begun.get(name) else b""
            except OSError as error:
                self.report.add("incomplete", name, str(error))
                continue
            if not fits(found, begun.get(name, b"")):
                self.report.add("tampered", name, "has other hashes than the frames")
            why = "a copy whose tiles were copied last, or the end of the log was cut off"
            self.report.add("warning", name, f"has hashes of frames that are not there: {why}")


def fits(found: bytes, known: bytes) -> bool:
    """Whether a file can be what is there of a tile that begins with the known hashes: blocks may never have been written."""
    blocks = [(found[at : at + 512], known[at : at + 512]) for at in range(0, min(len(found), len(known)), 512)]
    return len(found) <= TILE and all(
        block[: len(right)] == right[: len(block)] or not any(block) for block, right in blocks
    )


def tile_name(level: int, place: int) -> str:
    digits = f"{place:0{-(-len(str(place)) // 3) * 3}}"
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join(["tile", str(level), *(f"x{group}" for group in groups[:-1]), groups[-1]])


def read_regular(path: Path) -> bytes:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(f"{path}: not a regular file")
    return path.read_bytes()


def map_file(path: Path) -> bytes | mmap.mmap:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(f"{path}: not a regular file")
    with path.open("rb") as file:
        empty = file.seek(0, 2) == 0
        return b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class Segment:
    """The check of one segment. `at` is how far everything was right; Broken says what is not."""

    def __init__(self, store: Store, name: Name, data: bytes | mmap.mmap) -> None:
        self.store, self.name, self.data = store, name, data
        self.at = 0
        self.indexer = Indexer()
        self.waiting: list[Frame] = []

    def check(self) -> None:
        before = self.store.before
        try:
            header = SegmentHeader.parse(self.data[:MAX_SEGMENT_HEADER])
        except Broken as error:
            self.check_torn(error)
            return
        self.begin(header, before)
        before = self.store.before
        while self.at < len(self.data):
            if before.sealed:
                raise Broken("bytes behind the end of the segment")
            try:
                frame = Frame.parse(self.data[self.at : self.at + FRAME_HEADER], self.at)
                self.check_digest(frame)
            except Broken as error:
                self.check_torn(error)
                break
            self.check_frame(frame, before)
        self.check_payloads()

    def check_digest(self, frame: Frame) -> None:
        if frame.end > len(self.data):
            raise Broken("the frame is cut off")
        if self.is_read(frame) and sha256(self.payload_of(frame)) != frame.leaf.payload_sha256:
            raise Broken(f"the payload of frame {frame.leaf.number} was changed")

    def is_read(self, frame: Frame) -> bool:
        return not self.store.headers_only or frame.leaf.kind == TOMB

    def payload_of(self, frame: Frame) -> bytes:
        return self.data[frame.payload_offset : frame.end]

    def begin(self, header: SegmentHeader, before: Before) -> None:
        """Checks the header against what was before, and goes on behind it."""
        store = self.store
        if store.waiting:
            store.waiting.ended = max(store.waiting.ended, header.created)
            if not before.sealed and before.known:
                store.fill(header)
            store.waiting = None
        self.check_header(header, before)
        store.before = self.behind_header(header, before)
        self.at = header.size

    def check_torn(self, error: Broken) -> None:
        """What is no frame must be what a crash left; whether it was there then, the header of the next segment says."""
        tail = self.data[self.at : self.at + FRAME_HEADER + MAX_SEAL + 1]
        if self.at + len(tail) < len(self.data) or not is_torn(tail, self.at):
            self.check_payloads()
            raise error
        if tail:
            self.store.report.add("warning", f"{self.name.text} at byte {self.at}", f"{len(tail)} bytes that a crash left")

    def check_header(self, header: SegmentHeader, before: Before) -> None:
        store, starts = self.store, bool(header.flags & EPOCH)
        if header.origin != store.origin.id:
            raise Broken("a segment of another host")
        if (header.first_frame, header.attempt) != self.name[:2]:
            raise Broken("the segment has another name than its header says")
        if store.number == 0 and header.number != 0:
            raise Broken(f"the first segment is not there: this is number {header.number}")
        signer = store.origin.key if starts else before.key
        if before.known or starts:
            if not starts and not before.sealed:
                raise Broken("a segment goes on where the one before has no seal")
            if not signed_by(signer, b"krec/segment/v1\0" + header.signed, header.signature):
                raise Broken("the header is not signed by the key that it must be signed by")
        if Frontier(header.tree_size, header.nodes).root() != header.root:
            raise Broken("the tree root of the header is not that of its nodes")
        self.check_previous(header)
        if before.known:
            self.check_order(header, before)

    def check_order(self, header: SegmentHeader, before: Before) -> None:
        epoch = before.epoch + (1 if header.flags & EPOCH else 0)
        tree = self.store.tree
        if (header.number, header.epoch) != (self.store.number, epoch):
            raise Broken(f"segment {header.number} of start {header.epoch}, not {self.store.number} of start {epoch}")
        if not header.flags & EPOCH and before.boot_id not in (None, header.boot_id):
            raise Broken("the segment is of another boot than the one before, and no start lies between them")
        if (header.first_frame, header.first_event) != (before.frame, before.event):
            raise Broken("the segment does not go on with the next frame and event")
        if header.link != before.link:
            raise Broken("the link of the header does not fit")
        if (header.tree_size, header.nodes) != (tree.size, tree.nodes):
            raise Broken("the tree of the header is not that of the frames before")

    def check_previous(self, header: SegmentHeader) -> None:
        file = self.store.file
        stated = (header.previous_first_frame, header.previous_attempt, header.previous_length, header.previous_valid)
        if file is None:
            if any(stated) or header.previous_sha256 != ZERO or header.flags & (TORN | DAMAGED) or header.link != ZERO:
                raise Broken("the first segment names one before it")
        elif stated[:2] != file[:2]:
            raise Broken("the segment before this one is not there")
        elif file.digest is not None:
            same = self.store.headers_only or header.previous_sha256 == file.digest
            if header.previous_length != file.length or not same:
                raise Broken("the segment before was changed: it has another length or digest than its successor says")
            if self.store.before.known and header.previous_valid != file.valid:
                raise Broken("the segment before ends at another frame than its successor says")

    def behind_header(self, header: SegmentHeader, before: Before) -> Before:
        """What the first frame must fit. A lost counter begins anew with a start."""
        if not before.known:
            self.store.tree = Frontier(header.tree_size, header.nodes)
            self.store.number = header.number
        if header.flags & NOT_APPEND_ONLY:
            self.store.report.add("warning", self.name.text, "was written without the append-only flag")
        link = leaf_hash(header.signed)
        lost = 0 if header.flags & EPOCH else before.lost
        first = (header.first_frame, header.first_event)
        return Before(True, link, header.next_key, False, *first, header.epoch, lost, header.boot_id)

    def check_frame(self, frame: Frame, before: Before) -> None:
        leaf = frame.leaf
        if leaf.number != before.frame:
            raise Broken(f"frame {leaf.number} where frame {before.frame} must be")
        if not signed_by(before.key, b"krec/frame/v1\0" + frame.leaf_bytes, frame.signature):
            raise Broken(f"frame {leaf.number} is not signed by the key that was announced for it")
        if leaf.link != before.link:
            raise Broken(f"the link of frame {leaf.number} does not fit")
        if leaf.first_event != before.event or leaf.epoch != before.epoch or leaf.lost < before.lost:
            raise Broken(f"frame {leaf.number} has another event number or start, or a lost counter that went back")
        if self.is_read(frame):
            self.check_payload(frame)
        self.store.report.lost += leaf.lost - before.lost
        before.link, before.key, before.sealed = leaf_hash(frame.leaf_bytes), leaf.next_key, leaf.kind == SEAL
        before.frame, before.event, before.lost = leaf.number + 1, leaf.first_event + leaf.count, leaf.lost
        self.store.push(before.link)
        self.store.report.frames += 1
        self.store.report.events += leaf.count
        self.at = frame.end

    def check_payload(self, frame: Frame) -> None:
        payload = self.payload_of(frame)
        if frame.leaf.count == 0 and frame.leaf.inner_root != sha256():
            raise Broken(f"frame {frame.leaf.number} has no events, but an inner root")
        if frame.leaf.kind == SEAL:
            self.check_seal(Seal.parse(payload))
        elif frame.leaf.kind == HEARTBEAT:
            if payload != EMPTY_ZSTD:
                raise Broken(f"the payload of heartbeat {frame.leaf.number} is not empty")
            self.waiting.append(frame)
        else:
            check_zstd_shape(payload, frame.leaf.raw_length)
            self.waiting.append(frame)
            if sum(waiting.leaf.raw_length for waiting in self.waiting) > BATCH:
                self.check_payloads()

    def check_seal(self, seal: Seal) -> None:
        self.check_payloads()
        checkpoint = Checkpoint.parse(seal.checkpoint)
        checkpoint.check(self.store.origin)
        if seal.checkpoint.count(b"\n") != 5:
            raise Broken("the checkpoint of the seal has more than three lines and a signature")
        if (checkpoint.size, checkpoint.root) != (self.store.tree.size, self.store.tree.root()):
            raise Broken("the checkpoint of the seal is not of the frames before it")
        if seal.index != self.indexer.finish():
            raise Broken("the index of the segment is not that of its frames")

    def check_payloads(self) -> None:
        """Unpacks all that waits by one call, and one by one where that fails, to find which it is."""
        frames, self.waiting = self.waiting, []
        events = [frame for frame in frames if frame.leaf.kind != HEARTBEAT]
        payloads = [self.payload_of(frame) for frame in events]
        lengths = [frame.leaf.raw_length for frame in events]
        raw = unpack(payloads, sum(lengths)) if events else b""
        at = 0
        for frame in frames:
            part = raw[at : at + frame.leaf.raw_length] if raw is not None else None
            if raw is None and frame.leaf.raw_length:
                part = unpack([self.payload_of(frame)], frame.leaf.raw_length)
            at += frame.leaf.raw_length
            self.check_lines(frame, part or b"")

    def check_lines(self, frame: Frame, raw: bytes) -> None:
        leaf = frame.leaf
        if len(raw) != leaf.raw_length:
            raise Broken(f"the payload of frame {leaf.number} does not unpack to what its header says")
        lines = raw.split(b"\n")
        if lines.pop() != b"" or len(lines) != leaf.count:
            raise Broken(f"frame {leaf.number} does not have {leaf.count} lines")
        if root_of([leaf_hash(line) for line in lines]) != leaf.inner_root:
            raise Broken(f"the events of frame {leaf.number} are not those of its inner root")
        self.store.report.frames_without_keys += not self.indexer.add(leaf, lines)
        if leaf.kind == TOMB:
            self.store.told += [(leaf.number, line) for line in lines]


# Retention


@dataclass
class Removed:
    """When a removed segment was made, and when it ended at the earliest."""

    created: int
    ended: int

    def is_against(self, event: dict[str, Any]) -> bool:
        ended = max(self.ended, nanoseconds(event["to"]))
        held = any(begin <= ended and end >= self.created for begin, end in map(held_time, event["hold"]))
        limit = {"age": event["keep_age"], "size": event["keep_size"]}.get(event["reason"])
        too_early = event["reason"] == "age" and limit and nanoseconds(event["decided"]) < ended + limit * 10**9
        return held or limit is None or bool(too_early)


def tombstone_event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
        event = {key: event[key] for key in ("kind", "segment", "to", "reason", "decided", "hold", "tombstones_sha256")} | {
            key: event[key] and int(event[key]) for key in ("keep_age", "keep_size", "tombstones")
        }
        if event["kind"] == "tombstone" and Name.parse(event["segment"]) and isinstance(event["hold"], list):
            return event
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        pass
    raise Broken("a frame that tells of removals has another event in it")


def nanoseconds(text: str) -> int:
    """Of an RFC 3339 time with up to nine digits behind the second."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", str(text), re.ASCII)
    try:
        time = datetime.datetime.fromisoformat(found[1] + found[3].upper()) if found else None
    except ValueError:
        time = None
    if not found or not time:
        raise Broken(f"not a time: {text}")
    return int(time.timestamp()) * 10**9 + int((found[2] or "").ljust(9, "0"))


def held_time(text: str) -> tuple[int, int]:
    """Begin and end of a hold. A date is that day wherever on earth it is that day: from UTC+14 to UTC-12."""
    begin, _, end = str(text).partition("/")
    if re.fullmatch(r"\d{4}-\d\d-\d\d", begin):
        begin += "T00:00:00+14:00"
    if re.fullmatch(r"\d{4}-\d\d-\d\d", end):
        return nanoseconds(begin), nanoseconds(end + "T00:00:00-12:00") + 86_400 * 10**9
    return nanoseconds(begin), nanoseconds(end)


class Tombstone(Segment):
    """What stays of a removed segment: its header, and that of its SEAL where it had one. The tiles have the leaves."""

    def check(self) -> None:
        store = self.store
        header = SegmentHeader.parse(self.data[:MAX_SEGMENT_HEADER])
        self.begin(header, store.before)
        store.waiting = store.removed[self.name.segment] = Removed(header.created, header.created)
        rest = self.data[header.size :]
        if rest:
            self.check_seal_header(Frame.parse(rest, 0), len(rest))

    def check_seal_header(self, seal: Frame, length: int) -> None:
        store, before, leaf = self.store, self.store.before, seal.leaf
        if leaf.kind != SEAL or length != FRAME_HEADER:
            raise Broken("behind the header of the removed segment is not the header of its SEAL")
        if leaf.number < before.frame or leaf.epoch != before.epoch or leaf.lost < before.lost:
            raise Broken("the SEAL of the removed segment does not belong to it")
        store.take_leaves(leaf.number + 1)
        if before.link != leaf_hash(seal.leaf_bytes):
            raise Broken("the SEAL of the removed segment is not the one that the tree has")
        store.removed[self.name.segment].ended = max(store.removed[self.name.segment].created, leaf.last_time)
        before.key, before.sealed, before.lost = leaf.next_key, True, leaf.lost
        before.frame, before.event = leaf.number + 1, leaf.first_event


# The proof of one event


def check_proof(data: bytes, key: Origin) -> tuple[str, int, str]:
    """Verdict, exit code and a sentence, or the event when the proof holds."""
    try:
        index, extra, path, checkpoint = parse_proof(data)
    except (Broken, UnicodeDecodeError) as error:
        return "INCOMPLETE", 3, f"there is no proof to check: {error}"
    try:
        checkpoint.check(key)
        line = event_of(index, extra, path, checkpoint)
    except Broken as error:
        return "TAMPERED", 2, f"the proof does not hold: {error}"
    return "UNANCHORED", 5, line.decode(errors="backslashreplace")


def parse_proof(data: bytes) -> tuple[int, bytes, list[bytes], Checkpoint]:
    if len(data) > MAX_PROOF:
        raise Broken("longer than a proof can be")
    head, blank, checkpoint = data.partition(b"\n\n")
    first, *lines = head.decode().split("\n")
    if first != "c2sp.org/tlog-proof@v1" or not blank or len(lines) < 2:
        raise Broken("not a proof")
    if not lines[0].startswith("extra ") or not lines[1].startswith("index "):
        raise Broken("a proof without an event or an index")
    extra, index, path = unbase64(lines[0][6:]), decimal(lines[1][6:]), [unbase64(line) for line in lines[2:]]
    if len(path) > 64 or any(len(node) != 32 for node in path):
        raise Broken("a proof with what is no hash")
    if len(extra) < 208 or extra[:5] != b"KRP1\1" or extra[6:8] != bytes(2) or extra[5] > 19:
        raise Broken("a proof without one of our events")
    if int.from_bytes(extra[12:16], "little") != len(extra) - 208 - 32 * extra[5]:
        raise Broken("a proof with another length than it says")
    return index, extra, path, Checkpoint.parse(checkpoint)


def event_of(index: int, extra: bytes, path: list[bytes], checkpoint: Checkpoint) -> bytes:
    """The event that the proof shows, steps 2 to 5 of the page."""
    place, end = int.from_bytes(extra[8:12], "little"), 208 + 32 * extra[5]
    leaf_bytes, inner, line = extra[16:208], [extra[at : at + 32] for at in range(208, end, 32)], extra[end:]
    if root_by_path(leaf_hash(leaf_bytes), index, checkpoint.size, path) != checkpoint.root:
        raise Broken("the frame does not lead to the root of the checkpoint")
    leaf = Leaf.parse(leaf_bytes)
    if leaf.number != index:
        raise Broken("the frame has another number")
    if root_by_path(leaf_hash(line), place, leaf.count, inner) != leaf.inner_root:
        raise Broken("the event does not lead to the root of its frame")
    if not re.match(rb'\{"seq":%d(?![0-9])' % (leaf.first_event + place), line):
        raise Broken("the event has another number")
    return line


# The command line


def plain(text: str) -> str:
    """Names and events come from the host: nothing in them may steer a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text)


def dump(path: Path) -> None:
    """Prints every header for people, as far as they can be read."""
    for name in sorted(filter(None, map(Name.parse, (entry.name for entry in path.iterdir())))):
        data = map_file(path / name.text)
        try:
            header = SegmentHeader.parse(data[:MAX_SEGMENT_HEADER])
            print(f"{name.text} {len(data)} bytes")
            for key, value in header._asdict().items():
                print(f"    {key} {shown(value)}")
            at = header.size
            while at < len(data):
                frame = Frame.parse(data[at : at + FRAME_HEADER], at)
                fields = " ".join(f"{key}={shown(value)}" for key, value in frame.leaf._asdict().items())
                print(f"  at {at}: {fields} signature={frame.signature.hex()}")
                at = frame.end
        except Broken as error:
            print(f"{name.text}: {error}")


def shown(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(shown, value)) or "none"
    return value.hex() if isinstance(value, bytes) else str(value)


def key_of(text: str | None) -> Origin | None:
    if text is None:
        return None
    path = Path(text)
    return Origin.parse((path.read_text() if path.is_file() else text).removesuffix("\n"))


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("store", nargs="?", type=Path)
    parser.add_argument("--key", help="the origin key to trust, as a file or as its line")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint that you kept: all that it covers must be there")
    parser.add_argument("--headers-only", action="store_true", help="leave the payloads and digests of files unread")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--proof", type=Path, help="check the proof of one event")
    parser.add_argument("--dump", action="store_true", help="print the headers")
    parser.add_argument("--batch", action="store_true", help="check what each line of stdin asks for, as a JSON object")
    return parser


def answer(asked: dict[str, Any]) -> str:
    """What a line of --batch asks: `store`, and perhaps `checkpoint`, `headers_only`; or `proof` and `key`."""
    try:
        if asked.get("proof"):
            return proof_as_json(*check_proof(Path(asked["proof"]).read_bytes(), Origin.parse(asked["key"])))
        kept = asked.get("checkpoint")
        store = Store(Path(asked["store"]), bool(asked.get("headers_only")))
        return store.check(None, Path(kept).read_bytes() if kept else None).as_json()
    except (OSError, Broken) as error:
        return json.dumps({"verdict": "none", "exit_code": 70, "said": str(error)})


def proof_as_json(verdict: str, code: int, said: str) -> str:
    return json.dumps({"verdict": verdict.lower(), "exit_code": code, "said": said})


def run(asked: argparse.Namespace) -> int:
    key = key_of(asked.key)
    checkpoint = asked.checkpoint.read_bytes() if asked.checkpoint else None
    if asked.proof:
        verdict, code, said = check_proof(asked.proof.read_bytes(), key)
        print(proof_as_json(verdict, code, said) if asked.json else plain(f"{verdict}: {said}"))
        return code
    if asked.dump:
        dump(asked.store)
        return 0
    if asked.batch:
        for line in sys.stdin:
            print(answer(json.loads(line)), flush=True)
        return 0
    report = Store(asked.store, asked.headers_only).check(key, checkpoint)
    print(report.as_json() if asked.json else report.as_text())
    return report.verdict()[1]


def main() -> int:
    parser = options()
    try:
        asked = parser.parse_args()
    except SystemExit as end:
        return 64 if end.code else 0
    if asked.proof and not asked.key or not (asked.proof or asked.batch or asked.store):
        parser.print_usage(sys.stderr)
        return 64
    try:
        return run(asked)
    except (OSError, Broken) as error:
        print(f"verify.py: {error}", file=sys.stderr)
        return 70


if __name__ == "__main__":
    sys.exit(main())
