"""The second call: how fast decoding and training are, and what the sanitizers say of the kernels."""

import asyncio
import os
import shutil

from deadlines import Clock
from facts import Facts
from machine import Machine, unpack
from results import LOGS, Results

LARGE_CARD = 120_000  # MiB from which 512 candidates of dalle1-12b fit with their keys in fp8
# layers, width, heads, seconds of each figure
SMALL = (6, 192, 3, 1)
LARGE = (20, 1024, 16, 2)
SANITIZERS = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer")
OWN_KERNELS = "kns=dalle1"  # a part of their mangled names: neither cuBLAS nor cuDNN is watched


def figures(value, name=""):
    """Every number and word of a JSON document by its path: step.seconds=0.12."""
    if isinstance(value, dict):
        return [one for key, part in value.items() for one in figures(part, f"{name}.{key}" if name else key)]
    if isinstance(value, list):
        return [one for place, part in enumerate(value) for one in figures(part, f"{name}.{place}")]
    return [f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"]


class RestRun:
    def __init__(self, settings, limit):
        self.settings = settings
        self.clock = Clock(limit, settings.budgets)
        self.facts = Facts(settings.out, self.clock, settings.budgets, [LOGS], name="rest.tsv")
        self.machine = Machine(settings)

    async def run(self):
        await asyncio.to_thread(unpack, self.settings.pack, self.machine.folder)
        for stage in self.settings.budgets:
            seconds = self.clock.seconds_for(stage)
            if seconds < 1:
                self.facts.end(stage, "no time was left")
                continue
            try:
                self.facts.end(stage, await getattr(self, stage)(seconds))
            except Exception as error:
                self.facts.end(stage, f"failed: {type(error).__name__}: {error}")
            Results(self.machine, self.facts).bring_logs()

    async def preflight(self, seconds):
        query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
        self.card, self.memory = "none", 0
        if shutil.which(query[0]):
            self.card, memory = (await self.machine.run("card", query, seconds)).output.split("\n")[0].rsplit(",", 1)
            self.memory = int(memory)
        self.facts.add("preflight", "card", f"{self.card}, {self.memory} MiB")
        return "done"

    async def bench(self, stage, seconds, *arguments):
        ended = await self.machine.dalle1(stage, "bench", *arguments, "--json", seconds=seconds)
        if document := ended.document():
            self.facts.add(stage, " ".join(map(str, arguments)), " ".join(figures(document)))
        return "done" if ended.good else f"{ended.status}: {ended.last_line}"

    def full_wave(self):
        return (512 if self.memory >= LARGE_CARD else 256), "fp8"

    async def short(self, seconds):
        """64 cells of a full wave, with the time of each part of a step."""
        candidates, kind = self.full_wave()
        return await self.decode("short", seconds, candidates, kind, "--cells", 64)

    async def wave(self, seconds):
        return await self.decode("wave", seconds, *self.full_wave())

    async def decode(self, stage, seconds, candidates, kind, *more):
        given = ["decode", "--config", self.settings.decoded, "--candidates", candidates, "--kv-dtype", kind]
        return await self.bench(stage, seconds, *given, *more)

    async def small(self, seconds):
        return await self.train("small", seconds, self.settings.small_batch, *SMALL)

    async def large(self, seconds):
        return await self.train("large", seconds, self.settings.large_batch, *LARGE)

    async def train(self, stage, seconds, batch, layers, width, heads, each):
        given = {"layers": layers, "width": width, "heads": heads, "text": 256, "batch": batch, "seconds": each}
        return await self.bench(stage, seconds, "train", *(word for name, value in given.items() for word in (f"--{name}", value)))

    async def memcheck(self, seconds):
        """A check asks for more memory than there is, on purpose: errors of CUDA's own calls are not counted."""
        return await self.sanitize("memcheck", seconds, "--report-api-errors", "no")

    async def racecheck(self, seconds):
        return await self.sanitize("racecheck", seconds)

    async def sanitize(self, tool, seconds, *options):
        found = shutil.which("compute-sanitizer", path=":".join((os.environ["PATH"], *SANITIZERS)))
        if not found:
            return "left out: there is no compute-sanitizer"
        command = [found, "--tool", tool, "--error-exitcode", "9", "--kernel-name", OWN_KERNELS, *options, self.machine.tests,
                   "-tc=CUDA*"]
        ended = await self.machine.run(tool, command, seconds, self.machine.own_libraries())
        self.facts.add(tool, "summary", ended.output.strip().splitlines()[-1] if ended.output.strip() else ended.last_line)
        return ended.status
