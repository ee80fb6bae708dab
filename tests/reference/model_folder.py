"""The model that a training writes: halves, their configuration and the tokenizer, as `dalle1 sample` takes them."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import formats
import numpy as np

FORMAT = 1


def write(folder, config, arrays, tokenizer):
    """Each file appears whole or not at all; transformer.safetensors alone is a model, too."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    halves = {name: half(name, array) for name, array in arrays.items()}
    put(folder / "transformer.safetensors", lambda path: formats.write_part(path, "transformer", config, halves))
    put(folder / "text.model", lambda path: shutil.copyfile(tokenizer, path))
    document = {"format": FORMAT, "name": "trained transformer", "licence": "unspecified", "provenance": {}}
    document["transformer"] = {"config": config, "file": "transformer.safetensors"}
    document["tokenizer"] = {"kind": "sentencepiece", "file": "text.model"}
    document["files"] = {name: record(folder / name) for name in ("transformer.safetensors", "text.model")}
    put(folder / "model.json", lambda path: path.write_text(json.dumps(document, indent=2) + "\n"))


def half(name, array):
    """Matrices as f16, vectors as they are."""
    if array.ndim < 2:
        return array
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16)
    if not np.isfinite(rounded).all():
        raise ValueError(f"{name}: a value that f16 cannot hold")
    return rounded


def record(path):
    data = path.read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def put(path, write_to):
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    write_to(temporary)
    os.replace(temporary, path)
