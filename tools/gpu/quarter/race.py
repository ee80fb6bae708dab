"""Which trainer trains: the faster one of those whose losses are the CPU's."""

import math

import configs
from pictures import tokens_folder
from trainers import Ours, Torch, rows_of

AGREES = 0.01  # largest relative difference of a loss from the CPU's
WARM_STEPS, QUIET_STEPS = 6, 20


def difference(losses, expected):
    """The largest relative one; infinite where steps are missing or no number."""
    if len(losses) < len(expected) or not all(map(math.isfinite, losses)):
        return math.inf
    return max(abs(found - wanted) / abs(wanted) for found, wanted in zip(losses, expected))


class Race:
    def __init__(self, machine, facts):
        self.machine, self.facts = machine, facts
        self.ours, self.eager = Ours(machine), Torch(machine, "dense", compiled=False)
        self.compiled = [Torch(machine, name, compiled=True) for name in ("flex", "dense")]
        self.errors, self.speeds, self.winner = {}, {}, self.ours

    @property
    def variants(self):
        """PyTorch's, as far as there is one."""
        return {None: [], "cpu": [self.eager], "cuda": self.compiled}[self.machine.torch_device]

    def training_files(self):
        folder, settings = self.machine.settings.work / "configs", self.machine.settings
        grids = (configs.COARSE, configs.FINE)
        return {grid: configs.write(folder / f"part_{grid}.json", grid, configs.part(settings, grid)) for grid in grids}

    async def agree(self, seconds):
        """Losses of the carried samples beside those of the CPU, each trainer's in so many seconds."""
        expect = self.machine.expect
        expected = [row["loss"] for row in rows_of(expect / "losses.jsonl")]
        for trainer in (self.ours, *([self.eager] if self.variants else [])):
            found, why = await trainer.steps(f"agree_{trainer.name.split()[0]}", expect / "race.json", expect / "tokens_32",
                                             seconds)
            self.errors[trainer] = difference(found[0], expected) if found else math.inf
            self.facts.add("race", f"losses of {trainer.name}, largest difference from the CPU's",
                           f"{self.errors[trainer]:.2g}" if found else f"none: {why}")

    async def warm_up(self, seconds):
        """Lets PyTorch's variants compile both parts, each in so many seconds; what they compile is found again."""
        files = self.training_files()
        parts = [(file, self.machine.expect / f"tokens_{grid}") for grid, file in files.items()]
        for variant in self.variants if self.variants == self.compiled else []:
            found, why = await variant.report(f"warm_{variant.attention}", parts, WARM_STEPS, seconds)
            self.facts.add("race", f"{variant.name}, beside the drawing",
                           f"{1 / found[1]:.0f} samples/s" if found else f"none: {why}")
            if found:
                self.speeds[variant] = found[1]

    async def run(self, timer):
        """The quiet race: ours and the faster PyTorch on the first shard of the drawn samples."""
        data = self.first_shard()
        settings = self.machine.settings
        file = configs.write(settings.work / "configs" / "race.json", configs.FINE,
                             configs.race(settings.batch, min(QUIET_STEPS, settings.steps or QUIET_STEPS), 0))
        runners = [self.ours]
        if self.variants:
            runners.append(min(self.variants, key=lambda one: self.speeds.get(one, math.inf)))
            self.errors[runners[1]] = self.errors.get(self.eager, math.inf)
        seconds, losses = {}, {}
        for place, trainer in enumerate(runners):
            found, why = await trainer.steps(f"race_{place}", file, data, timer.left(1 / (len(runners) - place)))
            self.facts.add("race", trainer.name, f"{1 / found[1]:.0f} samples/s" if found else f"none: {why}")
            if found:
                losses[trainer], seconds[trainer] = found
            elif trainer in self.speeds:  # slower than it is: the drawing took its cores
                seconds[trainer] = self.speeds[trainer]
        if len(losses) == 2:
            self.facts.add("race", "losses of the two, largest difference", f"{difference(*losses.values()):.2g}")
        self.choose(seconds)

    def choose(self, seconds):
        agreeing = [trainer for trainer in seconds if self.errors.get(trainer, math.inf) <= AGREES]
        if agreeing:
            self.winner = min(agreeing, key=seconds.get)
        elif seconds:
            self.winner = min(seconds, key=lambda trainer: self.errors.get(trainer, math.inf))
            self.facts.add("race", "WARNING", f"NO TRAINER'S LOSSES ARE WITHIN {AGREES:.0%} OF THE CPU'S; the nearer one trains")
        else:
            self.facts.add("race", "WARNING", "NO TRAINER FINISHED THE RACE; dalle1 trains")
        self.facts.add("race", "winner", self.winner.name)

    def first_shard(self):
        folder = self.machine.settings.work / "tokens_race"
        folder.mkdir(exist_ok=True)
        shard = sorted(tokens_folder(self.machine, configs.FINE).glob("*.tokens"))[0]
        target = folder / shard.name
        if not target.exists():
            target.hardlink_to(shard)
        return folder
