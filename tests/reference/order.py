"""Which sample a training reads at each position, and which samples are held out."""

import numpy as np
import philox

ROUNDS = 6


class SampleOrder:
    """A permutation of [0, size) anew for each epoch, without a list: a Feistel network of 4^half places, whose cycle
    is followed until it enters [0, size) again (core/data/sample_order.h)."""

    def __init__(self, size, seed):
        self.size, self.seed = np.uint64(size), seed
        self.half = np.uint64(max(4, ((size - 1).bit_length() + 1) // 2))

    def indices(self, positions):
        positions = np.asarray(positions, np.uint64)
        place, epoch = positions % self.size, positions // self.size
        place = self.permuted(place, epoch)
        while (outside := place >= self.size).any():
            place[outside] = self.permuted(place[outside], epoch[outside])
        return place

    def permuted(self, place, epoch):
        mask = (np.uint64(1) << self.half) - np.uint64(1)
        left, right = place >> self.half, place & mask
        for turn in range(ROUNDS):
            noise = philox.blocks(self.seed, philox.SHUFFLE, epoch, turn, right)[0]
            left, right = right, left ^ (noise & mask)
        return left << self.half | right


class HeldOut:
    """`count` of `size` samples, evenly spaced, are for validation; training counts on past them."""

    def __init__(self, size, count):
        self.count, self.stride = count, size // count if count else 0
        if count and self.stride < 2:
            raise ValueError(f"validation: {count} of {size} samples cannot be held out; give fewer or more data")
        self.training_size = size - count

    def indices(self):
        return np.arange(self.count) * self.stride

    def past(self, places):
        """The samples behind places among those that are left."""
        if not self.count:
            return places
        return places + np.minimum(places // np.uint64(self.stride - 1) + np.uint64(1), np.uint64(self.count))
