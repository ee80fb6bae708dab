"""What a run brings back: at most eight flat files below 16 MiB each, every one whole whenever the run is stopped."""

import asyncio
import io
import json
import tarfile

from facts import copy_whole, write_whole
from options import MODEL

LARGEST = 16 << 20
WEIGHTS, METRICS, SHEET, DRAWN, LOGS = "transformer.safetensors", "metrics.jsonl", "sheet.png", "drawn.tar.xz", "logs.tar.xz"
FILES = [WEIGHTS, METRICS, SHEET, DRAWN, LOGS]
SHEET_SIDE = 128  # pixels of one picture on the sheet


class Results:
    def __init__(self, machine, facts):
        self.machine, self.facts, self.out = machine, facts, machine.settings.out
        self.kept = machine.settings.work / "kept"

    def bring(self, stage, name, data):
        if len(data) > LARGEST:
            self.facts.add(stage, name, f"not brought: {len(data)} bytes, at most {LARGEST} are")
            return
        write_whole(self.out / name, data)
        self.facts.publish()

    async def keep_model(self, trainer, run, seconds):
        """The newest model as halves, or as bytes where halves are too large."""
        if metrics := trainer.metrics(run):
            self.bring("train", METRICS, metrics.encode())
        model = trainer.model(run)
        if not model:
            return
        for dtype in ("f16", "i8"):
            ended = await self.machine.run("convert", [self.machine.program, "convert", model, "--dtype", dtype, "--out",
                                           self.kept, "--overwrite"], seconds, self.machine.own_libraries())
            if not ended.good:
                self.facts.add("train", "model", f"not converted: {ended.last_line}")
                return
            if (self.kept / WEIGHTS).stat().st_size <= LARGEST:
                break
        copy_whole(self.kept / WEIGHTS, self.out / WEIGHTS)
        self.facts.publish()

    async def keep_models(self, trainer, run):
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(self.machine.settings.keep_every)
            await self.keep_model(trainer, run, seconds=30)

    async def sample(self, timer, prompts):
        """Candidates of every prompt, in a few processes side by side: one alone leaves the GPU waiting."""
        if not self.kept.exists():
            raise RuntimeError("there is no trained model")
        settings, folder = self.machine.settings, self.machine.settings.work / "drawn"
        groups = [prompts[first :: min(4, settings.cores)] for first in range(min(4, settings.cores))]
        calls = []
        for number, group in enumerate(group for group in groups if group):
            file = settings.work / f"prompts_{number}.txt"
            file.write_text("".join(prompt + "\n" for prompt in group))
            arguments = ["--prompts", file, "--candidates", settings.candidates, "--keep", 1, "--out", folder / str(number)]
            calls.append(self.machine.dalle1(f"sample_{number}", "sample", "--model", MODEL, "--transformer",
                                             self.kept / WEIGHTS, *arguments, "--overwrite", seconds=timer.left() - 5))
        ended = await asyncio.gather(*calls)
        runs = sorted(folder.glob("*/prompt-*/results.jsonl"))
        self.facts.add("sample", "prompts drawn", f"{len(runs)} of {len(prompts)}, {max(one.seconds for one in ended):.0f} s")
        if not runs:
            raise RuntimeError(ended[0].last_line)
        await asyncio.to_thread(self.pack_drawn, runs)

    def pack_drawn(self, runs):
        """Tokens and scores of every candidate; the best of each prompt on one sheet."""
        self.bring("sample", DRAWN, packed({f"{run.parent.name}-{run.parent.parent.name}/{file.name}": file
                                            for run in runs for file in (run, run.parent / "run.json")}))
        pictures = [path for run in runs for path in run.parent.glob("rank-000_*.png")]
        self.bring("sample", SHEET, sheet(pictures))

    def bring_logs(self):
        self.bring("bring", LOGS, packed({path.name: path for path in sorted(self.machine.logs.iterdir())}))


def packed(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz", preset=1) as archive:
        for name, path in files.items():
            archive.add(path, name)
    return data.getvalue()


def sheet(pictures):
    from PIL import Image

    columns = 8
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * SHEET_SIDE, rows * SHEET_SIDE), "white")
    for number, picture in enumerate(pictures):
        small = Image.open(picture).convert("RGB").resize((SHEET_SIDE, SHEET_SIDE), Image.Resampling.BOX)
        whole.paste(small, (number % columns * SHEET_SIDE, number // columns * SHEET_SIDE))
    data = io.BytesIO()
    whole.save(data, "PNG")
    return data.getvalue()


def prompts_of(folders, count):
    """In turns from each kind's list, those of seen combinations and of held-out ones alike."""
    lists = []
    for folder in folders:
        rows = [json.loads(line) for line in (folder / "prompts_dev.jsonl").read_text().splitlines()]
        for held_out in (False, True):
            lists.append([row["prompt"] for row in rows if row["held_out"] == held_out])
    most = max(map(len, lists), default=0)
    return [one[place] for place in range(most) for one in lists if place < len(one)][:count]
