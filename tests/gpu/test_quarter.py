"""The arithmetic of deadlines, the facts, the choice of a trainer and the limits of what is brought back."""

import asyncio
import os
import tempfile
import time
import unittest
from contextlib import redirect_stdout
from pathlib import Path

import support
import checks
import configs
import options
from deadlines import Clock, Timer
from facts import Facts
from machine import Ended, Machine
from main_run import MainRun
from pictures import Lanes, tokens_folder
from race import Race, difference
from results import LARGEST, Results, prompts_of

BUDGETS = {"first": 10, "long": None, "last": 20}


class Hand:
    """A clock that is moved by hand."""

    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


class DeadlinesTest(unittest.TestCase):
    def test_every_stage_ends_before_what_later_ones_are_promised(self):
        hand = Hand()
        clock = Clock(100, BUDGETS, hand)
        self.assertEqual(clock.seconds_for("first"), 10)
        hand.time += 4
        self.assertEqual(clock.seconds_for("long"), 76)  # also what the first one left
        hand.time += 76
        self.assertEqual(clock.seconds_for("last"), 20)
        hand.time += 15
        self.assertEqual(clock.seconds_for("last"), 5)
        hand.time += 10
        self.assertEqual(clock.seconds_for("last"), 0)

    def test_a_stage_takes_nothing_where_the_limit_is_short(self):
        self.assertEqual(Clock(15, BUDGETS, Hand()).seconds_for("first"), 0)
        self.assertEqual(Clock(15, BUDGETS, Hand()).seconds_for("last"), 15)

    def test_the_budgets_of_both_calls_leave_most_of_the_first_to_training(self):
        clock = Clock(options.Settings.limit, options.MAIN, Hand())
        self.assertGreater(clock.seconds_for("train"), 400)
        promised = sum(seconds or 0 for seconds in options.MAIN.values())
        self.assertGreater(options.Settings.limit - promised, 250)


class ScratchTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.settings = options.Settings(out=self.folder / "out", work=self.folder / "work", device="cpu", cores=2)
        self.facts = Facts(self.folder / "out", Clock(100, BUDGETS, Hand()), BUDGETS, ["sheet.png"])

    def written(self):
        return (self.folder / "out" / "facts.tsv").read_text()


class StagesTest(ScratchTest):
    def test_after_a_stage_that_fails_and_one_that_hangs_the_next_one_runs(self):
        class Run(MainRun):
            async def first(self, timer):
                raise ValueError("broken")

            async def long(self, timer):
                await asyncio.sleep(60)

            async def last(self, timer):
                pass

        self.settings.budgets = {"first": 1, "long": None, "last": 3}
        self.settings.limit = 5
        asyncio.run(Run(self.settings).run())
        for line in ("first\tstatus\tfailed: ValueError: broken", "long\tstatus\tcut", "last\tstatus\tdone"):
            self.assertIn(line, self.written())


class FactsTest(ScratchTest):
    def test_what_is_missing_is_said_until_it_is_there(self):
        self.assertEqual(support.missing(self.written()), {"stage": set(BUDGETS), "file": {"sheet.png"}})
        self.facts.add("first", "two\nlines", "a\tb")
        self.facts.end("first", "cut")
        (self.folder / "out" / "sheet.png").write_bytes(b"")
        self.facts.publish()
        self.assertEqual(support.missing(self.written()), {"stage": {"long", "last"}, "file": set()})
        self.assertTrue(support.facts_are_whole(self.written().encode()))
        self.assertIn("first\tstatus\tcut\n", self.written())


class ChecksTest(unittest.TestCase):
    def test_doctest_lists_and_names(self):
        listing = "[doctest] listing all test case names\n====\nCUDA: memory\nCUDA: one, and two\n====\n[doctest] unskipped: 2\n"
        self.assertEqual(checks.names_in(listing), ["CUDA: memory", "CUDA: one, and two"])
        self.assertEqual(checks.filter_of("CUDA: one, and two"), "-tc=CUDA: one? and two")
        output = "worst: 3.1e-03 of bf16\n====\n[doctest] assertions: 5\n"
        self.assertEqual(checks.last_figure(output), "worst: 3.1e-03 of bf16")


