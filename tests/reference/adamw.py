"""AdamW (Loshchilov and Hutter 2019) with decay of matrices only."""

import torch


class AdamW:
    @staticmethod
    def takes(name, tensor):
        return True

    def __init__(self, parameters, options):
        matrices = [tensor for tensor in parameters.values() if tensor.ndim >= 2]
        others = [tensor for tensor in parameters.values() if tensor.ndim < 2]
        on_gpu = next(iter(parameters.values())).is_cuda
        self.adam = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": options["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
            lr=0.0,
            betas=(options["beta1"], options["beta2"]),
            eps=1e-8,
            **({"fused": True} if on_gpu else {}),
        )

    def step(self, rate):
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()
