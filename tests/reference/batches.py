"""Token shards and captions as batches of a training, the same as the product's trainer makes of them."""

import itertools
import signal

import numpy as np
import order
import philox
import shards
import torch
from bpe import Ignored


class Batches(torch.utils.data.Dataset):
    """Item n is micro-batch n of the training: text ids i32 [B, text_length], image tokens i32 [B, cells]."""

    def __init__(self, where, config, train, tokenizer):
        info, records = shards.read_shards(where)
        if (info["grid"], info["codes"]) != (config["grid"], config["image_vocab"]):
            raise ValueError(f"{where}: grids of {info['grid']} with {info['codes']} codes do not fit the architecture")
        if tokenizer.size > config["text_vocab"]:
            raise ValueError(f"the tokenizer has {tokenizer.size} tokens, the architecture {config['text_vocab']}")
        self.tokens, self.captions = records.tokens, records.captions
        self.config, self.train, self.tokenizer = config, train, tokenizer
        self.held_out = order.HeldOut(len(self.captions), train["validation"])
        self.order = order.SampleOrder(self.held_out.training_size, train["seed"])

    def __getitem__(self, number):
        positions = number * self.train["batch"] + np.arange(self.train["batch"], dtype=np.uint64)
        indices = self.held_out.past(self.order.indices(positions)).astype(np.int64)
        low, high = positions & philox.LOW, positions >> philox.HALF
        draws = philox.unit_interval(philox.blocks(self.train["seed"], philox.TEXT_DROPOUT, low, high, 0)[0])
        dropped = draws < np.float32(self.train["text_dropout"])
        ids = [[] if gone else self.ids_of(*pair) for gone, *pair in zip(dropped, indices, positions.tolist())]
        return self.slots(ids), self.tokens[indices].astype(np.int32)

    def ids_of(self, index, position):
        probability = self.train["bpe_dropout"]
        ignored = Ignored(probability, self.train["seed"], position) if probability > 0 else None
        return self.tokenizer.encode(self.captions[index], ignored)

    def slots(self, rows):
        """Padding has a token of its own at each position."""
        length = self.config["text_length"]
        text = np.tile(np.arange(length, dtype=np.int32) + self.config["text_vocab"], (len(rows), 1))
        for row, ids in zip(text, rows):
            row[: len(ids)] = ids[:length]
        return text

    def validation(self):
        """Batches of the held-out samples, captions whole."""
        indices = self.held_out.indices()
        for begin in range(0, len(indices), self.train["batch"]):
            part = indices[begin : begin + self.train["batch"]]
            text = self.slots([self.tokenizer.encode(self.captions[index]) for index in part])
            yield torch.from_numpy(text), torch.from_numpy(self.tokens[part].astype(np.int32))


def deaf_to_signals(worker):
    """Only the training itself is told to stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def stream(batches, workers, pin):
    """All micro-batches from the first on, made by `workers` processes ahead of time (0: when they are asked for)."""
    options = {"batch_size": None, "sampler": itertools.count(), "num_workers": workers, "pin_memory": pin}
    if workers:
        options |= {"worker_init_fn": deaf_to_signals, "multiprocessing_context": "fork", "prefetch_factor": 2}
    return iter(torch.utils.data.DataLoader(batches, **options))
