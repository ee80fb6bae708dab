"""Finds the tools, tells whole files from parts of them, and kills a call in a stage of it."""

import json
import lzma
import os
import random
import struct
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "gpu" / "quarter"), str(ROOT / "tests" / "reference")]

MOST_FILES, LARGEST = 8, 16 << 20
STAGES = ("preflight", "pictures", "tokens", "race", "train", "sample", "bring")
FILES = {"transformer.safetensors", "metrics.jsonl", "sheet.png", "drawn.tar.xz", "logs.tar.xz"}


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


def facts_of(out):
    path = out / "facts.tsv"
    return path.read_text() if path.exists() else ""


def unsaid(out):
    """Files that are missing and that facts.tsv does not call so."""
    said = missing(facts_of(out))["file"]
    return {name for name in FILES if not (out / name).exists()} - said


def processes_in(checkout):
    """Those whose working folder it is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(entry / "cwd")) == checkout and (entry / "stat").read_text().split()[2] != "Z":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def still_running(checkout, seconds=5.0):
    end = time.monotonic() + seconds
    while (found := processes_in(checkout)) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def kill_in(process, checkout, stage, number, within):
    """Sends the signal to the call's whole group within so many seconds of the stage's beginning. What is wrong with what
    that leaves: an empty list when nothing is."""
    out = checkout / "build" / "gpu-results"
    while f"\t{stage}\tbegins\t" not in facts_of(out):
        if process.poll() is not None:
            return [f"{stage} never began"]
        time.sleep(0.005)
    time.sleep(random.uniform(0, within))
    os.killpg(process.pid, number)  # what it started must go with it
    code = process.wait()
    lines = facts_of(out).splitlines()
    wrong = faults(out) + [f"{name} is missing and facts.tsv does not say so" for name in sorted(unsaid(out))]
    if code != -number:
        wrong.append(f"it ended with {code}")
    later = list(STAGES[STAGES.index(stage) :])
    if [line.split("\t")[3] for line in lines if "\tmissing\tstage\t" in line] != later:
        wrong.append("facts.tsv does not call exactly that stage and the later ones missing")
    of_missing = ["\tmissing\t" in line for line in lines]
    if of_missing != sorted(of_missing):
        wrong.append("what is missing is not in the last lines")
    return wrong + [f"{left} still run" for left in [still_running(checkout)] if left]
