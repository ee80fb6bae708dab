"""The first call: is everything here, do the kernels compute rightly, which trainer is faster; then a training and samples."""

import asyncio
import shutil

import checks
import configs
import expect
import shards
from deadlines import Clock, Timer
from facts import Facts
from machine import Machine, unpack
from options import MODEL
from pictures import Lanes, make_arguments, shard_arguments, tokens_folder
from race import Race
from results import FILES, Results, prompts_of

KINDS = ("shape", "relation", "count", "animal", "landscape", "blocks", "clock", "portrait")
ALIKE = 0.95  # share of the CPU's codes below which a GPU's tokens are not trained on
SECOND_TRY = 40.0  # seconds below which another trainer is not begun


def clear(folder):
    """Of an earlier run only what it unpacked stays."""
    for path in folder.glob("*"):
        if path.name != "pack":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


class MainRun:
    def __init__(self, settings):
        self.settings = settings
        clear(settings.work)
        self.clock = Clock(settings.limit, settings.budgets)
        self.facts = Facts(settings.out, self.clock, settings.budgets, FILES)
        self.machine = Machine(settings)
        self.results = Results(self.machine, self.facts)
        self.lanes = Lanes(self.machine, self.facts)
        self.contest = Race(self.machine, self.facts)
        self.prompts, self.current = [], None
        self.agreement, self.beside = None, []

    async def run(self):
        for stage in self.settings.budgets:
            await self.stage(stage, getattr(self, stage))

    async def stage(self, name, work):
        """One stage in its time; whatever becomes of it, the next one runs."""
        seconds = self.clock.seconds_for(name)
        if seconds < 1:
            self.facts.end(name, "no time was left")
            return
        self.facts.add(name, "begins", f"{seconds:.0f} s")
        try:
            async with asyncio.timeout(seconds):
                await work(Timer(max(seconds - 1, seconds / 2)))
            self.facts.end(name, "done")
        except TimeoutError:
            self.facts.end(name, "cut")
        except Exception as error:
            self.facts.end(name, f"failed: {type(error).__name__}: {error}")

    async def preflight(self, timer):
        await asyncio.to_thread(unpack, self.settings.pack, self.machine.folder)
        steps = (self.look_at_card, self.draw_each_kind, self.compare_codes, self.compare_ids)
        await asyncio.gather(*(step(timer.left()) for step in steps))

    async def look_at_card(self, seconds):
        query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        try:
            self.facts.add("preflight", "card", (await self.machine.run("card", query, seconds)).output)
        except FileNotFoundError:
            self.facts.add("preflight", "card", "none: there is no nvidia-smi")
        ended = await self.machine.run("doctor", [self.machine.program, "doctor", "--json", "--model", MODEL], seconds,
                                       self.machine.own_libraries())
        devices = [device["device"] for device in (ended.document() or {}).get("devices", [])]
        self.facts.add("preflight", "devices", " ".join(devices) or ended.last_line)
        if self.machine.device == "cuda" and devices and "cuda:0" not in devices:
            self.facts.add("preflight", "WARNING", "THE PROGRAM FINDS NO GPU; it goes on with the CPU")
            self.machine.device = self.machine.shard_device = "cpu"

    async def look_for_torch(self, seconds):
        code = "import torch; print(torch.__version__, 'cuda' if torch.cuda.is_available() else 'cpu')"
        ended = await self.machine.python("torch", "-c", code, seconds=seconds)
        self.machine.torch_device = ended.output.split()[-1] if ended.good else None
        self.facts.add("beside", "pytorch", ended.output if ended.good else f"none: {ended.last_line}")

    async def draw_each_kind(self, seconds):
        """A picture of each kind, and prompts to draw in the end."""
        each = -(-self.settings.prompts // (2 * len(KINDS)))
        folders = [self.settings.work / "kinds" / kind for kind in KINDS]
        ended = await asyncio.gather(*(
            self.machine.python(f"kind_{kind}", *make_arguments(folder, kind, 1, 5, each), seconds=seconds)
            for kind, folder in zip(KINDS, folders)
        ))
        bad = [f"{kind}: {one.last_line}" for kind, one in zip(KINDS, ended) if not one.good]
        self.facts.add("preflight", "kinds drawn", f"{len(KINDS) - len(bad)} of {len(KINDS)} {'; '.join(bad)}")
        self.prompts = prompts_of([folder for folder, one in zip(folders, ended) if one.good], self.settings.prompts)

    async def compare_codes(self, seconds):
        """The GPU's tokens are trained on where they are the CPU's, but for near ties."""
        out, expected = self.settings.work / "codes", self.machine.expect / "tokens_32"
        ended = await self.machine.dalle1("codes", *shard_arguments(self.machine.expect / "pictures" / "train", configs.FINE,
                                                                    out), seconds=seconds)
        if ended.status == "cut":  # slow, not wrong
            self.facts.add("preflight", "codes that are the CPU's", "cut")
            return
        alike = 0.0
        if ended.good:
            found, wanted = (shards.read_shards(folder)[1].tokens for folder in (out, expected))
            alike = (found == wanted).mean()
        self.facts.add("preflight", "codes that are the CPU's", f"{alike:.2%}" if ended.good else f"none: {ended.last_line}")
        if alike < ALIKE and self.machine.shard_device != "cpu":
            self.facts.add("preflight", "WARNING", "THE GPU'S CODES ARE NOT USED; tokens are made on the CPU")
            self.machine.shard_device = "cpu"

    async def compare_ids(self, seconds):
        ended = await self.machine.run("ids", [self.machine.program, *expect.tokenize_arguments(self.machine.expect)], seconds,
                                       self.machine.own_libraries())
        same = ended.output == (self.machine.expect / expect.IDS).read_text()
        self.facts.add("preflight", "ids of captions", "the expected ones" if same else f"DIFFER: {ended.last_line}")

    async def agree(self):
        if self.settings.torch:
            await self.look_for_torch(seconds=60)
        await self.contest.agree(self.settings.patience)

    async def warm_up(self):
        await self.agreement
        await self.contest.warm_up(2 * self.settings.patience)

    def begin_beside(self):
        """What needs the GPU while pictures need the cores."""
        self.agreement = asyncio.create_task(self.agree())
        self.beside = [self.agreement, asyncio.create_task(checks.run(self.machine, self.facts)),
                       asyncio.create_task(self.warm_up())]

    async def end_beside(self, patience):
        """Only the agreement is worth waiting for."""
        if self.agreement:
            await asyncio.wait([self.agreement], timeout=patience)
        for task in self.beside:
            if task.cancel():
                self.facts.add("beside", "cut", f"{task.get_coro().__name__}, not over when the race began")
        for error in await asyncio.gather(*self.beside, return_exceptions=True):
            if isinstance(error, Exception):
                self.facts.add("beside", "failed", f"{type(error).__name__}: {error}")

    async def pictures(self, timer):
        self.begin_beside()
        await self.lanes.draw(timer)

    async def tokens(self, timer):
        await self.lanes.tokenise(timer)

    async def race(self, timer):
        await self.end_beside(patience=timer.left(0.4))
        await self.contest.run(timer)

    async def train(self, timer):
        """The winner; if it fails with time left, the others."""
        files = self.contest.training_files()
        parts = [(files[grid], tokens_folder(self.machine, grid), share) for grid, share in configs.SHARES.items()]
        others = [one for one in (self.contest.ours, *self.contest.variants) if one is not self.contest.winner]
        for number, trainer in enumerate([self.contest.winner, *others]):
            run = self.settings.work / f"run-{number}"
            self.current = trainer, run
            keeper = asyncio.create_task(self.results.keep_models(trainer, run))
            try:
                status = await trainer.train(parts, run, timer, stretched=not self.settings.steps)
            finally:
                keeper.cancel()
            self.facts.add("train", trainer.name, status)
            if status == "done":
                return
            if timer.left() < SECOND_TRY:
                break
        raise RuntimeError(status)

    async def sample(self, timer):
        if self.current:
            await self.results.keep_model(*self.current, seconds=timer.left(0.3))
        await self.results.sample(timer, self.prompts)

    async def bring(self, timer):
        self.results.bring_logs()
