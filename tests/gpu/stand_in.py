"""A checkout with a pack in which everything but tools/gpu is a stand-in: a call takes seconds there, so that it can be killed
in every stage again and again. rehearsal.py does the same with the program itself."""

import json
import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np

import support
import formats
import shards

PICTURES = 8
SHARD = {"grid": 32, "codes": 64, "dvae_sha256": "none"}
SETTINGS = {
    "PATH": "/usr/bin:/bin", "DEVICE": "cpu", "TORCH": "0", "CORES": "2", "PICTURES": str(PICTURES), "CHUNK": "4",
    "STEPS": "6", "PROMPTS": "4", "CANDIDATES": "1", "KEEP_EVERY": "0.3", "PAUSE": "0.3",
}

# Each call takes PAUSE seconds, so that there is time to be killed in.
DRAW = '''#!/usr/bin/python3
import json, os, sys, time
from pathlib import Path
told = dict(word[2:].split("=") for word in sys.argv[1:])
folder = Path(told["out"])
(folder / "train").mkdir(parents=True)
time.sleep(float(os.environ["PAUSE"]))
rows = [json.dumps({"image": f"{i}.png", "caption": str(i)}) + "\\n" for i in range(int(told["count"]))]
(folder / "train" / "captions.jsonl").write_text("".join(rows))
prompts = [json.dumps({"prompt": f"{told['kinds']} {i}", "held_out": i % 2 == 0}) + "\\n" for i in range(2)]
(folder / "prompts_dev.jsonl").write_text("".join(prompts))
'''

PROGRAM = '''#!/usr/bin/python3
import json, os, shutil, sys, time
from pathlib import Path
here = Path(__file__).parents[1]
command, words = sys.argv[1], sys.argv[2:]
told = {word: words[i + 1] for i, word in enumerate(words[:-1]) if word.startswith("--")}
out = Path(told.get("--out", "none"))
time.sleep(float(os.environ["PAUSE"]))
if command == "doctor":
    print(json.dumps({"devices": [{"device": "cpu"}]}))
if command == "shard":
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(here / "expect" / "tokens_32" / "000000.tokens", out)
    print(json.dumps({"records": 8}))
if command == "tokenize":
    print("1 2 3")
if command == "train":
    (out / "model").mkdir(parents=True)
    shutil.copy(here / "expect" / "transformer.safetensors", out / "model")
    with open(out / "metrics.jsonl", "w") as rows:
        for step in range(3):
            rows.write(json.dumps({"step": step, "loss": 1.0, "seconds_per_step": 0.1}) + "\\n")
    time.sleep(float(os.environ["PAUSE"]))
if command == "convert":
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(words[0], out / "transformer.safetensors")
if command == "sample":
    from PIL import Image
    for number, prompt in enumerate(Path(told["--prompts"]).read_text().splitlines()):
        folder = out / f"prompt-{number:03}"
        folder.mkdir(parents=True)
        (folder / "results.jsonl").write_text("{}\\n")
        (folder / "run.json").write_text("{}\\n")
        Image.new("RGB", (256, 256)).save(folder / "rank-000_0.png")
    print(os.urandom(3 << 20).hex(), file=sys.stderr)  # logs that take a while to pack
'''

TESTS = '''#!/usr/bin/python3
import os, time
time.sleep(float(os.environ["PAUSE"]))
print("CUDA: one")
'''


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make_pack(folder, checkout):
    write_program(folder / "tools" / "dalle1", PROGRAM)
    write_program(folder / "tests" / "dalle1_tests", TESTS)
    expect = folder / "expect"
    grids = np.zeros((PICTURES, SHARD["grid"] ** 2), np.uint16)
    for name in ("tokens_32", "tokens_16"):
        (expect / name).mkdir(parents=True)
        records = shards.Records(grids, ["caption"] * PICTURES, [0] * PICTURES)
        shards.write_shard(expect / name / "000000.tokens", SHARD, records)
    (expect / "pictures" / "train").mkdir(parents=True)
    (expect / "captions.txt").write_text("a caption\n")
    (expect / "ids.txt").write_text("1 2 3\n")
    (expect / "race.json").write_text(json.dumps({"train": {"batch": 2}}))
    (expect / "losses.jsonl").write_text('{"loss": 1.0}\n')
    formats.write_safetensors(expect / "transformer.safetensors", {"w": np.zeros((4, 4), np.float32)}, {})
    with tarfile.open(checkout / "build" / "gpu-pack.tar.xz", "w:xz", preset=1) as archive:
        archive.add(folder, ".")


def make_checkout(checkout):
    shutil.copytree(support.ROOT / "tools" / "gpu", checkout / "tools" / "gpu",
                    ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "tests").mkdir()
    for name in ("tests/reference", "weights"):
        (checkout / name).symlink_to(support.ROOT / name)
    write_program(checkout / "tools" / "data" / "make_dataset", DRAW)
    (checkout / "build").mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        make_pack(Path(scratch), checkout)
