"""A call of quarter_hour.sh that is killed, in every stage and by either signal, leaves whole files, says in facts.tsv's last
lines what is missing, and leaves no process behind."""

import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import stand_in
import support

WITHIN = 0.15  # seconds of a stage's beginning: the shortest stage takes twice as long


class KilledTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        cls.checkout = Path(scratch.name).resolve() / "checkout"
        stand_in.make_checkout(cls.checkout)
        cls.out = cls.checkout / "build" / "gpu-results"

    def start(self):
        for name in ("gpu-results", "gpu-work"):
            shutil.rmtree(self.checkout / "build" / name, ignore_errors=True)
        return subprocess.Popen([self.checkout / "tools" / "gpu" / "quarter_hour.sh", "main"], start_new_session=True,
                                cwd=self.checkout, env={**os.environ, **stand_in.SETTINGS}, stdout=subprocess.DEVNULL)

    def test_what_is_not_killed_runs_to_its_end(self):
        self.assertEqual(self.start().wait(), 0)
        facts = (self.out / "facts.tsv").read_text()
        self.assertEqual(support.faults(self.out), [])
        self.assertEqual(support.missing(facts), {"stage": set(), "file": set()}, facts)
        for stage in support.STAGES:
            self.assertIn(f"\t{stage}\tstatus\tdone\n", facts)
        self.assertNotIn("WARNING", facts)

    def test_what_is_killed_leaves_whole_files_and_says_what_is_missing(self):
        for stage in support.STAGES:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with self.subTest(stage=stage, signal=number.name):
                    wrong = support.kill_in(self.start(), self.checkout, stage, number, WITHIN)
                    self.assertEqual(wrong, [], support.facts_of(self.out))


if __name__ == "__main__":
    unittest.main()
