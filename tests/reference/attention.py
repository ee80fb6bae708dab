"""Ways to compute attention under a table of what is seen; all give the same numbers, and each has masks of its own."""

import math
import time

import patterns
import torch
import torch.nn.functional as F
from compiled import in_one_line


class Dense:
    """Every score is computed; a bias of -inf hides what is not seen."""

    name = "dense"

    def __init__(self, config, device, compute):
        self.config, self.device, self.compute, self.made = config, device, compute, {}

    def masks(self, slots):
        """One for each layer, made once: layers with one pattern share it."""
        if slots not in self.made:
            entries = patterns.layer_entries(self.config)
            tables = {entry: patterns.table_of(entry, slots, self.config) for entry in entries}
            masks = {entry: self.mask(torch.from_numpy(table).to(self.device)) for entry, table in tables.items()}
            self.made[slots] = [masks[entry] for entry in entries]
        return self.made[slots]

    def mask(self, table):
        bias = torch.zeros(table.shape, dtype=self.compute, device=self.device)
        return bias.masked_fill_(~table, -math.inf)

    def attend(self, q, k, v, mask):
        if hasattr(F, "scaled_dot_product_attention"):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + mask
        return scores.softmax(-1) @ v


class Flex(Dense):
    """FlexAttention: a compiled kernel that skips blocks of keys that no query of a block sees."""

    name = "flex"

    def __init__(self, config, device, compute):
        super().__init__(config, device, compute)
        from torch.nn.attention import flex_attention

        self.module, self.compiled = flex_attention, torch.compile(flex_attention.flex_attention, dynamic=False)

    def mask(self, table):
        def seen(batch, head, query, key):
            return table[query, key]

        return self.module.create_block_mask(seen, None, None, *table.shape, device=self.device)

    def attend(self, q, k, v, mask):
        return self.compiled(q, k, v, block_mask=mask)


FAILED = "WARNING: FLEX ATTENTION FAILED ITS CHECK, dense attention instead"
LARGEST_DIFFERENCE = {torch.bfloat16: 2e-2, torch.float32: 1e-4}  # relative


def output_and_gradients(attention, inputs, mask):
    leaves = [part.clone().requires_grad_() for part in inputs]
    output = attention.attend(*leaves, mask)
    return [output, *torch.autograd.grad(output.float().square().sum(), leaves)]


def difference_to_dense(flex, dense, slots):
    """The largest of any layer's output and gradients: length of the difference by length of the whole."""
    config, worst, seen = flex.config, 0.0, []
    shape = (2, config["heads"], slots + config["grid"] ** 2, config["width"] // config["heads"])
    inputs = [torch.randn(shape, device=flex.device).to(flex.compute) for _ in range(3)]
    for ours, plain in zip(flex.masks(slots), dense.masks(slots)):
        if any(mask is plain for mask in seen):
            continue
        seen.append(plain)
        found, expected = (output_and_gradients(*pair) for pair in ((flex, inputs, ours), (dense, inputs, plain)))
        for a, b in zip(found, expected):
            worst = max(worst, ((a.float() - b.float()).norm() / b.float().norm()).item())
    return worst


def make(kind, config, device, compute, slots, say):
    """Attention of a kind; flex only after it has agreed with dense, else dense with a loud word."""
    dense = Dense(config, device, compute)
    if kind == "dense":
        return dense
    begin = time.monotonic()
    try:
        flex = Flex(config, device, compute)
        difference = difference_to_dense(flex, dense, slots)
    except Exception as error:  # whatever a compiler throws
        say(f"{FAILED}: {in_one_line(error)}")
        return dense
    if not difference <= LARGEST_DIFFERENCE[compute]:
        say(f"{FAILED}: it differs by {difference:.2g}, relative (limit {LARGEST_DIFFERENCE[compute]:g})")
        return dense
    say(f"flex attention agrees with dense to {difference:.2g}, checked in {time.monotonic() - begin:.1f} s")
    return flex
