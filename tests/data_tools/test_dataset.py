"""The data set command: deterministic, resumable, honest about what it holds out."""

import json
import tempfile
import unittest
from pathlib import Path

from support import DRAWN, quiet
from dalle1_data import kinds
from dalle1_data.dataset import Settings, SettingsError, make_dataset, record_of, sample_prompts


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class DatasetTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def make(self, name, jobs=1, **changes):
        settings = Settings(**{"count": 14, "validation": 8, "size": 64, "weights": dict(DRAWN), **changes})
        with quiet():
            make_dataset(self.folder / name, settings, jobs, prompts=6)
        return self.folder / name

    def test_two_runs_and_two_processes_give_the_same_bytes(self):
        first, second = self.make("first"), self.make("second", jobs=2)
        names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
        self.assertGreater(len(names), 25)
        for name in names:
            self.assertEqual((first / name).read_bytes(), (second / name).read_bytes(), name)

    def test_a_stopped_run_goes_on_and_keeps_what_is_there(self):
        whole, stopped = self.make("whole"), self.make("stopped")
        kept, lost = stopped / "train/000003.png", stopped / "train/000009.png"
        stamp = kept.stat().st_mtime_ns
        lost.unlink()
        (stopped / "train/captions.jsonl").unlink()
        self.make("stopped")
        self.assertEqual(kept.stat().st_mtime_ns, stamp)
        self.assertEqual(lost.read_bytes(), (whole / "train/000009.png").read_bytes())
        self.assertEqual(
            (stopped / "train/captions.jsonl").read_text(), (whole / "train/captions.jsonl").read_text()
        )

    def test_other_settings_do_not_mix_into_a_folder(self):
        self.make("set")
        with self.assertRaisesRegex(SettingsError, "other settings"):
            self.make("set", seed=2)

    def test_pictures_do_not_depend_on_how_many_are_made(self):
        few, many = self.make("few", count=3), self.make("many", count=6)
        self.assertEqual((few / "train/000002.png").read_bytes(), (many / "train/000002.png").read_bytes())

    def test_training_holds_nothing_out_and_validation_does(self):
        folder = self.make("set", validation=16)
        self.assertFalse(any(record["held_out"] for record in records(folder / "train/captions.jsonl")))
        held_out = [record["held_out"] for record in records(folder / "val/captions.jsonl")]
        self.assertEqual(held_out, [index % 4 == 3 for index in range(16)])

    def test_prompts_of_development_and_test_share_nothing(self):
        folder = self.make("set")
        dev, test = (records(folder / f"prompts_{name}.jsonl") for name in ("dev", "test"))
        self.assertFalse({line["prompt"] for line in dev} & {line["prompt"] for line in test})
        for kind in ("shape", "relation", "animal"):
            for held_out in (False, True):
                of_kind = [line for line in test if line["kind"] == kind and line["held_out"] == held_out]
                self.assertEqual(len(of_kind), 6, (kind, held_out))

    def test_a_kind_of_few_captions_repeats_its_prompts_with_other_seeds(self):
        settings = Settings(count=0, validation=0, weights={"landscape": 1})
        lines = [line for line in sample_prompts("test", 200, settings) if not line["held_out"]]
        draws = {(line["prompt"], line.get("seed", 0)) for line in lines}
        self.assertEqual((len(lines), len(draws)), (200, 200))
        captions = len({line["prompt"] for line in lines})
        self.assertLess(captions, 150)
        self.assertEqual({line.get("seed", 0) for line in lines}, set(range(199 // captions + 1)))

    def test_every_control_prompt_says_something_else(self):
        for line in records(self.make("set") / "prompts_test.jsonl"):
            self.assertNotEqual(line["control"], line["prompt"])


class KindsTest(unittest.TestCase):
    def test_weights_of_names_groups_and_numbers(self):
        self.assertEqual(kinds.weights_of("blocks=3,shape"), {"blocks": 3, "shape": kinds.WEIGHTS["shape"]})
        self.assertEqual(set(kinds.weights_of("shapes")), {"shape", "relation", "count"})
        for wrong in ("shapez", "shape=x", "shape,"):
            with self.assertRaises(kinds.UnknownKind):
                kinds.weights_of(wrong)

    def test_known_captions_stay(self):
        """The set that a model was trained on can be made again: these must never change."""
        settings = Settings(20, 20, weights=dict(DRAWN))
        self.assertEqual(
            [record_of("train", index, settings)["caption"] for index in range(4)],
            [record["caption"] for record in records(Path(__file__).parent / "known_captions.jsonl")],
        )


if __name__ == "__main__":
    unittest.main()
