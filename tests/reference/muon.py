"""Muon (Jordan et al. 2024) for the matrices of the layers: momentum made orthogonal by Newton-Schulz steps."""

import torch

STEPS, COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)


def orthogonalised(g):
    a, b, c = COEFFICIENTS
    x = g / torch.sqrt(g.square().sum() + 1e-14)
    if g.shape[0] > g.shape[1]:
        x = x.T
    for _ in range(STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if g.shape[0] > g.shape[1] else x


class Muon:
    @staticmethod
    def takes(name, tensor):
        return name.startswith("layers.") and tensor.ndim == 2

    def __init__(self, parameters, options):
        self.options = options
        self.state = [(name, tensor, torch.zeros_like(tensor)) for name, tensor in parameters.items()]

    @torch.no_grad()
    def step(self, rate):
        rate, momentum = rate * self.options["matrix_rate"], self.options["momentum"]
        for name, tensor, average in self.state:
            average.lerp_(tensor.grad, 1 - momentum)
            direction = (1 - momentum) * tensor.grad + momentum * average
            parts = direction.chunk(3) if name.endswith("qkv.weight") else [direction]
            factor = max(1.0, parts[0].shape[0] / parts[0].shape[1]) ** 0.5
            tensor.mul_(1 - rate * self.options["weight_decay"])
            tensor.sub_(rate * factor * torch.cat([orthogonalised(part) for part in parts]))
