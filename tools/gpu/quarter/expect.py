"""What the CPU says, for a GPU to be compared with: made by the packed program itself when it is packed."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import configs
from options import MODEL
from pictures import make_arguments, shard_arguments
from trainers import TOKENIZER

CAPTIONS, IDS = "captions.txt", "ids.txt"


def caption_lines(folder):
    rows = (folder / "train" / "captions.jsonl").read_text().splitlines()
    return "".join(json.loads(row)["caption"] + "\n" for row in rows)


def tokenize_arguments(folder):
    return ["tokenize", "--tokenizer", TOKENIZER, "--file", folder / CAPTIONS]


def make(program, folder, settings):
    """FOLDER/pictures, their tokens on both grids, captions with their ids, and losses of the first steps."""
    program, folder = Path(program).absolute(), Path(folder).absolute()

    def call(*command):
        return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout

    call(sys.executable, *make_arguments(folder / "pictures", "drawn", settings.expected_pictures, 7), "--jobs=2")
    for grid in (configs.COARSE, configs.FINE):
        call(program, *shard_arguments(folder / "pictures" / "train", grid, folder / f"tokens_{grid}"), "--device", "cpu",
             "--quiet")
    (folder / CAPTIONS).write_text(caption_lines(folder / "pictures"))
    (folder / IDS).write_text(call(program, *tokenize_arguments(folder)))
    race = configs.write(folder / "race.json", configs.FINE, configs.race(settings.race_batch, settings.race_steps, 64))
    with tempfile.TemporaryDirectory() as scratch:
        call(program, "train", "transformer", "--config", race, "--data", folder / "tokens_32", "--tokenizer", TOKENIZER,
             "--init-from", MODEL, "--out", scratch, "--device", "cpu", "--quiet")
        (folder / "losses.jsonl").write_text((Path(scratch) / "metrics.jsonl").read_text())
