"""Random choices that depend on nothing but a name, so that picture i is the same on every machine and in any order."""

import hashlib
import random


class Rng:
    """A stream of choices named by its parts, e.g. Rng(seed, "train", "shape", 17, "draw").

    Only `random.Random.random` is used below: Python promises its sequence for a given integer seed across versions,
    which it does not for `choice`, `sample` or `shuffle`.
    """

    def __init__(self, *name):
        digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
        self._random = random.Random(int.from_bytes(digest[:8], "big")).random

    def chance(self, probability):
        return self._random() < probability

    def uniform(self, low, high):
        return low + (high - low) * self._random()

    def integer(self, low, high):
        """Both ends included."""
        return low + int((high - low + 1) * self._random())

    def choice(self, options):
        return options[int(len(options) * self._random())]

    def weighted(self, weights):
        """A key of the dictionary `weights`, drawn in proportion to its value."""
        rest = self._random() * sum(weights.values())
        for key, weight in weights.items():
            rest -= weight
            if rest < 0:
                return key
        return key

    def sample(self, options, count):
        pool = list(options)
        return [pool.pop(int(len(pool) * self._random())) for _ in range(count)]


def hashed_share(share, *parts):
    """Whether the combination `parts` falls into a fixed pseudo-random `share` of all combinations."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
