#!/usr/bin/python3
"""What the PyTorch trainer computes without PyTorch: random numbers, order of samples, tokens, masks, rates, time.

    tests/reference/test_numbers.py build/release/tools/dalle1
"""

import itertools
import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import bpe
import clock
import formats
import model_folder
import numpy as np
import order
import patterns
import philox
import settings
import shards
import start
from program import ROOT, Program

TEXTS = ["a red circle above a square", "  Two   GREEN stars,\tone caf\u00e9 \u2116 5 ", "\u732b\u732b \ufb01n", ""]


class Numbers(unittest.TestCase):
    program = None

    @classmethod
    def setUpClass(cls):
        # The C++ side of the same numbers: tests/core/test_data_order.cc.
        cls.golden = json.loads((ROOT / "tests/golden/training/numbers.json").read_text())

    def test_order_of_samples(self):
        for case in self.golden["order"]:
            found = order.SampleOrder(case["size"], case["seed"]).indices(case["positions"])
            self.assertEqual(found.tolist(), case["indices"])

    def test_uniform_draws(self):
        for case in self.golden["uniforms"]:
            found = philox.uniforms(case["seed"], case["stream"], case["index"], case["position"], len(case["values"]))
            self.assertEqual(found.tolist(), np.float32(case["values"]).tolist())

    def test_normal_draws(self):
        for case in self.golden["normals"]:
            found = philox.normals(case["seed"], philox.INITIALISATION, case["index"], len(case["values"]))
            np.testing.assert_allclose(found, case["values"], rtol=1e-5, atol=1e-6)

    def test_held_out_samples_are_no_training_samples(self):
        for size, count in ((10, 5), (103, 7), (64, 0)):
            held_out = order.HeldOut(size, count)
            training = held_out.past(np.arange(held_out.training_size, dtype=np.uint64))
            self.assertEqual(sorted([*training.tolist(), *held_out.indices().tolist()]), [*range(size)])
        with self.assertRaises(ValueError):
            order.HeldOut(9, 5)

    def test_tokens_are_the_programs(self):
        tokenizer = bpe.Tokenizer(self.program.tokenizer())
        with tempfile.TemporaryDirectory() as folder:
            expected = self.program.token_ids(TEXTS, Path(folder), "--model", self.program.model)
        self.assertEqual([tokenizer.encode(text) for text in TEXTS], expected)

    def test_dropout_of_merges(self):
        tokenizer, text = bpe.Tokenizer(self.program.tokenizer()), TEXTS[0]
        never, always = (tokenizer.encode(text, bpe.Ignored(probability, 1, 2)) for probability in (0, 2))
        self.assertEqual(never, tokenizer.encode(text))
        self.assertEqual(len(always), len(text.replace(" ", "")) + len(text.split()))
        some = [tokenizer.encode(text, bpe.Ignored(0.5, 1, index)) for index in (2, 2, 3)]
        self.assertEqual(some[0], some[1])
        self.assertNotEqual(some[0], some[2])

    def test_masks_are_the_programs(self):
        text, grid, kernel = 5, 6, 3
        wraps = [("conv", wrap) for wrap in ("raster", "none", "rudalle-v2")]
        with tempfile.TemporaryDirectory() as folder:
            for kind, wrap in [("row", "none"), ("column", "none"), ("dense", "none"), *wraps]:
                table, config = Path(folder) / "mask.npy", {"grid": grid, "schedule": {"kernel": kernel, "wrap": wrap}}
                place = ["--text", text, "--grid", grid, "--kernel", kernel, "--wrap", wrap]
                self.program.run("masks", "--pattern", kind, *place, "--out", f"{folder}/mask.png", "--npy", table)
                np.testing.assert_array_equal(patterns.table_of(kind, text, config), np.load(table) != 0)
                config["text_length"] = text
                shorter = patterns.table_of(f"table:{table}", text - 2, config)
                np.testing.assert_array_equal(shorter, patterns.table_of(kind, text - 2, config))

    def test_schedules_of_layers(self):
        def entries(kind, layers):
            return "".join(entry[0] for entry in patterns.layer_entries({"layers": layers, "schedule": {"kind": kind}}))

        self.assertEqual(entries("paper", 6), "rcrrrc")
        self.assertEqual(patterns.layer_entries({"layers": 6, "schedule": {"kind": "paper"}})[5], "conv")
        self.assertEqual(patterns.layer_entries({"layers": 6, "schedule": {"kind": "rudalle"}})[5], "column")
        self.assertEqual(entries("dense", 3), "ddd")

    def test_shards_are_read_as_written(self):
        generator = np.random.default_rng(1)
        with tempfile.TemporaryDirectory() as folder:
            for grid, codes in itertools.product((1, 5, 16), (2, 512, 8192, 65536)):
                info = {"grid": grid, "codes": codes, "dvae_sha256": "", "tokenizer_sha256": ""}
                tokens = generator.integers(0, codes, (3, grid * grid))
                records = shards.Records(tokens, ["a", "caf\u00e9", ""], [0, 1, 2])
                shards.write_shard(f"{folder}/0.tokens", info, records)
                found_info, found = shards.read_shards(folder)
                self.assertEqual((found_info, found.captions), (info, records.captions))
                np.testing.assert_array_equal(found.tokens, tokens)
            data = bytearray(Path(f"{folder}/0.tokens").read_bytes())
            data[len(data) // 2] ^= 1
            Path(f"{folder}/0.tokens").write_bytes(data)
            with self.assertRaisesRegex(ValueError, "damaged"):
                shards.read_shards(folder)

    def test_rates(self):
        falling = {"kind": "linear", "first": 2.0, "last": 1.0, "warmup": 4, "begin": 8, "end": 12}
        rates = [settings.rate_at(falling, position) for position in (0, 3, 4, 8, 10, 12, 99)]
        self.assertEqual(rates, [0.5, 2, 2, 2, 1.5, 1, 1])
        self.assertEqual(settings.rate_at(0.25, 7), 0.25)
        with self.assertRaisesRegex(ValueError, "warmap"):
            settings.rate_at({"first": 1, "warmap": 3}, 0)
        with self.assertRaisesRegex(ValueError, "parabola"):
            settings.rate_at({"first": 1, "kind": "parabola"}, 0)

    def test_fields_that_are_not_known_are_refused(self):
        with self.assertRaisesRegex(ValueError, "normalised"):
            settings.architecture_from({"normalised": True})
        with self.assertRaisesRegex(ValueError, "rudalle_v2"):
            settings.architecture_from({"loss": "rudalle_v2"})

    def test_a_deadline_stretches_the_steps_over_the_time(self):
        now = [100.0]
        with mock.patch("time.monotonic", lambda: now[0]):
            ticks = clock.Deadline(steps=40, end=122.0)
            ticks.reserve(2.0)
            self.assertEqual(ticks.position(0), 0)
            now[0] = 105.0
            self.assertFalse(ticks.over(1))
            self.assertEqual(ticks.position(1), 10)
            now[0] = 114.5
            self.assertFalse(ticks.over(2))  # a step more may take 5 s, as the first
            now[0] = 119.5
            self.assertTrue(ticks.over(3))
            now[0] = 130.0
            self.assertEqual(ticks.position(4), 40)
            late = clock.Deadline(steps=40, end=122.0)
            self.assertEqual(late.position(0), 40)
            self.assertTrue(late.over(1))

    def test_models_begin_on_another_grid(self):
        config = settings.architecture_from({"layers": 1, "width": 2, "heads": 1, "grid": 4, "image_vocab": 3})
        arrays = start.initial({**config, "grid": 2}, 0)
        arrays["image_row.weight"] = np.float32([[0, 10], [4, 30]])
        fitted = start.fitted(arrays, config, "here")
        self.assertEqual(fitted["image_row.weight"].tolist(), [[0, 10], [1, 15], [3, 25], [4, 30]])
        with self.assertRaisesRegex(ValueError, "head.bias"):
            start.fitted({name: array for name, array in arrays.items() if name != "head.bias"}, config, "here")

    def test_a_model_is_written_whole(self):
        config = settings.architecture_from({"layers": 1, "width": 4, "heads": 1, "grid": 2, "image_vocab": 3})
        arrays = start.initial(config, 5)
        with tempfile.TemporaryDirectory() as folder:
            model_folder.write(f"{folder}/model", config, arrays, self.program.tokenizer())
            self.program.run("info", f"{folder}/model")
            found_config, found = formats.read_part(f"{folder}/model", "transformer")
            self.assertEqual(found_config, config)
            for name, array in start.from_model(config, f"{folder}/model").items():
                np.testing.assert_allclose(array, arrays[name], rtol=1e-3, atol=1e-6)
            self.assertEqual(len(list(Path(f"{folder}/model").iterdir())), 3)
            arrays["head.weight"][0, 0] = 1e6
            with self.assertRaisesRegex(ValueError, "head.weight"):
                model_folder.write(f"{folder}/model", config, arrays, self.program.tokenizer())


if __name__ == "__main__":
    Numbers.program = Program(sys.argv.pop(1), ROOT / "weights/default")
    unittest.main()
