"""What a model drew is sorted by whether it shows its caption; the captions are a fair lot of the training's."""

import json
import os
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import TOOLS
from dalle1_data import kinds

DRAWN = TOOLS.parent / "train" / "default" / "drawn"

# Stands for `dalle1 sample`: each prompt's first picture is the one prepared for it, its second one is empty.
PROGRAM = """#!/usr/bin/python3
import json, sys
from pathlib import Path
from PIL import Image
option = dict(zip(sys.argv[2::2], sys.argv[3::2]))
prepared = json.loads(Path(__file__).with_suffix(".json").read_text())
for number, prompt in enumerate(Path(option["--prompts"]).read_text().splitlines()):
    folder = Path(sys.argv[-1]) / f"prompt-{number:04}"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"prompt": prompt}))
    Image.open(prepared[prompt]).save(folder / "rank-000_candidate-0001.png")
    Image.new("RGB", (256, 256), "white").save(folder / "rank-001_candidate-0000.png")
"""


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class DrawnTest(unittest.TestCase):
    def test_pictures_are_sorted_by_whether_they_show_their_captions(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            captions, prepared = [], {}
            for kind in ("shape", "relation"):
                for index in range(5):
                    record = kinds.describe(1, "train", kind, index)
                    path = folder / f"{kind}{index}.png"
                    kinds.render(1, "train", kind, index, record["spec"], 256).save(path)
                    captions.append({"caption": record["caption"], "kind": kind, "held_out": index == 0})
                    prepared[record["caption"]] = str(path)
            (folder / "captions.jsonl").write_text("".join(json.dumps(record) + "\n" for record in captions))
            program = folder / "program"
            program.write_text(PROGRAM)
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            program.with_suffix(".json").write_text(json.dumps(prepared))

            out = folder / "out"
            subprocess.run([DRAWN, folder, "a model", out, "--prompts", "6", "--kinds", "shape,relation"], check=True,
                           env={**os.environ, "DALLE1": str(program)}, stdout=subprocess.DEVNULL)
            prompts = (out / "prompts.txt").read_text().splitlines()
            kind_of = {record["caption"]: record["kind"] for record in captions if not record["held_out"]}
            self.assertEqual(sorted(kind_of[prompt] for prompt in prompts), ["relation"] * 3 + ["shape"] * 3)
            for name, file in (("right", "rank-000_candidate-0001.png"), ("wrong", "rank-001_candidate-0000.png")):
                found = records(out / name / "captions.jsonl")
                self.assertEqual([record["caption"] for record in found], prompts)
                for record in found:
                    self.assertEqual(Path(record["image"]).name, file)
                    self.assertTrue((out / name / record["image"]).is_file())


if __name__ == "__main__":
    unittest.main()
