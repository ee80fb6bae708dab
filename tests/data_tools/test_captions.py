"""Captions: correct English, and read back to what the picture shows."""

import unittest

from support import DRAWN
from dalle1_data import kinds
from dalle1_data.check import CHECKS
from dalle1_data.near_miss import near_misses
from dalle1_data.parse import parse
from dalle1_data.rng import Rng, hashed_share
from dalle1_data.words import listed, plural, with_article


def agrees(read, spec):
    """Whether all that was read is so in the spec; None was left open."""
    if isinstance(read, dict):
        return all(agrees(value, spec[key]) for key, value in read.items() if key in spec or value is not None)
    if isinstance(read, list):
        return len(read) == len(spec) and all(map(agrees, read, spec))
    return read is None or read == spec


class ParseTest(unittest.TestCase):
    def test_captions_of_every_checked_kind_are_read_back(self):
        for kind in DRAWN:
            if kind not in CHECKS:
                continue
            for index in range(120):
                record = kinds.describe("caption test", "train", kind, index, index % 3 == 0)
                read = parse(record["caption"])
                self.assertIsNotNone(read, record["caption"])
                self.assertEqual(read[0], kind, record["caption"])
                self.assertTrue(agrees(read[1], record["spec"]), (record["caption"], read))

    def test_what_a_caption_states_is_not_lost(self):
        kind, spec = parse("A large dotted red square on a light blue background.")
        self.assertEqual(kind, "shape")
        expected = {"size": "large", "texture": "dotted", "colour": "red", "shape": "square", "background": "light blue"}
        self.assertEqual(spec, expected)
        kind, spec = parse("a pig wearing a black hat, white glasses, and orange boots")
        self.assertEqual(spec["garments"], {"hat": "black", "glasses": "white", "boots": "orange"})
        kind, spec = parse("six green crosses")
        self.assertEqual((kind, spec["number"], spec["shape"]), ("count", 6, "cross"))

    def test_other_text_is_not_read(self):
        for text in ("", "a dog", "a red", "a red circle above", "a pig wearing a red nose", "nine red circles",
                     "a red circle above a blue square above a green star"):  # fmt: skip
            self.assertIsNone(parse(text), text)

    def test_near_misses_say_something_else(self):
        for kind in DRAWN:
            for index in range(30):
                spec = kinds.describe("near miss test", "train", kind, index)["spec"]
                for what, other in near_misses(kind, spec, Rng("near", kind, index)).items():
                    said = kinds.KINDS[kind].caption(other)
                    self.assertNotEqual(said, kinds.KINDS[kind].caption(spec), what)
                    if kind in CHECKS:
                        self.assertEqual(parse(said)[0], kind, said)


class WordsTest(unittest.TestCase):
    def test_articles(self):
        for word in ("an apple", "a unicorn", "a ufo", "a one-eyed alien", "an owl", "a yellow star"):
            self.assertEqual(with_article(word.split(" ", 1)[1]), word)

    def test_plurals(self):
        for one, many in (("cross", "crosses"), ("cherry", "cherries"), ("monkey", "monkeys"), ("mouse", "mice"),
                          ("cup of tea", "cups of tea"), ("planet with rings", "planets with rings"),
                          ("tomato", "tomatoes"), ("tropical fish", "tropical fish")):  # fmt: skip
            self.assertEqual(plural(one), many)

    def test_lists(self):
        self.assertEqual([listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])], ["a", "a and b", "a, b, and c"])


class RngTest(unittest.TestCase):
    def test_known_numbers(self):
        """The sequence is part of the data set: it must never change."""
        rng = Rng(1, "train", "shape", 0)
        self.assertEqual([rng.integer(0, 999) for _ in range(4)], KNOWN)

    def test_shares(self):
        held = sum(hashed_share(0.1, "x", index) for index in range(5000))
        self.assertAlmostEqual(held / 5000, 0.1, delta=0.015)

    def test_weighted_and_sample(self):
        rng = Rng("weights")
        drawn = [rng.weighted({"a": 3, "b": 1}) for _ in range(2000)]
        self.assertAlmostEqual(drawn.count("a") / 2000, 0.75, delta=0.04)
        self.assertEqual(sorted(rng.sample("abcde", 5)), list("abcde"))


KNOWN = [716, 468, 881, 944]

if __name__ == "__main__":
    unittest.main()
