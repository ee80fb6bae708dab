"""Token shards (core/data/token_shard.h) in memory, read and written with numpy."""

import json
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

MAGIC, END_MAGIC, PREFIX = b"DALLE1TS", b"DALLE1TE", 12


class Records(NamedTuple):
    tokens: np.ndarray  # uint16 [N, grid * grid]
    captions: list
    kinds: list


def bits_of(info):
    return (info["codes"] - 1).bit_length()


def read_shard(path):
    """Header and records. Every checksum is looked at."""
    data = Path(path).read_bytes()
    if data[:8] != MAGIC or data[-8:] != END_MAGIC:
        raise ValueError(f"{path}: not a whole token shard")
    (length,) = struct.unpack_from("<I", data, 12)
    info = json.loads(data[16 : 16 + length])
    if info["codes"] > 1 << 16:
        raise ValueError(f"{path}: {info['codes']} codes; 65536 are read here")
    count, index_begin, index_crc, header_crc = struct.unpack_from("<QQII", data, len(data) - 32)
    index = data[index_begin : index_begin + 8 * (count + 1)]
    starts = struct.unpack(f"<{count + 1}Q", index)
    if zlib.crc32(index) != index_crc or zlib.crc32(data[: starts[0]]) != header_crc:
        raise ValueError(f"{path}: damaged")
    packed = (info["grid"] ** 2 * bits_of(info) + 7) // 8
    rows, captions, kinds = np.empty((count, packed), np.uint8), [], []
    for row, begin, end in zip(rows, starts, starts[1:]):
        crc, kind, length = struct.unpack_from("<III", data, begin)
        if zlib.crc32(data[begin + 4 : end]) != crc or end - begin != PREFIX + packed + length:
            raise ValueError(f"{path}: a damaged record at byte {begin}")
        row[:] = np.frombuffer(data, np.uint8, packed, begin + PREFIX)
        captions.append(data[end - length : end].decode())
        kinds.append(kind)
    return info, Records(unpacked(rows, info), captions, kinds)


def unpacked(rows, info):
    """Tokens of packed grids [N, bytes]: token i at the bits from i * bits on, lowest first. Eight tokens fill whole
    bytes; each lies in three of them."""
    bits, cells = bits_of(info), info["grid"] ** 2
    eights = -(-cells // 8)
    whole = np.pad(rows, ((0, 0), (0, eights * bits - rows.shape[1]))).reshape(-1, bits)
    whole = np.pad(whole, ((0, 0), (0, 2)))
    tokens = np.empty((len(whole), 8), np.uint16)
    for lane in range(8):
        at, shift = divmod(lane * bits, 8)
        first, second, third = (whole[:, at + byte].astype(np.uint32) for byte in range(3))
        tokens[:, lane] = (first | second << 8 | third << 16) >> shift & (1 << bits) - 1
    tokens = tokens.reshape(len(rows), -1)[:, :cells]
    if tokens.size and tokens.max() >= info["codes"]:
        raise ValueError(f"a token of {tokens.max()} where there are {info['codes']} codes")
    return tokens


def read_shards(where):
    """All *.tokens files of a folder, in order, as one."""
    paths = sorted(path for path in Path(where).glob("*.tokens") if not path.name.startswith("."))
    if not paths:
        raise ValueError(f"{where}: holds no .tokens files; make them with 'dalle1 shard'")
    infos, parts = zip(*map(read_shard, paths))
    if any(info != infos[0] for info in infos):
        raise ValueError(f"{where}: shards made with different dVAEs, tokenizers or grids")
    captions, kinds = ([item for part in parts for item in part[column]] for column in (1, 2))
    return infos[0], Records(np.concatenate([part.tokens for part in parts]), captions, kinds)


def write_shard(path, info, records):
    text = json.dumps(info, separators=(",", ":")).encode()
    data = bytearray(MAGIC + struct.pack("<II", 1, len(text)) + text)
    header_crc, starts = zlib.crc32(data), []
    for tokens, caption, kind in zip(*records):
        bits = (tokens[:, None] >> np.arange(bits_of(info)) & 1).astype(np.uint8)
        packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
        caption = caption.encode()
        body = struct.pack("<II", kind, len(caption)) + packed + caption
        starts.append(len(data))
        data += struct.pack("<I", zlib.crc32(body)) + body
    starts.append(len(data))
    index = struct.pack(f"<{len(starts)}Q", *starts)
    trailer = struct.pack("<QQII", len(starts) - 1, starts[-1], zlib.crc32(index), header_crc)
    Path(path).write_bytes(bytes(data) + index + trailer + END_MAGIC)
