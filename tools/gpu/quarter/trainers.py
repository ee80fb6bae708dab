"""The two trainers behind one face: this program's and PyTorch's (tests/reference/train). Both read the same files."""

import json
import shutil

from options import MODEL, ROOT

REFERENCE = ROOT / "tests" / "reference" / "train"
TOKENIZER = MODEL / "text.model"
ENDING = 12.0  # seconds for the start, the last measurement and the last model


def rows_of(metrics):
    return [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []


def middle(values):
    return sorted(values)[len(values) // 2]


class Ours:
    name = "dalle1"

    def __init__(self, machine):
        self.machine = machine

    async def steps(self, name, config, data, seconds):
        """Trains for the steps that the file says: (losses, seconds a sample), or None and why not."""
        out = self.machine.settings.work / name
        ended = await self.part(name, config, data, MODEL, out, seconds)
        rows = rows_of(out / "metrics.jsonl")
        if not ended.good or not rows:
            return None, ended.last_line
        later = [row["seconds_per_step"] for row in rows[len(rows) // 2 :]]
        return ([row["loss"] for row in rows], middle(later) / json.loads(config.read_text())["train"]["batch"]), None

    async def part(self, name, config, data, start, out, seconds, *options):
        shutil.rmtree(out, ignore_errors=True)
        arguments = ["--config", config, "--data", data, "--tokenizer", TOKENIZER, "--init-from", start, "--out", out]
        return await self.machine.dalle1(name, "train", "transformer", *arguments, *options, seconds=seconds)

    async def train(self, parts, out, timer, stretched):
        """Parts are (config, data, share of the time), each from the model of the one before."""
        start, left = MODEL, sum(share for _, _, share in parts)
        for number, (config, data, share) in enumerate(parts):
            seconds = timer.left(share / left)
            left -= share
            run = out / f"part-{number}"
            deadline = ["--deadline", max(1.0, seconds - ENDING)] if stretched else []
            ended = await self.part(f"train_{number}", config, data, start, run, seconds, *deadline)
            start = run / "model"
            if not (start / "transformer.safetensors").exists():
                break
        return "done" if ended.good else ended.last_line

    def model(self, out):
        """The newest model so far; None before the first."""
        models = sorted(out.glob("part-*/model/transformer.safetensors"))
        return models[-1] if models else None

    def metrics(self, out):
        """The rows of all parts with their part's number."""
        rows = [{"part": number, **row} for number in range(2) for row in rows_of(out / f"part-{number}" / "metrics.jsonl")]
        return "".join(json.dumps(row) + "\n" for row in rows)


class Torch:
    def __init__(self, machine, attention, compiled):
        self.machine, self.attention, self.compiled = machine, attention, compiled
        self.name = f"pytorch {attention}" if compiled else f"pytorch {attention}, eager"

    def arguments(self):
        told = ["--tokenizer", TOKENIZER, "--init-from", MODEL, "--device", self.machine.torch_device]
        return [REFERENCE, *told, "--attention", self.attention, "--compile" if self.compiled else "--no-compile"]

    async def steps(self, name, config, data, seconds):
        return await self.report(name, [(config, data)], None, seconds)

    async def report(self, name, parts, steps, seconds):
        """(losses, seconds a sample) of `steps` steps of each part; its first steps compile what later runs find again."""
        given = [word for config, data in parts for word in ("--config", config, "--data", data)]
        count = ["--steps", steps] if steps else []
        ended = await self.machine.python(name, *self.arguments(), *given, *count, "--report", seconds=seconds)
        found = ended.document()
        if not ended.good or not found:
            return None, ended.last_line
        return (found["losses"], found["seconds_per_sample"]), None

    async def train(self, parts, out, timer, stretched):
        given = [word for config, data, _ in parts for word in ("--config", config, "--data", data)]
        shares = ["--shares", *(share for _, _, share in parts)]
        seconds = timer.left()
        ending = ["--deadline", max(1.0, seconds - ENDING)] if stretched else []
        save = ["--save-every", self.machine.settings.keep_every / 2]
        ended = await self.machine.python("train", *self.arguments(), *given, *shares, *ending, *save, "--out", out,
                                          seconds=seconds)
        return "done" if ended.good else ended.last_line

    def model(self, out):
        file = out / "model" / "transformer.safetensors"
        return file if file.exists() else None

    def metrics(self, out):
        file = out / "metrics.jsonl"
        return file.read_text() if file.exists() else ""
