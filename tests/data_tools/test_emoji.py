"""The emoji kinds, on artwork made up here: names, contrast, recolouring, what is left out."""

import json
import tarfile
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import support  # noqa: F401
from PIL import Image, ImageDraw
from dalle1_data import artwork, emoji, emoji_colour, emoji_scene, kinds
from dalle1_data.rng import Rng


def disc(colour, side=64):
    image = Image.new("RGBA", (side, side))
    ImageDraw.Draw(image).ellipse([4, 4, side - 5, side - 5], fill=colour)
    return image


class EmojiTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.write("noto", {"1f415": (230, 160, 40), "1f34e": (220, 30, 30), "1f426": (90, 160, 220), "1f5fc": (240, 240, 240)})
        self.write("flat", {"1f415": (200, 120, 40)})
        emoji.use(self.folder, ["noto", "flat"])

    def write(self, style, colours):
        (self.folder / style).mkdir()
        for code, colour in colours.items():
            disc(colour).save(self.folder / style / f"{code}.png")
        (self.folder / style / "complete").touch()

    def test_the_table_has_no_name_twice_and_known_traits_only(self):
        table = emoji.table()
        self.assertGreater(len(table), 300)
        self.assertEqual(len({entry.name for entry in table.values()}), len(table))
        self.assertLessEqual(set("".join(entry.traits for entry in table.values())), set("lswbrmpic"))
        self.assertTrue(140 < sum("c" in entry.traits for entry in table.values()) < 200)

    def test_every_kind_draws_with_the_artwork_that_is_there(self):
        for kind in kinds.EMOJI:
            for index in range(6):
                record = kinds.describe("emoji test", "train", kind, index)
                picture = kinds.render("emoji test", "train", kind, index, record["spec"], 64)
                self.assertEqual((picture.size, picture.mode), ((64, 64), "RGB"))
                self.assertIn(emoji.table()[record["spec"]["emoji"]].name, record["caption"].replace("dogs", "dog"))
                self.assertFalse(record["held_out"])

    def test_recolouring_gives_the_colour_or_refuses(self):
        blue = np.asarray(emoji.recoloured("noto", "1f415", "blue"))
        middle = blue[blue.shape[0] // 2, blue.shape[1] // 2, :3].astype(int)
        self.assertLess(np.abs(middle - (37, 99, 225)).max(), 30)
        self.assertIsNone(emoji.recoloured("noto", "1f5fc", "blue"), "a grey thing has no hue to replace")

    def test_backgrounds_stand_out(self):
        self.assertNotIn("red", emoji.fitting_backgrounds("noto", "1f34e"))
        self.assertNotIn("light gray", emoji.fitting_backgrounds("noto", "1f5fc"))
        self.assertIn("light blue", emoji.fitting_backgrounds("noto", "1f34e"))

    def test_a_shape_in_a_held_out_colour_is_held_out_as_an_emoji_too(self):
        heart = next(code for code, entry in emoji.table().items() if entry.name == "heart")
        spec = {"emoji": heart, "style": "noto", "colour": "yellow", "background": "white"}
        self.assertEqual(emoji_colour.held_out(spec), "pair")

    def test_a_held_out_landscape_is_held_out_as_a_backdrop_too(self):
        spec = {"emoji": "1f415", "style": "noto", "habitat": "land", "place": "beach", "time": "at night"}
        self.assertEqual(emoji_scene.held_out(spec), "caption")

    def test_the_plain_style_is_never_held_out(self):
        for code in emoji.table():
            self.assertIsNone(emoji.held_out_style({"emoji": code, "style": "noto"}))
        held = [code for code in emoji.table() if emoji.held_out_style({"emoji": code, "style": "flat"})]
        self.assertTrue(0.01 < len(held) / len(emoji.table()) < 0.1)

    def test_missing_artwork_is_named(self):
        with self.assertRaisesRegex(artwork.ArtworkError, "fetch_artwork"):
            emoji.use(self.folder, ["twemoji"])
        emoji.use(self.folder, ["noto"])

    def test_styles_are_named_where_captions_need_it(self):
        said = {emoji.styled("a dog", "flat", Rng("styled", index)) for index in range(40)}
        self.assertEqual(said, {"a dog", "a flat illustration of a dog"})


class ArtworkTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def pack(self, entries):
        """A stand-in for `npm pack`: writes an archive and names it."""
        archive = self.folder / "made.tgz"
        with tarfile.open(archive, "w:gz") as tar:
            for name, target in entries:
                info = tarfile.TarInfo(name)
                if target:
                    info.type, info.linkname = tarfile.SYMTYPE, target
                tar.addfile(info)
        return mock.patch.object(
            artwork.subprocess, "run", return_value=mock.Mock(returncode=0, stdout="made.tgz\n", stderr="")
        )

    def style(self, sha256):
        return artwork.Style("@x/y", "1.0.0", sha256, "Y", "MIT", "Z", "a y of")

    def test_a_package_that_is_not_the_pinned_one_is_refused(self):
        with self.pack([("package/icons.json", None)]):
            with self.assertRaisesRegex(artwork.ArtworkError, "SHA-256"):
                artwork.unpack(self.style("0" * 64), self.folder)

    def test_a_package_that_leaves_its_folder_is_refused(self):
        for entries in ([("../outside", None)], [("package/link", "/etc/passwd")]):
            with self.pack(entries):
                checksum = artwork.hashlib.sha256((self.folder / "made.tgz").read_bytes()).hexdigest()
                with self.assertRaisesRegex(artwork.ArtworkError, "not a plain file"):
                    artwork.unpack(self.style(checksum), self.folder)

    def test_icons_are_found_under_their_own_code_or_the_common_name(self):
        (self.folder / "chars.json").write_text(json.dumps({"1F415": "dog", "2708-FE0F": "airplane"}))
        self.assertEqual(artwork.icon_names(self.folder), {"1f415": "dog", "2708": "airplane"})


if __name__ == "__main__":
    unittest.main()
