#!/usr/bin/python3
"""What the PyTorch trainer does when a compiler fails, or computes something else: it says so and does without."""

import sys
import unittest
from unittest import mock

import attention
import compiled
import settings
import start
import torch
from transformer import Transformer

CONFIG = settings.architecture_from({
    "layers": 2, "width": 16, "heads": 2, "text_length": 6, "text_vocab": 11, "grid": 4, "image_vocab": 7,
    "schedule": {"kind": "list", "list": ["row", "column"]},
})  # fmt: skip
SLOTS = 4


class WrongMasks(attention.Dense):
    """Each layer has the other one's."""

    name = "flex"

    def masks(self, slots):
        return super().masks(slots)[::-1]


class Checks(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.said = []

    def attention_with(self, flex):
        with mock.patch.object(attention, "Flex", flex):
            found = attention.make("flex", CONFIG, torch.device("cpu"), torch.float32, SLOTS, self.said.append)
        return found.name

    def test_flex_that_agrees_is_used(self):
        self.assertEqual(self.attention_with(type("Same", (attention.Dense,), {"name": "flex"})), "flex")
        self.assertIn("agrees", self.said[0])

    def test_flex_that_differs_or_fails_is_not(self):
        self.assertEqual(self.attention_with(WrongMasks), "dense")
        self.assertRegex(self.said[0], f"^{attention.FAILED}: it differs by")
        absent = mock.Mock(side_effect=ImportError("no such module\nand\nthe\nrest"))
        self.assertEqual(self.attention_with(absent), "dense")
        self.assertEqual(self.said[1], f"{attention.FAILED}: ImportError: no such module and")

    def compiled_with(self, compiler):
        plain = attention.Dense(CONFIG, torch.device("cpu"), torch.float32)
        model = Transformer(CONFIG, plain.attend)
        w = {name: torch.from_numpy(array).requires_grad_() for name, array in start.initial(CONFIG, 0).items()}
        text, image = torch.randint(0, 11, (2, SLOTS)), torch.randint(0, 7, (2, 16))
        arguments = (plain.masks(SLOTS), text, image, False, True)
        with mock.patch.object(torch, "compile", compiler, create=True):
            return compiled.checked(model, w, arguments, torch.float32, self.said.append), model

    def test_a_compiled_step_that_agrees_is_used(self):
        quick, model = self.compiled_with(lambda function, dynamic: lambda *arguments: function(*arguments))
        self.assertIsNot(quick, model)
        self.assertIn("agrees", self.said[0])

    def test_a_compiled_step_that_differs_or_fails_is_not(self):
        quick, model = self.compiled_with(lambda function, dynamic: lambda *arguments: 1.001 * function(*arguments))
        self.assertIs(quick, model)
        self.assertRegex(self.said[0], "^WARNING: NOT COMPILED: a compiled step differs by")
        quick, model = self.compiled_with(mock.Mock(side_effect=RuntimeError("no compiler")))
        self.assertIs(quick, model)
        self.assertRegex(self.said[1], "^WARNING: NOT COMPILED: torch.compile failed .*: RuntimeError: no compiler")

    def test_the_text_loss_counts_to_the_first_padding(self):
        model = Transformer(CONFIG, None)
        text = torch.tensor([[3, 4, 13, 14], [11, 12, 13, 14], [1, 2, 3, 4]])
        self.assertEqual(model.counted(text, False).tolist(), [[1, 1, 0], [1, 0, 0], [1, 1, 1]])
        self.assertEqual(model.counted(text, True).sum().item(), 9)


if __name__ == "__main__":
    sys.exit(unittest.main())
