"""What the comparisons share: running `dalle1`, pictures with captions to run it on, and a table of differences."""

import json
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


class Program:
    def __init__(self, path, model):
        self.path, self.model = path, Path(model)

    def run(self, *arguments):
        done = subprocess.run([self.path, *map(str, arguments), "--quiet"], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def tokenizer(self):
        return self.model / json.loads((self.model / "model.json").read_text())["tokenizer"]["file"]

    def token_ids(self, captions, folder, *options):
        texts = folder / "captions.txt"
        texts.write_text("".join(caption + "\n" for caption in captions))
        lines = self.run("tokenize", "--file", texts, *options).splitlines()
        return [[int(number) for number in line.split()] for line in lines]

    def shards(self, data, out, grid):
        self.run("shard", "--data", data, "--out", out, "--model", self.model, "--grid", grid)
        return out


def make_pictures(folder, count):
    """`count` drawn pictures with captions.jsonl; the folder of them."""
    make = [ROOT / "tools/data/make_dataset", "--out", folder, "--count", count, "--val-count", 1]
    subprocess.run([*map(str, make), "--kinds", "drawn", "--prompts", "1"], check=True, stderr=subprocess.DEVNULL)
    return folder / "train"


def captions_of(data):
    lines = (data / "captions.jsonl").read_text().splitlines()
    return [json.loads(line)["caption"] for line in lines], [data / json.loads(line)["image"] for line in lines]


class Table:
    """Largest differences beside their limits, in Markdown."""

    def __init__(self):
        self.failed = False
        print("| what | largest value | largest difference | limit |\n|---|---|---|---|", flush=True)

    def row(self, what, ours, theirs, limit, relative=False):
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        difference = float((np.abs(ours - theirs) / (np.abs(theirs) if relative else 1)).max())
        self.failed |= not difference <= limit
        kind = " (relative)" if relative else ""
        print(f"| {what} | {np.abs(theirs).max():.4g} | {difference:.2g}{kind} | {limit:g} |", flush=True)

    def check(self, what, right):
        self.failed |= not right
        print(f"| {what} | | {'yes' if right else 'NO'} | |", flush=True)
