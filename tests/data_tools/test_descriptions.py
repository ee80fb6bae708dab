"""Descriptions: read back as what they say, of a length that a captioner takes, right of their own pictures clause by clause."""

import sys
import unittest
from collections import Counter

import numpy as np
from PIL import Image
from support import TOOLS
from dalle1_data import kinds, landscape, sentences
from dalle1_data.check import Picture, check
from dalle1_data.describe import cloud_shares, description, middle_of, parts, rows_in
from dalle1_data.measure import STYLES, measure
from dalle1_data.near_miss_clauses import wrong_descriptions
from dalle1_data.rng import Rng

ROOT = TOOLS.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "reference"))

import bpe  # noqa: E402

TOKENIZER = ROOT / "weights" / "default" / "text.model"
TEXT_SLOTS = 96  # of tools/train/default/captioner.json, the end included
PICTURES = 200
DESCRIBED = kinds.GROUPS["described"]


def described(kind, index):
    """The spec, the name of its draws and the description of a picture."""
    name = ("description test", "train", kind, index)
    spec = kinds.describe(*name, index % 3 == 0)["spec"]
    return spec, name, description(kind, spec, Rng(*name, "draw"), Rng(*name, "description"))


class TextTest(unittest.TestCase):
    def test_every_sentence_is_read_back_as_what_it_says(self):
        said = Counter()
        for kind in DESCRIBED:
            for index in range(PICTURES):
                spec, name, text = described(kind, index)
                wanted = [clause for group in parts(kind, spec, Rng(*name, "draw")) for clause in group]
                read = sentences.read_all(text)
                for says, words in wanted:
                    said[says] += 1
                    if says == "caption":
                        self.assertEqual([clause[1]["kind"] for clause in read if clause[0] == says], [kind], text)
                    else:
                        self.assertIn((says, words), read, text)
                self.assertEqual(len(read), len(wanted), text)
        self.assertEqual(set(said), set(sentences.SENTENCES))

    def test_every_way_to_say_a_clause_is_read(self):
        for says, ways in sentences.SENTENCES.items():
            self.assertEqual(len(set(ways)), 4, says)
            for way in ways if says != "caption" else ():
                words = {slot: list(sentences.SLOTS[slot])[-1] for slot in sentences.SLOTS if f"{{{slot}}}" in way}
                self.assertEqual(sentences.read(way.format(**words)), (says, words))

    def test_a_captioner_has_room_for_them(self):
        tokenizer = bpe.Tokenizer(TOKENIZER)
        for kind in DESCRIBED:
            lengths = []
            for index in range(PICTURES):
                ids = tokenizer.encode(described(kind, index)[2])
                self.assertNotIn(tokenizer.unknown, ids)
                lengths.append(len(ids))
            self.assertLess(max(lengths), TEXT_SLOTS)
            self.assertTrue(60 <= np.median(lengths) <= 90, (kind, np.median(lengths)))

    def test_orders_and_words_vary_with_the_picture_alone(self):
        texts = [described("shape", index)[2] for index in range(60)]
        self.assertEqual(texts, [described("shape", index)[2] for index in range(60)])
        first = Counter(sentences.read_all(text)[0][0] for text in texts)
        self.assertEqual(set(first), {"caption", "background"})
        self.assertGreater(len({text.split(" ")[0] for text in texts}), 4)


