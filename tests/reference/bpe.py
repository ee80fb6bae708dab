"""Sentencepiece BPE (Kudo and Richardson 2018) of the models that `dalle1 train tokenizer` makes, with BPE dropout."""

import functools
import heapq
import struct
from pathlib import Path

import philox

MARK = "\u2581"  # shows a space
NORMAL, UNKNOWN, CONTROL = 1, 2, 3


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(message):
    """(number, value) of each field of a protobuf message; a value is an int or bytes."""
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        if tag & 7 == 0:
            value, at = varint(message, at)
        else:
            length, at = varint(message, at) if tag & 7 == 2 else ({1: 8, 5: 4}[tag & 7], at)
            value, at = message[at : at + length], at + length
        yield tag >> 3, value


class CharacterMap:
    """Sentencepiece's normalisation rules: a double-array trie (darts-clone) from byte sequences to replacements."""

    def __init__(self, blob):
        size = struct.unpack_from("<I", blob)[0] if blob else 0
        self.units = struct.unpack_from(f"<{size // 4}I", blob, 4) if blob else ()
        self.replacements = blob[4 + size :]

    def longest(self, data, at):
        """Bytes replaced at `at` (0: none), and by what."""
        found, node = (0, b""), self.offset(self.units[0]) if self.units else 0
        for i in range(at, len(data) if self.units else at):
            node ^= data[i]
            if node >= len(self.units) or self.units[node] & 0x800000FF != data[i]:
                break
            unit = self.units[node]
            node ^= self.offset(unit)
            if unit >> 8 & 1:
                begin = self.units[node] & 0x7FFFFFFF
                found = i + 1 - at, self.replacements[begin : self.replacements.index(0, begin)]
        return found

    @staticmethod
    def offset(unit):
        return unit >> 10 << ((unit & 1 << 9) >> 6)


class Ignored:
    """Whether dropout (Provilkov et al. 2020) ignores the next merge: draws of (seed, index of the text) alone."""

    def __init__(self, probability, seed, index):
        self.place = (seed, philox.BPE_DROPOUT, index & 0xFFFFFFFF, index >> 32)
        self.probability, self.known, self.at = probability, [], 0

    def next(self):
        if self.at == len(self.known):
            self.known = (philox.uniforms(*self.place, len(self.known) + 128) < self.probability).tolist()
        self.at += 1
        return self.known[self.at - 1]


class Tokenizer:
    def __init__(self, path):
        self.scores, self.ids, self.unknown, kind, rules = {}, {}, None, 1, {}
        size = 0
        for number, value in fields(Path(path).read_bytes()):
            if number == 1:
                self.add_piece(dict(fields(value)), size)
                size += 1
            elif number == 2:
                kind = dict(fields(value)).get(3, 1)
            elif number == 3:
                rules = dict(fields(value))
        self.size, self.map = size, CharacterMap(rules.get(2, b""))
        inside = any(MARK in piece[1:] for piece in self.ids)
        if kind != 2 or self.unknown is None or inside or not all(rules.get(flag, 1) for flag in (3, 4, 5)):
            raise ValueError(f"{path}: not a BPE model of `dalle1 train tokenizer`: other kinds are not read here")
        self.words = functools.lru_cache(maxsize=1 << 18)(self.words_of)
        self.merged = functools.lru_cache(maxsize=1 << 18)(self.merge)

    def add_piece(self, piece, number):
        kind, text = piece.get(3, NORMAL), piece[1].decode()
        if kind == NORMAL:
            self.ids[text] = number
            self.scores[text] = struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0
        elif kind == UNKNOWN:
            self.unknown = number
        elif kind != CONTROL:
            raise ValueError(f"piece {number} is user-defined, unused or a byte: not read here")

    def encode(self, text, ignored=None):
        """Ids without start, end and padding; `ignored` drops merges."""
        out = []
        for word in self.words(text):
            for symbol in self.merged(word) if ignored is None else self.merge(word, ignored):
                number = self.ids.get(symbol, self.unknown)
                if number != self.unknown or not out or out[-1] != number:  # a run of unknowns is one
                    out.append(number)
        return out

    def words_of(self, text):
        """The normalised text, cut in front of each space."""
        whole = self.normalised(text)
        return tuple(MARK + word for word in whole.split(MARK)[1:]) if whole else ()

    def normalised(self, text):
        data, at, out = text.encode(), 0, []
        while at < len(data):
            length, shown = self.map.longest(data, at)
            if length == 0:
                length = 1 + sum(data[at] >= first for first in (0xC0, 0xE0, 0xF0))
                shown = data[at : at + length]
            out.append(shown)
            at += length
        words = [word for word in b"".join(out).decode().split(" ") if word]
        return "".join(MARK + word for word in words)

    def merge(self, word, ignored=None):
        """Symbols that are left of a word's characters when no merge applies any more, or a round ignored all."""
        symbols, following, previous = list(word), [*range(1, len(word)), -1], [*range(-1, len(word) - 1)]
        heap, skipped = [], []

        def push(at):
            if at >= 0 and following[at] >= 0:
                left, right = symbols[at], symbols[following[at]]
                if left + right in self.ids:
                    heapq.heappush(heap, (-self.scores[left + right], at, left, right))

        for at in range(len(word)):
            push(at)
        while heap:
            candidate = heapq.heappop(heap)
            _, at, left, right = candidate
            after = following[at]
            if symbols[at] != left or after < 0 or symbols[after] != right:
                continue  # one of the two has merged with another since
            if ignored is not None and ignored.next():
                skipped.append(candidate)
                continue
            symbols[at], symbols[after], following[at] = left + right, None, following[after]
            if following[at] >= 0:
                previous[following[at]] = at
            push(previous[at])
            push(at)
            for candidate in skipped:  # a new round
                heapq.heappush(heap, candidate)
            skipped.clear()
        return tuple(symbol for symbol in symbols if symbol is not None)