class RaceTest(ScratchTest):
    def race(self, errors):
        race = Race(Machine(self.settings), self.facts)
        race.errors = {race.ours: errors[0], race.eager: errors[1]}
        return race

    def test_the_faster_trainer_whose_losses_are_the_cpus_trains(self):
        for errors, seconds, winner in (
            ((0.001, 0.002), (2.0, 1.0), "eager"),
            ((0.001, 0.002), (1.0, 2.0), "ours"),
            ((0.001, 0.5), (2.0, 1.0), "ours"),
            ((0.5, 0.001), (1.0, 2.0), "eager"),
        ):
            race = self.race(errors)
            race.choose({race.ours: seconds[0], race.eager: seconds[1]})
            self.assertIs(race.winner, getattr(race, winner))
            self.assertNotIn("WARNING", self.written())

    def test_where_none_agrees_the_nearer_one_trains_and_it_is_said(self):
        race = self.race((0.5, 0.2))
        race.choose({race.ours: 1.0, race.eager: 2.0})
        self.assertIs(race.winner, race.eager)
        self.assertIn("WARNING", self.written())

    def test_losses_that_are_missing_or_no_numbers_agree_with_nothing(self):
        self.assertEqual(difference([1.0], [1.0, 2.0]), float("inf"))
        self.assertEqual(difference([1.0, float("nan")], [1.0, 2.0]), float("inf"))
        self.assertAlmostEqual(difference([1.0, 2.2], [1.0, 2.0]), 0.1)


class BrokenGpu(Machine):
    """`shard` fails on the GPU, and makes a file of five samples on the CPU."""

    async def dalle1(self, name, *arguments, device, **more):
        if device == "cuda":
            return Ended("exit 6", 0.1, "", "no GPU")
        folder = Path(arguments[arguments.index("--out") + 1])
        folder.mkdir(parents=True)
        (folder / "000000.tokens").write_bytes(b"tokens")
        return Ended("done", 0.1, '{"records": 5}', "")


class TokensTest(ScratchTest):
    def test_where_the_gpu_makes_no_tokens_the_cpu_does(self):
        self.settings.device = "cuda"
        machine = BrokenGpu(self.settings)
        lanes = Lanes(machine, self.facts)
        lanes.captions = {0: "captions.jsonl", 1: "captions.jsonl"}
        asyncio.run(lanes.tokenise(Timer(100)))
        for grid in (configs.FINE, configs.COARSE):
            names = sorted(path.name for path in tokens_folder(machine, grid).iterdir())
            self.assertEqual(names, ["00-000000.tokens", "01-000000.tokens"])
            self.assertIn(f"grids of {grid}\t10,", self.written())
        self.assertIn("WARNING", self.written())


class ConfigsTest(ScratchTest):
    def test_the_rate_ends_at_zero_with_the_fine_part(self):
        coarse, fine = (configs.part(self.settings, grid) for grid in (configs.COARSE, configs.FINE))
        self.assertEqual(coarse["learning_rate"]["kind"], "constant")
        self.assertEqual((fine["learning_rate"]["last"], fine["learning_rate"]["end"]), (0, fine["steps"]))
        self.assertEqual(fine["text_slots"], 0)
        self.assertAlmostEqual(sum(configs.SHARES.values()), 1)


class ResultsTest(ScratchTest):
    def test_a_file_that_is_too_large_stays_and_is_named(self):
        results = Results(Machine(self.settings), self.facts)
        results.bring("last", "sheet.png", b"x" * (LARGEST + 1))
        self.assertIn("not brought", self.written())
        results.bring("last", "sheet.png", b"x")
        self.assertEqual(support.missing(self.written())["file"], set())

    def test_prompts_come_in_turns_from_all_lists(self):
        for kind in ("a", "b"):
            (self.folder / kind).mkdir()
            rows = [f'{{"prompt": "{kind}{number}", "held_out": {str(number > 1).lower()}}}\n' for number in range(3)]
            (self.folder / kind / "prompts_dev.jsonl").write_text("".join(rows))
        folders = [self.folder / "a", self.folder / "b"]
        self.assertEqual(prompts_of(folders, 5), ["a0", "a2", "b0", "b2", "a1"])
        self.assertEqual(len(prompts_of(folders, 100)), 6)


class MachineTest(ScratchTest):
    def run_command(self, seconds, *command):
        return asyncio.run(Machine(self.settings).run("test", command, seconds))

    def test_a_process_ends_in_its_time_and_may_write_what_it_has(self):
        begin = time.monotonic()
        ended = self.run_command(1.0, "/bin/sh", "-c", "trap 'echo kept; exit 3' TERM; sleep 60 & wait")
        self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual((ended.status, ended.output), ("cut", "kept\n"))
        self.assertEqual(self.run_command(5.0, "/bin/sh", "-c", "exit 4").status, "exit 4")
        self.assertEqual(self.run_command(5.0, "/bin/echo", '{"a": 1}').document(), {"a": 1})

    def test_children_of_a_process_that_is_cut_go_with_it(self):
        ended = self.run_command(1.0, "/bin/sh", "-c", "trap '' TERM; (trap '' TERM; sleep 60) & echo $!; sleep 60")
        self.assertEqual(ended.status, "cut")
        with self.assertRaises(ProcessLookupError):
            for _ in range(50):  # a killed process is there until its new parent has seen it go
                os.kill(int(ended.output), 0)
                time.sleep(0.1)


if __name__ == "__main__":
    with redirect_stdout(None):  # the facts, line by line
        unittest.main()
