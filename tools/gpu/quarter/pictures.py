"""Training pictures: drawn by as many processes as there are cores, then made tokens of; each lane keeps its own folder."""

import asyncio
import json
import os
import time

from configs import COARSE, FINE
from options import MODEL, ROOT

MAKE = ROOT / "tools" / "data" / "make_dataset"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
FINE_SHARE = 0.65  # of the time for tokens
BATCH = {"cpu": 16, "cuda": 64}  # pictures encoded together


def make_arguments(folder, kinds, count, seed, prompts=0):
    given = {"out": folder, "kinds": kinds, "count": count, "seed": seed, "prompts": prompts, "val-count": 0}
    return [MAKE, *(f"--{name}={value}" for name, value in given.items())]


def shard_arguments(data, grid, out):
    return ["shard", "--model", MODEL, "--data", data, "--grid", grid, "--out", out, "--overwrite", "--json"]


def tokens_folder(machine, grid):
    return machine.settings.work / f"tokens_{grid}"


class Lanes:
    def __init__(self, machine, facts):
        self.machine, self.facts = machine, facts
        settings = machine.settings
        self.folder = settings.work / "pictures"
        self.chunks = -(-settings.pictures // settings.chunk)
        self.count = min(settings.cores, self.chunks)
        self.captions = {}  # by lane: the file that lists what it drew
        self.drawn = 0

    async def draw(self, timer):
        begin = time.monotonic()
        await asyncio.gather(*(self.draw_lane(lane, timer) for lane in range(self.count)))
        seconds = time.monotonic() - begin
        self.facts.add("pictures", "drawn", f"{self.drawn} of {self.machine.settings.pictures}")
        self.facts.add("pictures", "per second", f"{self.drawn / seconds:.0f}")
        if not self.drawn:
            raise RuntimeError("no picture was drawn; see make_ in the logs")

    async def draw_lane(self, lane, timer):
        """Chunks `lane`, `lane` + lanes, ... while there is time for as long as the last one took."""
        settings, last = self.machine.settings, 0.0
        for chunk in range(lane, self.chunks, self.count):
            count = min(settings.chunk, settings.pictures - chunk * settings.chunk)
            if timer.left() < last + 1:
                break
            folder = self.folder / f"lane-{lane:02}" / f"chunk-{chunk:04}"
            ended = await self.machine.python(f"make_{chunk:04}", *make_arguments(folder, "drawn", count, 1000 + chunk),
                                              seconds=timer.left(), environment=ONE_THREAD)
            last = ended.seconds
            if ended.good:
                self.keep(lane, folder, count)

    def keep(self, lane, folder, count):
        """Adds a whole chunk's lines to its lane's list."""
        listed = folder.parent / "captions.jsonl"
        with open(listed, "a") as out:
            for line in (folder / "train" / "captions.jsonl").read_text().splitlines():
                record = json.loads(line)
                out.write(json.dumps({**record, "image": f"{folder.name}/train/{record['image']}"}) + "\n")
        self.captions[lane] = listed
        self.drawn += count

    async def tokenise(self, timer):
        if not await self.tokenise_grid(FINE, timer.left(FINE_SHARE)) and self.machine.shard_device != "cpu":
            self.facts.add("tokens", "WARNING", "NO TOKENS ON THE GPU; they are made on the CPU")
            self.machine.shard_device = "cpu"
            await self.tokenise_grid(FINE, timer.left(FINE_SHARE))
        await self.tokenise_grid(COARSE, timer.left())

    async def tokenise_grid(self, grid, seconds):
        begin = time.monotonic()
        counts = await asyncio.gather(*(self.tokenise_lane(lane, grid, seconds) for lane in self.captions))
        self.facts.add("tokens", f"grids of {grid}", f"{sum(counts)}, {sum(counts) / (time.monotonic() - begin):.0f}/s")
        return sum(counts)

    async def tokenise_lane(self, lane, grid, seconds):
        """Samples that it made. A `shard` that is stopped completes the file that it is at."""
        machine = self.machine
        out = machine.settings.work / "shards" / f"{grid}-{lane:02}"
        arguments = [*shard_arguments(self.captions[lane], grid, out), "--batch", BATCH[machine.shard_device]]
        ended = await machine.dalle1(f"shard_{grid}_{lane:02}", *arguments, seconds=seconds, threads=1,
                                     device=machine.shard_device)
        target = tokens_folder(machine, grid)
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(out.glob("[0-9]*.tokens")):
            os.replace(file, target / f"{lane:02}-{file.name}")
        return (ended.document() or {}).get("records", 0)
