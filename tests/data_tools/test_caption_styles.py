"""make_dataset --captions: the same pictures under other captions, deterministic, resumable; the default set stays as it was."""

import hashlib
import json
import subprocess
import tempfile
import unittest
from pathlib import Path

from PIL import Image
from support import DRAWN, TOOLS, quiet
from dalle1_data import kinds
from dalle1_data.captions import NoDescription, require_style
from dalle1_data.dataset import Settings, SettingsError, make_dataset

DESCRIBED = {kind: kinds.WEIGHTS[kind] for kind in kinds.GROUPS["described"]}
# Of all pixels, captions, prompts and settings of the default set in small, as they were before there were other styles.
DEFAULT_SET = "7feac2add33eec415ab5bfd8a83cd128b53e582aeef38ce44d3b3b20d31f214e"


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def files(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


class StylesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def make(self, name, style, jobs=1, **changes):
        settings = Settings(**{"count": 24, "validation": 8, "size": 64, "weights": DESCRIBED, "captions": style, **changes})
        with quiet():
            make_dataset(self.folder / name, settings, jobs, prompts=6)
        return self.folder / name

    def test_the_default_set_is_what_it_was(self):
        with quiet():
            make_dataset(self.folder / "set", Settings(60, 12, 64, weights=dict(DRAWN)), prompts=10)
        self.assertEqual(digest(self.folder / "set"), DEFAULT_SET)

    def test_other_captions_change_nothing_but_captions(self):
        exact = self.make("exact", "exact")
        for style in ("alt", "descriptive"):
            other = self.make(style, style)
            self.assertEqual(files(exact), files(other))
            for name in files(exact):
                if name.name not in ("captions.jsonl", "dataset.json"):
                    self.assertEqual((exact / name).read_bytes(), (other / name).read_bytes(), name)
            for split in ("train", "val"):
                true, said = (records(each / split / "captions.jsonl") for each in (exact, other))
                self.assertEqual([record["caption"] for record in true], [record["exact"] for record in said])
                self.assertNotEqual([record["caption"] for record in true], [record["caption"] for record in said])
                self.assertFalse(any("exact" in record for record in true))

    def test_two_runs_and_two_processes_give_the_same_bytes(self):
        for style in ("alt", "descriptive"):
            first, second = self.make(f"{style} 1", style), self.make(f"{style} 2", style, jobs=2)
            for name in files(first):
                self.assertEqual((first / name).read_bytes(), (second / name).read_bytes(), name)

    def test_captions_do_not_depend_on_how_many_are_made_nor_on_the_size(self):
        for style in ("alt", "descriptive"):
            few, many = self.make(f"{style} few", style, count=9), self.make(f"{style} many", style, size=32)
            lines = [(folder / "train/captions.jsonl").read_text().splitlines()[:9] for folder in (few, many)]
            self.assertEqual(*lines)

    def test_a_stopped_run_goes_on(self):
        for style in ("alt", "descriptive"):
            folder = self.make(style, style)
            captions, lost = folder / "train/captions.jsonl", folder / "train/000005.png"
            text, pixels = captions.read_text(), lost.read_bytes()
            captions.unlink()
            lost.unlink()
            self.make(style, style)
            self.assertEqual((captions.read_text(), lost.read_bytes()), (text, pixels))

    def test_styles_do_not_mix_in_a_folder(self):
        self.make("set", "alt")
        for style in ("exact", "descriptive"):
            with self.assertRaisesRegex(SettingsError, "other settings"):
                self.make("set", style)

    def test_kinds_without_descriptions_are_refused_before_anything_is_written(self):
        with self.assertRaisesRegex(NoDescription, "animal, clock.*--kinds described"):
            self.make("set", "descriptive", weights={"shape": 1, "animal": 1, "clock": 1})
        self.assertFalse((self.folder / "set").exists())
        require_style("alt", kinds.KINDS)


class CommandTest(unittest.TestCase):
    def run_tool(self, name, *arguments):
        command = ["/usr/bin/python3", str(TOOLS / name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    def test_made_and_checked_by_the_programs(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_tool("make_dataset", "--out", folder, "--count", 10, "--val-count", 0, "--prompts", 1,
                                 "--kinds", "shapes", "--captions", "descriptive")  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stderr)
            captions = Path(folder) / "train" / "captions.jsonl"
            answers = [json.loads(line) for line in self.run_tool("check", "--captions", captions, "--json").stdout.splitlines()]
            self.assertEqual([answer["right"] for answer in answers], [True] * 10)
            self.assertTrue(all(answer["clauses"] > 4 and answer["refused"] == 0 for answer in answers))
            wrong = [{**record, "caption": record["caption"] + ". all of them are brown"} for record in records(captions)]
            captions.write_text("".join(json.dumps(record) + "\n" for record in wrong[:1]))
            said = self.run_tool("check", "--captions", captions).stdout.splitlines()
            clauses = answers[0]["clauses"] + 1
            self.assertEqual(said[0].split()[-3:], ["clauses", "refused", "share"])
            self.assertEqual(said[1].split()[-3:], [str(clauses), "1", f"{1 / clauses:.1%}"])

    def test_bad_options(self):
        for arguments, why in (
            (("--captions", "poetic"), "invalid choice: 'poetic'"),
            (("--captions", "descriptive"), "--kinds described"),
            (("--captions", "descriptive", "--kinds", "shapes,blocks"), "no descriptions of blocks"),
        ):
            done = self.run_tool("make_dataset", "--out", "/nonexistent/set", *arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(why, done.stderr.splitlines()[-1])
        done = self.run_tool("measure_check", "--captions", "alt")
        self.assertEqual(done.returncode, 2)


def digest(folder):
    """Of the names and contents of a set; of pictures their pixels, as PNG bytes depend on zlib."""
    total = hashlib.sha256()
    for name in files(folder):
        total.update(str(name).encode())
        content = (folder / name).read_bytes()
        total.update(Image.open(folder / name).tobytes() if name.suffix == ".png" else content)
    return total.hexdigest()


if __name__ == "__main__":
    unittest.main()
