"""The table of scorers: shares over all choices of N, sums of columns, and verdicts that are kept."""

import json
import os
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import TOOLS
from dalle1_data import kinds

JUDGES = TOOLS.parent / "train" / "default" / "judges"

# Stands for `dalle1 rank`: the scores beside the results.
PROGRAM = """#!/usr/bin/python3
import sys
from pathlib import Path
print((Path(sys.argv[2]).parent / "ranked.json").read_text())
"""


class JudgesTest(unittest.TestCase):
    def test_shares_of_all_choices_by_columns_and_sums(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            run = folder / "pool" / "prompt-0000"
            run.mkdir(parents=True)
            shape = kinds.describe(1, "train", "shape", 0)
            kinds.render(1, "train", "shape", 0, shape["spec"], 256).save(run / "right.png")
            landscape = kinds.describe(1, "train", "landscape", 0)
            kinds.render(1, "train", "landscape", 0, landscape["spec"], 256).save(run / "wrong.png")
            drawn = [{"file": "wrong.png", "scores": {"clip": 0.2}}, {"file": "right.png", "scores": {"clip": 0.1}}]
            (run / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in drawn))
            ranked = [{"file": "right.png", "scores": {"caption": -1.0}}, {"file": "wrong.png", "scores": {"caption": -5.0}}]
            (run / "ranked.json").write_text(json.dumps({"prompt": shape["caption"], "results": ranked}))
            program = folder / "program"
            program.write_text(PROGRAM)
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

            def table():
                command = [JUDGES, folder / "pool", "--sums", "clip=1,caption=0.01", "clip=1,caption=0.1"]
                said = subprocess.run(command, check=True, capture_output=True, text=True,
                                      env={**os.environ, "DALLE1": str(program)}).stdout
                return {line.split()[0]: line.split()[1:] for line in said.splitlines()[1:]}

            first = table()
            self.assertEqual(first["oracle"], ["50.0%", "100.0%"])
            self.assertEqual(first["clip"], ["50.0%", "0.0%"])
            self.assertEqual(first["caption"], ["50.0%", "100.0%"])
            self.assertEqual(first["clip=1,caption=0.01"], ["50.0%", "0.0%"])
            self.assertEqual(first["clip=1,caption=0.1"], ["50.0%", "100.0%"])
            program.unlink()  # what was judged is kept
            self.assertEqual(table(), first)


if __name__ == "__main__":
    unittest.main()
