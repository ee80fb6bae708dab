"""Exponential moving average of the parameters, early on their plain mean."""

import torch


class Average:
    def __init__(self, w, decay):
        self.w, self.decay, self.updates = w, decay, 0
        self.average = {name: tensor.detach().clone() for name, tensor in w.items()} if decay > 0 else None

    @torch.no_grad()
    def update(self):
        if self.average is None:
            return
        self.updates += 1
        decay = min(self.decay, 1 - 1 / (self.updates + 1))
        averages = list(self.average.values())
        torch._foreach_mul_(averages, decay)
        torch._foreach_add_(averages, [tensor.detach() for tensor in self.w.values()], alpha=1 - decay)

    def weights(self):
        """What to measure and to write."""
        return {name: tensor.detach() for name, tensor in (self.average or self.w).items()}
