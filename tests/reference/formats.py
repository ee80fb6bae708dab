"""The project's files in numpy: safetensors, model folders, token shards; and the order in which training reads."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np

DTYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "I64": np.int64}
NAMES = {np.dtype(kind): name for name, kind in DTYPES.items()}


def read_safetensors(path):
    """Metadata and tensors, as f32: halves widened, rows of bytes multiplied by their scales."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    packed = [name for name, tensor in tensors.items() if tensor.dtype == np.int8]
    for name in packed:
        scale = tensors.pop(name + ".scale")
        tensors[name] = tensors[name] * scale.reshape(-1, *[1] * (tensors[name].ndim - 1))
    return metadata, {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def write_safetensors(path, tensors, metadata):
    header, offset, parts = {"__metadata__": metadata}, 0, []
    for name, tensor in tensors.items():
        parts.append(np.ascontiguousarray(tensor).tobytes())
        ends = [offset, offset + len(parts[-1])]
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": ends}
        offset = ends[1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def write_part(path, part, config, tensors):
    """A part that `dalle1 --transformer PATH` and its like take."""
    text = json.dumps(config, separators=(",", ":"))
    write_safetensors(path, tensors, {"dalle1.part": part, "dalle1.config": text, "format": "pt"})


def read_part(folder, part):
    """Configuration and tensors of one part of a model folder."""
    entry = json.loads((Path(folder) / "model.json").read_text())[part]
    return entry["config"], read_safetensors(Path(folder) / entry["file"])[1]


def bits_of(info):
    return (info["codes"] - 1).bit_length()


def read_shard(path):
    """The header, and (tokens [grid * grid], caption, kind) of each record. Every checksum is looked at."""
    data = Path(path).read_bytes()
    if data[:8] != b"DALLE1TS" or data[-8:] != b"DALLE1TE":
        raise ValueError(f"{path}: not a whole token shard")
    (length,) = struct.unpack_from("<I", data, 12)
    info = json.loads(data[16 : 16 + length])
    count, index_begin, index_crc, header_crc = struct.unpack_from("<QQII", data, len(data) - 32)
    index = data[index_begin : index_begin + 8 * (count + 1)]
    starts = struct.unpack(f"<{count + 1}Q", index)
    if zlib.crc32(index) != index_crc or zlib.crc32(data[: starts[0]]) != header_crc:
        raise ValueError(f"{path}: damaged")
    return info, [read_record(data[begin:end], info) for begin, end in zip(starts, starts[1:])]


def read_record(record, info):
    crc, kind, length = struct.unpack_from("<III", record)
    if zlib.crc32(record[4:]) != crc:
        raise ValueError("a damaged record")
    bits, cells = bits_of(info), info["grid"] ** 2
    packed = np.frombuffer(record[12 : len(record) - length], np.uint8)
    rows = np.unpackbits(packed, bitorder="little")[: cells * bits].reshape(cells, bits)
    return rows @ (1 << np.arange(bits)), record[len(record) - length :].decode(), kind


def write_shard(path, info, records):
    text = json.dumps(info, separators=(",", ":")).encode()
    data = bytearray(b"DALLE1TS" + struct.pack("<II", 1, len(text)) + text)
    header_crc, starts = zlib.crc32(data), []
    for tokens, caption, kind in records:
        rows = (np.asarray(tokens)[:, None] >> np.arange(bits_of(info)) & 1).astype(np.uint8)
        packed = np.packbits(rows.ravel(), bitorder="little").tobytes()
        caption = caption.encode()
        body = struct.pack("<II", kind, len(caption)) + packed + caption
        starts.append(len(data))
        data += struct.pack("<I", zlib.crc32(body)) + body
    starts.append(len(data))
    index = struct.pack(f"<{len(starts)}Q", *starts)
    trailer = struct.pack("<QQII", len(records), starts[-1], zlib.crc32(index), header_crc)
    Path(path).write_bytes(bytes(data) + index + trailer + b"DALLE1TE")


SHUFFLE = 5  # the stream of random numbers that orders the data


def philox(counter, seed):
    """Philox4x32-10 (Salmon et al. 2011)."""
    low = 2**32 - 1
    keys = [seed & low, seed >> 32]
    a, b, c, d = counter
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (second >> 32) ^ b ^ keys[0], second & low, (first >> 32) ^ d ^ keys[1], first & low
        keys = [(keys[0] + 0x9E3779B9) & low, (keys[1] + 0xBB67AE85) & low]
    return a, b, c, d


def sample_index(position, size, seed):
    """Which of `size` samples training reads at a position: a Feistel permutation anew for each epoch."""
    half = max(4, ((size - 1).bit_length() + 1) // 2)
    mask, epoch, place = (1 << half) - 1, position // size, position % size
    while True:
        left, right = place >> half, place & mask
        for turn in range(6):
            noise = philox((SHUFFLE, epoch, turn, right), seed)[0] & mask
            left, right = right, left ^ noise
        place = left << half | right
        if place < size:
            return place
