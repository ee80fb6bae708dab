"""The check: accepts right pictures, softened ones too, and refuses what is wrong by one attribute."""

import json
import subprocess
import tempfile
import unittest
from itertools import islice
from pathlib import Path

from PIL import Image, ImageDraw
from support import TOOLS
from dalle1_data import kinds, landscape
from dalle1_data.check import CHECKS, check
from dalle1_data.measure import measure

PICTURES = {"shape": 12, "relation": 10, "count": 8, "animal": 2, "clock": 4, "blocks": 2, "landscape": 6}


class CheckTest(unittest.TestCase):
    def test_right_pictures_pass_and_near_misses_do_not(self):
        for kind, count in PICTURES.items():
            tally = measure(kind, count)
            self.assertEqual(tally.examples, [], kind)
            self.assertEqual(tally.asked["clean"], count)
            self.assertGreater(sum(tally.asked.values()), 4 * count)

    def test_every_kind_has_a_check_and_is_measured(self):
        self.assertEqual(set(PICTURES), set(CHECKS))

    def test_an_empty_or_foreign_picture_shows_nothing(self):
        noise = Image.effect_noise((256, 256), 90).convert("RGB")
        sea = kinds.render(5, "train", "landscape", 0, {"place": "sea", "time": "at noon"}, 256)
        for kind in CHECKS:
            text = kinds.describe(5, "train", kind, 1)["caption"]
            for picture in (Image.new("RGB", (256, 256), "white"), noise, sea):
                self.assertIs(check(picture, text)["right"], False, text)

    def test_the_reason_says_what_is_wrong(self):
        picture = Image.new("RGB", (256, 256), (205, 228, 250))
        ImageDraw.Draw(picture).ellipse([60, 60, 190, 190], fill=(40, 100, 220))
        self.assertTrue(check(picture, "a blue circle")["right"])
        self.assertIn("blue circle", check(picture, "a red circle")["why"])
        self.assertIn("not small", check(picture, "a small blue circle")["why"])
        self.assertIn("1 things, not 2", check(picture, "two blue circles")["why"])
        self.assertIn("light blue", check(picture, "a blue circle on a white background")["why"])
        self.assertIsNone(check(picture, "a friendly whale")["right"])

    def test_a_landscape_with_a_thing_too_many_is_refused(self):
        cases = [  # place, time, the thing's colour and place, and what is said about it
            ("sea", "at noon", (250, 250, 250), (30, 30), "sky"),
            ("meadow", "at noon", (250, 210, 30), (226, 30), "sky"),
            ("meadow", "on a cloudy day", (250, 250, 250), (226, 30), "sky"),
            ("snow", "at night", (250, 250, 250), (226, 30), ""),
            ("snow", "at sunrise", (130, 80, 40), (30, 226), "foreground"),
            ("desert", "at sunset", (250, 210, 30), (30, 226), ""),
        ]
        for place, time, colour, (x, y), why in cases:
            text = f"{landscape.NAMES[place]} {time}"
            for picture in self.landscapes_with_room(place, time, x, y):
                self.assertTrue(check(picture, text)["right"], text)
                ImageDraw.Draw(picture).rectangle([x - 20, y - 20, x + 20, y + 20], fill=colour)
                verdict = check(picture, text)
                self.assertFalse(verdict["right"], text)
                self.assertIn(why, verdict["why"])

    def landscapes_with_room(self, place, time, x, y):
        """Three landscapes with nothing else around (x, y)."""
        drawings = (kinds.render(6, "train", "landscape", i, {"place": place, "time": time}, 256) for i in range(100))
        around = (x - 26, y - 26, x + 26, y + 26)
        free = (d for d in drawings if max(high - low for low, high in d.crop(around).getextrema()) <= 40)
        return list(islice(free, 3))

    def test_other_sizes_are_read_too(self):
        record = kinds.describe(8, "train", "relation", 2)
        for side in (64 * 3, 384):
            picture = kinds.render(8, "train", "relation", 2, record["spec"], side)
            self.assertTrue(check(picture, record["caption"])["right"], side)


class CommandTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        image = Image.new("RGB", (256, 256), "white")
        ImageDraw.Draw(image).rectangle([70, 70, 180, 180], fill=(220, 38, 38))
        image.save(self.folder / "square.png")

    def run_check(self, *arguments, stdin=""):
        command = ["/usr/bin/python3", str(TOOLS / "check"), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)

    def test_serving_answers_each_line_in_order(self):
        square, missing = str(self.folder / "square.png"), str(self.folder / "missing.png")
        requests = [
            {"image": square, "caption": "a red square"},
            {"image": square, "caption": "a blue square"},
            {"image": square, "caption": "a poem"},
            {"image": missing, "caption": "a red square"},
            {"image": square},
        ]
        lines = [json.dumps(request) for request in requests] + ["not json"]
        done = self.run_check("--serve", stdin="\n".join(lines) + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([answer["right"] for answer in answers], [True, False, None, None, None, None])
        self.assertEqual(["error" in answer for answer in answers], [False] * 3 + [True] * 3)

    def test_lists(self):
        captions = self.folder / "captions.jsonl"
        captions.write_text(json.dumps({"image": "square.png", "caption": "a red square"}) + "\n")
        done = self.run_check("--captions", str(captions), "--images", str(self.folder), "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["right"]), (0, True))
        self.assertIn("100.0%", self.run_check("--captions", str(captions)).stdout)
        captions.write_text(json.dumps({"image": "missing.png", "caption": "a red square"}) + "\n")
        self.assertEqual(self.run_check("--captions", str(captions)).returncode, 7)
        captions.write_text('{"image": "square.png"}\n')
        self.assertEqual(self.run_check("--captions", str(captions)).returncode, 3)


if __name__ == "__main__":
    unittest.main()
