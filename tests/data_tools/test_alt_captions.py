"""Captions as the web has them: the shares of each flaw, what each does, and the truth beside them."""

import unittest
from collections import Counter

from support import DRAWN
from dalle1_data.alt_captions import ANY_NOUN, FLAWS, NOUNS, losses
from dalle1_data.dataset import Settings, record_of, styled_record

COUNT = 4000


class AltTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.settings = Settings(COUNT, 0, weights=dict(DRAWN), captions="alt")
        cls.records = [styled_record("train", index, cls.settings) for index in range(COUNT)]

    def of(self, flaw):
        return [record for record in self.records if record["flaw"] == flaw]

    def test_each_flaw_has_its_share(self):
        counts = Counter(record["flaw"] for record in self.records)
        self.assertEqual(set(counts), set(FLAWS))
        for flaw, percent in FLAWS.items():
            self.assertAlmostEqual(100 * counts[flaw] / COUNT, percent, delta=2.2, msg=flaw)

    def test_the_truth_stays_beside_them(self):
        for index in range(200):
            exact = record_of("train", index, self.settings)
            record = self.records[index]
            self.assertEqual(record["exact"], exact["caption"])
            self.assertEqual((record["kind"], record["spec"]), (exact["kind"], exact["spec"]))

    def test_only_right_ones_are_right(self):
        for record in self.records:
            self.assertEqual(record["caption"] == record["exact"], record["flaw"] == "right", record)

    def test_a_noun_names_the_kind_and_no_more(self):
        for record in self.of("noun"):
            self.assertIn(record["caption"], NOUNS[record["kind"]] + ANY_NOUN)

    def test_less_is_a_part_of_the_truth(self):
        words_added = {"a", "and", "landscape"}
        for record in self.of("less"):
            said, true = (Counter(record[key].replace(".", "").split()) for key in ("caption", "exact"))
            self.assertTrue(true - said, record)
            self.assertLessEqual(set(said - true), words_added, record)

    def test_another_pictures_caption_is_one(self):
        captions = {record["exact"] for record in self.records}
        near = [record for record in self.records[: COUNT - 1000] if record["flaw"] == "other"]
        self.assertGreater(len(near), 300)
        self.assertTrue(all(record["caption"] in captions for record in near))

    def test_junk_varies(self):
        junk = {record["caption"] for record in self.of("junk")}
        self.assertGreater(len(junk), 100)
        self.assertIn("wallpaper hd free", junk)
        self.assertTrue(any(text.startswith("IMG_") and text.endswith(".jpg") for text in junk))

    def test_what_captions_can_lose(self):
        for text, poorer in (
            ("an orange circle on a light blue background", ["a circle on a light blue background", "an orange circle"]),
            ("a red circle above a blue square", ["a circle above a square", "a red circle and a blue square"]),
            ("a painting of a forest at noon", ["a landscape at noon", "a painting of a forest"]),
            ("a blue unicorn", ["a unicorn"]),
            ("a penguin on a beach at noon", ["a penguin", "a penguin on a beach"]),
            ("a giraffe", []),
        ):
            self.assertEqual(losses(text), poorer)


if __name__ == "__main__":
    unittest.main()
