"""The drawings: what a caption says is where it should be, at every size, and edges are smooth."""

import unittest

import numpy as np
from support import DRAWN
from dalle1_data import kinds, palette, shape
from dalle1_data.canvas import Canvas
from dalle1_data.figures import CONTAINERS, SHAPES, outline
from dalle1_data.rng import Rng


class DrawingTest(unittest.TestCase):
    def test_every_kind_draws_every_size_the_same_way(self):
        for kind in DRAWN:
            record = kinds.describe("drawing test", "train", kind, 3)
            large = kinds.render("drawing test", "train", kind, 3, record["spec"], 128)
            small = kinds.render("drawing test", "train", kind, 3, record["spec"], 64)
            self.assertEqual((large.size, large.mode), ((128, 128), "RGB"))
            difference = np.abs(np.asarray(large.reduce(2), float) - np.asarray(small, float)).mean()
            self.assertLess(difference, 6, kind)

    def test_a_circle_has_its_area_and_colour_and_a_smooth_edge(self):
        canvas = Canvas(256, palette.COLOURS["white"])
        canvas.disc(128, 128, 50, palette.COLOURS["black"])
        light = np.asarray(canvas.finish(), float)[..., 0]
        covered = (250 - light).sum() / (250 - 28)
        self.assertAlmostEqual(covered / (np.pi * 50**2), 1, delta=0.02)
        self.assertGreater(((light > 60) & (light < 220)).sum(), 100)

    def test_shapes_stay_in_the_picture(self):
        for name in SHAPES:
            xs, ys = zip(*outline(name, 0, 0, 1))
            self.assertLess(max(map(abs, xs + ys)), 1.06, name)
        for kind in ("shape", "relation", "count"):
            for index in range(60):
                spec = kinds.describe("margin test", "train", kind, index)["spec"]
                picture = np.asarray(kinds.render("margin test", "train", kind, index, spec, 64), int)
                border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
                wanted = palette.BACKGROUNDS[spec["background"]]
                self.assertLess(np.abs(border - wanted).max(), 2, (kind, spec))

    def test_the_inner_shape_lies_within_the_outer_one(self):
        for name, drop in CONTAINERS.items():
            canvas = Canvas(256, (0, 0, 0))
            canvas.polygon(outline(name, 128, 128, 98), (255, 0, 0))
            before = np.asarray(canvas.finish())[..., 0]
            for inner in SHAPES:
                other = Canvas(256, (0, 0, 0))
                other.polygon(outline(inner, 128, 128 + 98 * drop, 38), (255, 0, 0))
                self.assertTrue((before[np.asarray(other.finish())[..., 0] > 128] == 255).all(), (name, inner))

    def test_backgrounds_leave_things_visible(self):
        for colour in palette.COLOURS.values():
            for _ in range(5):
                name = palette.pick_background(Rng("visible", colour), [colour])
                self.assertGreater(palette.distance(colour, palette.BACKGROUNDS[name]), palette.MIN_CONTRAST)

    def test_textures_show_the_colour_and_a_pale_tint(self):
        for texture, low, high in (("striped", 0.4, 0.6), ("dotted", 0.1, 0.3)):
            spec = {"colour": "blue", "shape": "square", "texture": texture, "size": "large", "background": "red"}
            picture = np.asarray(shape.draw(spec, Rng("texture"), 256), float)
            inner = palette.lab(picture[90:166, 90:166])
            pale = np.linalg.norm(inner - palette.lab((255, 255, 255)), axis=-1) < 30
            self.assertTrue(low < pale.mean() < high, (texture, pale.mean()))


if __name__ == "__main__":
    unittest.main()
