#!/usr/bin/python3
"""Runs both calls of tools/gpu/quarter_hour.sh on a CPU and looks at the first one's results at every moment of it.

    rehearsal.py CHECKOUT [--torch] [--by-time] [--kill STAGE]... [-- COMMAND...]

CHECKOUT holds the tracked files and build/gpu-pack.tar.xz, nothing that was built. The call is made through COMMAND, which
changes into the checkout of another root (chroot), or directly. With --by-time also once more with a training to a deadline,
as on a GPU, instead of six steps; with --kill once more for each STAGE, killed with its group, by SIGTERM or SIGKILL, within
a second of that stage's beginning. A file that is not whole at any of these moments, or a missing one that facts.tsv does
not name, is a failure.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import support

SMALL = {
    "DEVICE": "cpu", "TORCH": "0", "CORES": "2", "PICTURES": "200", "CHUNK": "50", "STEPS": "6", "BATCH": "2", "VALIDATION": "4",
    "KEEP_EVERY": "2", "CHECKS": "CUDA*", "PROMPTS": "8", "CANDIDATES": "1", "LIMIT": "280", "BUDGET_PREFLIGHT": "60",
    "BUDGET_PICTURES": "45", "BUDGET_TOKENS": "45", "BUDGET_RACE": "45", "BUDGET_SAMPLE": "60",
}
# PyTorch on two cores needs its time.
WITH_TORCH = {"TORCH": "1", "PATIENCE": "200", "LIMIT": "900", "BUDGET_RACE": "400"}
REST = {
    "DEVICE": "cpu", "DECODED": "tools/train/default/transformer.json", "SMALL_BATCH": "1", "LARGE_BATCH": "1", "BUDGET_PREFLIGHT": "20",
    "BUDGET_SHORT": "10", "BUDGET_WAVE": "3", "BUDGET_SMALL": "5", "BUDGET_LARGE": "3", "BUDGET_MEMCHECK": "3",
}
REST_STAGES = ("preflight", "short", "wave", "small", "large", "memcheck", "racecheck")
LEAST_LOOKS = 20
# Some 60 s of training: the schedules are those of 20,000 steps, pressed into it.
BY_TIME = {"PICTURES": "50", "STEPS": "0", "BATCH": "1", "BUDGET_TRAIN": "60"}
LEAST_STEPS, FIRST_RATE = 4, 0.003
LARGE_LOG = 8 << 20  # bytes that no packing makes smaller: `bring` takes a while then


class Rehearsal:
    def __init__(self, checkout, through, torch):
        self.checkout, self.through = checkout, through
        self.settings = {**SMALL, **(WITH_TORCH if torch else {})}
        self.out, self.work = checkout / "build" / "gpu-results", checkout / "build" / "gpu-work"

    def start(self, environment, *words):
        shutil.rmtree(self.out, ignore_errors=True)
        clean = {"PATH": os.environ["REHEARSAL_PATH"], "HOME": "/tmp", "LANG": "C.UTF-8", **environment}
        command = [*self.through, "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in clean.items()),
                   "tools/gpu/quarter_hour.sh", *words]
        return subprocess.Popen(command, cwd=None if self.through else self.checkout, stdout=subprocess.DEVNULL,
                                start_new_session=True)

    def start_main(self, **more):
        shutil.rmtree(self.work, ignore_errors=True)
        return self.start({**self.settings, **more}, "main")

    def rest(self):
        """Every piece has an end, whatever this machine lacks."""
        code = self.start(REST, "rest", "40").wait()
        facts = (self.out / "rest.tsv").read_text()
        print(facts)
        ended = {line.split("\t")[1] for line in facts.splitlines() if line.split("\t")[2] == "status"}
        if code != 0 or ended != set(REST_STAGES) or not support.facts_are_whole(facts.encode()):
            raise SystemExit(f"rest: exit code {code}, ended: {sorted(ended)}")

    def facts(self):
        return support.facts_of(self.out)

    def look(self, when):
        if self.facts():
            wrong, unsaid = support.faults(self.out), support.unsaid(self.out)
            if wrong or unsaid:
                raise SystemExit(f"{when}: {'; '.join(wrong)} {' '.join(unsaid)} is missing and facts.tsv does not say so")

    def whole(self, **more):
        process, looks = self.start_main(**more), 0
        while process.poll() is None:
            self.look(f"look {looks}")
            looks += 1
            time.sleep(0.2)
        facts = self.facts()
        print(facts)
        if process.returncode != 0:
            raise SystemExit(f"exit code {process.returncode}")
        self.look("in the end")
        ended = {line.split("\t")[1] for line in facts.splitlines() if line.endswith("\tstatus\tdone")}
        if ended != set(support.STAGES) or any(support.missing(facts).values()) or looks < LEAST_LOOKS:
            raise SystemExit(f"done: {sorted(ended)}; missing: {support.missing(facts)}; {looks} looks")

    def by_time(self):
        """Both parts end by themselves, before their time is over, with their schedules run down and a whole model."""
        self.whole(**BY_TIME)
        rows = [line.split("\t") for line in self.facts().splitlines()]
        seconds = {what: float(second) for second, stage, what, _ in rows if stage == "train" and what in ("begins", "status")}
        taken, wrong = seconds["status"] - seconds["begins"], []
        if taken >= float(BY_TIME["BUDGET_TRAIN"]):
            wrong.append(f"the training took {taken:.0f} s")
        if ["train", "dalle1", "done"] not in [row[1:] for row in rows]:
            wrong.append("the last part did not end by itself")
        for part in range(2):
            run = self.work / "run-0" / f"part-{part}"
            steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            if not support.safetensors_is_whole((run / "model" / "transformer.safetensors").read_bytes()):
                wrong.append(f"the model of part {part} is not whole")
            if not steps or steps[-1]["step"] + 1 < LEAST_STEPS:
                wrong.append(f"part {part} has {steps[-1:]} as its last step")
        if steps[-1]["learning_rate"] > 0.5 * FIRST_RATE:
            wrong.append(f"the rate in the end is {steps[-1]['learning_rate']}")
        if wrong:
            raise SystemExit(f"by time: {'; '.join(wrong)}")
        print(f"by time: {taken:.0f} of {BY_TIME['BUDGET_TRAIN']} s")

    def killed(self, stage):
        number = random.choice((signal.SIGTERM, signal.SIGKILL))
        process = self.start_main()
        if stage == "bring":
            self.enlarge_logs(process)
        wrong = support.kill_in(process, self.checkout, stage, number, within=1)
        if wrong:
            raise SystemExit(f"killed in {stage} by {number.name}: {'; '.join(wrong)}")
        print(f"killed in {stage} by {number.name}: every file is whole")

    def enlarge_logs(self, process):
        while "\tsample\tbegins\t" not in self.facts() and process.poll() is None:
            time.sleep(0.02)
        (self.work / "logs" / "large.log").write_bytes(os.urandom(LARGE_LOG))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--kill", action="append", default=[], choices=support.STAGES)
    parser.add_argument("--torch", action="store_true", help="with PyTorch in the race")
    parser.add_argument("--by-time", action="store_true", help="also a training to a deadline")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)  # argparse would want what follows it beside CHECKOUT
    arguments = parser.parse_args(words[:end])
    rehearsal = Rehearsal(arguments.checkout.resolve(), words[end + 1 :], arguments.torch)
    rehearsal.whole()
    rehearsal.rest()
    if arguments.by_time:
        rehearsal.by_time()
    for stage in arguments.kill:
        rehearsal.killed(stage)


if __name__ == "__main__":
    sys.exit(main())