class LayoutTest(unittest.TestCase):
    def test_a_layout_is_where_the_drawing_has_it(self):
        """Of flat shapes, by the pixels that differ from the background."""
        for kind in ("shape", "relation", "count"):
            for index in range(20):
                spec, name, _ = described(kind, index)
                picture = np.asarray(kinds.render(*name, spec, 256), int)
                different = np.abs(picture - picture[0, 0]).max(-1) > 40
                for _, x, y, radius in kinds.KINDS[kind].layout(spec, Rng(*name, "draw")):
                    left, top = max(0, int(x - 1.1 * radius)), max(0, int(y - 1.1 * radius))
                    around = different[top : int(y + 1.1 * radius) + 1, left : int(x + 1.1 * radius) + 1]
                    self.assertGreater(around.mean(), 0.15, (spec, x, y))
                    different[top : int(y + 1.1 * radius) + 1, left : int(x + 1.1 * radius) + 1] &= kind == "relation" and (
                        spec["relation"] == "inside"
                    )
                if kind != "relation" or spec["relation"] != "inside":
                    self.assertFalse(different.any(), spec)

    def test_sun_and_clouds_are_as_far_as_they_show(self):
        noon = {"place": "desert", "time": "at noon"}
        for index in range(20):
            seen = landscape.layout(noon, Rng("layout", index))
            picture = np.asarray(landscape.draw(noon, Rng("layout", index), landscape.LAYOUT_SIDE), int)
            sides = len(seen["light"]) // landscape.LAYOUT_SIDE
            for what, colour in (("light", landscape.LIGHTS["at noon"]), ("clouds", landscape.CLOUDS["at noon"])):
                shown = np.asarray(Image.fromarray(seen[what]).convert("L").reduce(sides)) == 255
                self.assertTrue((np.abs(picture[shown] - colour).max(-1) < 3).all(), what)
        self.assertNotIn("light", landscape.layout({**noon, "time": "on a cloudy day"}, Rng("layout", 0)))

    def test_rows_and_shares(self):
        self.assertEqual(rows_in(np.array([60, 61, 62, 130, 131])), (3, 2))
        mask = np.zeros((64, 64), bool)
        mask[:, 43:] = True
        self.assertEqual(cloud_shares(mask).round().tolist(), [0, 0, 1])
        self.assertAlmostEqual(middle_of(mask), 4 * 53.5)


class JudgedTest(unittest.TestCase):
    def test_every_clause_is_right_of_its_own_picture(self):
        """But for what the check of plain captions refuses, too."""
        for kind in DESCRIBED:
            refused, doubtful = [], 0
            for index in range(PICTURES):
                spec, name, text = described(kind, index)
                picture = Picture(kinds.render(*name, spec, 256))
                wrong = [clause for clause in sentences.read_all(text) if picture.refusal(clause)]
                doubtful += any(clause[0] == "caption" for clause in wrong)
                refused += [(index, clause) for clause in wrong if clause[0] != "caption"]
            self.assertEqual(refused, [], kind)
            self.assertLessEqual(doubtful, 2 if kind == "landscape" else 0)

    def test_near_misses_are_refused_and_what_is_in_doubt_is_known(self):
        for kind in DESCRIBED:
            tally = measure(kind, 6, start=1000, style=STYLES["descriptive"])
            accepted = {what.split(": ", 1)[1] for what, n in tally.accepted.items() if n and what.startswith("near miss")}
            self.assertLessEqual(accepted, {"where"}, tally.examples)
            self.assertLessEqual(tally.accepted["near miss, clean: where"], 1)
            self.assertEqual(tally.refused["clean"], 0, tally.examples)
            self.assertGreater(tally.clauses["clean"], 6 * 5)

    def test_a_near_miss_changes_one_clause(self):
        for kind in DESCRIBED:
            for index in range(20):
                spec, name, text = described(kind, index)
                for what, wrong in wrong_descriptions(kind, spec, name):
                    self.assertIsNotNone(sentences.read_all(wrong), wrong)
                    true, said = (sentences.read_all(each) for each in (text, wrong))
                    self.assertEqual(sum(a != b for a, b in zip(true, said, strict=True)), 1, (what, text, wrong))

    def test_how_much_of_a_description_is_wrong(self):
        spec = {"colour": "red", "shape": "square", "texture": None, "size": None, "background": "white"}
        picture = kinds.render(1, "train", "shape", 0, spec, 256)
        for text, clauses, refused in (
            ("a red square. the background is white. it has four corners", 3, 0),
            ("a red square. the background is blue. it has three corners", 3, 2),
            ("a red square. it likes the sea. the background is white", 3, 1),
            ("a red square", 1, 0),
            ("a blue square", 1, 1),
            ("a poem. it likes the sea", 0, 0),
        ):
            verdict = check(picture, text)
            self.assertEqual((verdict["clauses"], verdict["refused"]), (clauses, refused), text)
            self.assertIs(verdict["right"], None if clauses == 0 else refused == 0)
        self.assertEqual(check(picture, "the background is white. a red square")["kind"], "shape")

    def test_clauses_are_wrong_of_pictures_that_are_something_else(self):
        noise = Image.effect_noise((256, 256), 90).convert("RGB")
        flat = Image.new("RGB", (256, 256), (250, 128, 114))
        for kind in DESCRIBED:
            _, _, text = described(kind, 5)
            for picture in (noise, flat):
                verdict = check(picture, text)
                self.assertIs(verdict["right"], False)
                self.assertGreaterEqual(verdict["refused"], verdict["clauses"] - 2, (text, verdict))


if __name__ == "__main__":
    unittest.main()
