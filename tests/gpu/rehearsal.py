#!/usr/bin/python3
"""Runs both calls of tools/gpu/quarter_hour.sh on a CPU and looks at the first one's results at every moment of it.

    rehearsal.py CHECKOUT [--torch] [--kill STAGE]... [-- COMMAND...]

CHECKOUT holds the tracked files and build/gpu-pack.tar.xz, nothing that was built. The call is made through COMMAND, which
changes into the checkout of another root (chroot), or directly. With --kill also once more for each STAGE, killed with
SIGKILL within a second of that stage's beginning. A file that is not whole at any of these moments, or a missing one that
facts.tsv does not name, is a failure.
"""

import argparse
import os
import random
import shutil
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
    "DEVICE": "cpu", "DECODED": "tools/train/transformer.json", "SMALL_BATCH": "1", "LARGE_BATCH": "1", "BUDGET_PREFLIGHT": "20",
    "BUDGET_SHORT": "10", "BUDGET_WAVE": "3", "BUDGET_SMALL": "5", "BUDGET_LARGE": "3", "BUDGET_MEMCHECK": "3",
}
REST_STAGES = ("preflight", "short", "wave", "small", "large", "memcheck", "racecheck")
STAGES = ("preflight", "pictures", "tokens", "race", "train", "sample", "bring")
FILES = {"transformer.safetensors", "metrics.jsonl", "sheet.png", "drawn.tar.xz", "logs.tar.xz"}
LEAST_LOOKS = 20


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
        return subprocess.Popen(command, cwd=None if self.through else self.checkout, stdout=subprocess.DEVNULL)

    def start_main(self):
        shutil.rmtree(self.work, ignore_errors=True)
        return self.start(self.settings, "main")

    def rest(self):
        """Every piece has an end, whatever this machine lacks."""
        code = self.start(REST, "rest", "40").wait()
        facts = (self.out / "rest.tsv").read_text()
        print(facts)
        ended = {line.split("\t")[1] for line in facts.splitlines() if line.split("\t")[2] == "status"}
        if code != 0 or ended != set(REST_STAGES) or not support.facts_are_whole(facts.encode()):
            raise SystemExit(f"rest: exit code {code}, ended: {sorted(ended)}")

    def facts(self):
        path = self.out / "facts.tsv"
        return path.read_text() if path.exists() else ""

    def look(self, when):
        if self.facts():
            wrong = support.faults(self.out)
            missing = support.missing(self.facts())
            unsaid = {name for name in FILES if not (self.out / name).exists()} - missing["file"]
            if wrong or unsaid:
                raise SystemExit(f"{when}: {'; '.join(wrong)} {' '.join(unsaid)} is missing and facts.tsv does not say so")

    def whole(self):
        process, looks = self.start_main(), 0
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
        if ended != set(STAGES) or any(support.missing(facts).values()) or looks < LEAST_LOOKS:
            raise SystemExit(f"done: {sorted(ended)}; missing: {support.missing(facts)}; {looks} looks")

    def killed(self, stage):
        process = self.start_main()
        while f"\t{stage}\tbegins\t" not in self.facts():
            if process.poll() is not None:
                raise SystemExit(f"{stage} never began")
            time.sleep(0.02)
        time.sleep(random.random())
        process.kill()  # what it started must go with it
        process.wait()
        self.look(f"killed in {stage}")
        if stage not in support.missing(self.facts())["stage"]:
            raise SystemExit(f"killed in {stage}, and facts.tsv does not say that it is missing")
        for _ in range(50):
            if not self.processes():
                return
            time.sleep(0.1)
        raise SystemExit(f"killed in {stage}, and {self.processes()} still run")

    def processes(self):
        """Those whose working folder is the checkout."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if Path(os.readlink(entry / "cwd")) == self.checkout and (entry / "stat").read_text().split()[2] != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--kill", action="append", default=[], choices=STAGES)
    parser.add_argument("--torch", action="store_true", help="with PyTorch in the race")
    parser.add_argument("through", nargs="*")
    arguments = parser.parse_args()
    rehearsal = Rehearsal(arguments.checkout.resolve(), arguments.through, arguments.torch)
    rehearsal.whole()
    rehearsal.rest()
    for stage in arguments.kill:
        rehearsal.killed(stage)
        print(f"killed in {stage}: every file is whole")


if __name__ == "__main__":
    sys.exit(main())
