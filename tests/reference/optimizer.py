"""The update of all parameters: the norm of the whole gradient clipped, then each rule on the parameters it is for."""

import adamw
import muon
import torch

# By name in a training file: a class with `takes(name, tensor)`, `__init__(parameters, options)` and `step(rate)`.
# AdamW takes what the named rule leaves.
RULES = {"adamw": adamw.AdamW, "muon": muon.Muon}


class Optimizer:
    def __init__(self, w, options):
        if options["optimizer"] not in RULES:
            raise ValueError(f"train.optimizer '{options['optimizer']}' is not built here; use {', '.join(RULES)}")
        self.w, self.clip_norm, self.rules = w, options["clip_norm"], []
        rest = w
        for rule in dict.fromkeys((RULES[options["optimizer"]], adamw.AdamW)):
            taken = {name: tensor for name, tensor in rest.items() if rule.takes(name, tensor)}
            rest = {name: tensor for name, tensor in rest.items() if name not in taken}
            self.rules.append(rule(taken, options))

    def gradient_norm(self):
        return torch.stack([tensor.grad.norm() for tensor in self.w.values()]).norm()

    def step(self, rate, norm):
        """`norm` is that of the gradient, a number."""
        if 0 < self.clip_norm < norm:
            torch._foreach_mul_([tensor.grad for tensor in self.w.values()], self.clip_norm / norm)
        for rule in self.rules:
            rule.step(rate)

    def clear(self):
        for tensor in self.w.values():
            tensor.grad = None
