"""Finds the tools, and tells whole files from parts of them."""

import json
import lzma
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "gpu" / "quarter"), str(ROOT / "tests" / "reference")]

MOST_FILES, LARGEST = 8, 16 << 20


def safetensors_is_whole(data):
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return 8 + length + max(ends) == len(data)


def facts_are_whole(data):
    lines = data.decode().split("\n")
    return lines[-1] == "" and all(len(line.split("\t")) == 4 for line in lines[:-1])


WHOLE = {
    ".safetensors": safetensors_is_whole,
    ".jsonl": lambda data: data == b"" or (data.endswith(b"\n") and all(map(json.loads, data.splitlines()))),
    ".png": lambda data: data.startswith(b"\x89PNG") and data[-8:-4] == b"IEND",
    ".xz": lambda data: len(lzma.decompress(data)) > 0,
    ".tsv": facts_are_whole,
}


def missing(facts):
    """What facts.tsv says is missing, as {"stage": names, "file": names}."""
    found = {"stage": set(), "file": set()}
    for line in facts.splitlines()[1:]:
        _, stage, what, value = line.split("\t")
        if stage == "missing":
            found[what].add(value)
    return found


def faults(out):
    """What is wrong with a folder of results, at any moment of a run: an empty list when nothing is."""
    # The facts are read first: a file that comes after them may still be called missing, none that is not there is not.
    facts = (out / "facts.tsv").read_bytes()
    files = [path for path in out.iterdir() if path.suffix != ".partial"]
    wrong = [] if WHOLE[".tsv"](facts) else ["facts.tsv is not whole"]
    wrong += [f"{path.name} is not whole" for path in files if not WHOLE[path.suffix](path.read_bytes())]
    wrong += [f"{path.name} is too large" for path in files if path.stat().st_size > LARGEST]
    return wrong + ([f"{len(files)} files"] if len(files) > MOST_FILES else [])
