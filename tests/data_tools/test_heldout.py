"""What is held out: it covers every colour and shape, no generator shows it, and it is some share and not all."""

import unittest
from collections import Counter

import support  # noqa: F401
from dalle1_data import heldout, kinds
from dalle1_data.clock import FRAMES
from dalle1_data.figures import SHAPES
from dalle1_data.palette import COLOURS
from dalle1_data.rng import Rng


def specs(kind, count, held_out=False):
    for index in range(count):
        yield kinds.sample_spec(kind, Rng("heldout test", kind, index), held_out)[0]


class HeldOutTest(unittest.TestCase):
    def test_pairs_cover_each_colour_and_each_shape(self):
        pairs = [(colour, shape) for colour, shapes in heldout.HELD_OUT_SHAPES.items() for shape in shapes]
        self.assertGreaterEqual(len(pairs), 18)
        self.assertEqual({colour for colour, _ in pairs}, set(COLOURS))
        self.assertEqual({shape for _, shape in pairs}, set(SHAPES))
        self.assertLess(max(Counter(shape for _, shape in pairs).values()), 4)

    def test_the_front_page_prompt_is_not_held_out(self):
        self.assertIsNone(heldout.coloured_shape("red", "circle"))
        self.assertIsNone(heldout.coloured_shape("blue", "square"))
        self.assertIsNone(heldout.relation("red circle", "above", "blue square"))

    def test_no_generator_shows_a_held_out_pair(self):
        shown = set()
        for spec in specs("shape", 300):
            shown.add((spec["colour"], spec["shape"]))
        for spec in specs("count", 300):
            shown.add((spec["colour"], spec["shape"]))
        for spec in specs("clock", 300):
            shown.add((spec["colour"], FRAMES[spec["frame"]]))
        for spec in specs("relation", 300):
            shown |= {(spec[key]["colour"], spec[key]["shape"]) for key in ("first", "second")}
        self.assertGreater(len(shown), 70)
        for colour, shape in shown:
            self.assertNotIn(shape, heldout.HELD_OUT_SHAPES[colour])

    def test_held_out_specs_are_held_out(self):
        for kind in kinds.DRAWN:
            for spec in specs(kind, 20, held_out=True):
                self.assertIsNotNone(kinds.KINDS[kind].held_out(spec))

    def test_a_relation_is_held_out_whichever_way_round_it_is_said(self):
        mirrored = {"above": "below", "to the left of": "to the right of"}
        held = 0
        for first in ("red circle", "pink star", "black cross"):
            for second in ("blue square", "green heart", "white circle", "yellow star"):
                for word, reverse in mirrored.items():
                    why = heldout.relation(first, word, second)
                    self.assertEqual(why, heldout.relation(second, reverse, first))
                    held += why is not None
                self.assertEqual(heldout.relation(first, "and", second), heldout.relation(second, "and", first))
        self.assertLess(held, 12)

    def test_about_a_tenth_of_whole_captions(self):
        names = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
        held = sum(heldout.relation(a, "above", b) is not None for a in names for b in names)
        self.assertAlmostEqual(held / len(names) ** 2, 0.1, delta=0.015)


if __name__ == "__main__":
    unittest.main()
