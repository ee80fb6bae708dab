"""Model files in numpy: safetensors with a configuration, and folders of them."""

import json
import struct
from pathlib import Path

import numpy as np

DTYPES = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "I64": np.int64}
NAMES = {np.dtype(kind): name for name, kind in DTYPES.items()}


def array_of(data, dtype):
    if dtype == "BF16":  # the upper half of an f32
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, DTYPES[dtype])


def read_safetensors(path):
    """Metadata and tensors, as f32: halves widened, rows of bytes multiplied by their scales."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = array_of(data[begin:end], entry["dtype"]).reshape(entry["shape"])
    packed = [name for name, tensor in tensors.items() if tensor.dtype == np.int8]
    for name in packed:
        scale = tensors.pop(name + ".scale")
        tensors[name] = tensors[name] * scale.reshape(-1, *[1] * (tensors[name].ndim - 1))
    return metadata, {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def write_safetensors(path, tensors, metadata):
    header, offset, parts = {"__metadata__": metadata}, 0, []
    widest_first = sorted(tensors.items(), key=lambda item: -item[1].itemsize)  # so that each begins aligned
    for name, tensor in widest_first:
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
