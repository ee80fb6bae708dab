"""Philox4x32-10 (Salmon et al. 2011) on arrays: every random number is a function of (seed, place)."""

import numpy as np

INITIALISATION, SHUFFLE, BPE_DROPOUT, TEXT_DROPOUT = 1, 5, 7, 8  # streams, as core/random/philox.h numbers them
LOW, HALF = np.uint64(2**32 - 1), np.uint64(32)


def blocks(seed, stream, index, position, draw):
    """Four 32-bit words for each place (arrays that broadcast), [4, n] uint64."""
    words = np.broadcast_arrays(*(np.atleast_1d(np.asarray(word, np.uint64)) for word in (index, position, draw)))
    a, (b, c, d) = np.full_like(words[0], stream), (word & LOW for word in words)
    key = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint64)
    for _ in range(10):
        first, second = np.uint64(0xD2511F53) * a, np.uint64(0xCD9E8D57) * c
        a, b = (second >> HALF) ^ b ^ key[0], second & LOW
        c, d = (first >> HALF) ^ d ^ key[1], first & LOW
        key = key + np.uint64([0x9E3779B9, 0xBB67AE85]) & LOW
    return np.stack([a, b, c, d])


def unit_interval(words):
    """Uniform f32 in (0, 1], from the upper 24 bits."""
    return ((words >> np.uint64(8)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-24)


def uniforms(seed, stream, index, position, count):
    """The first `count` draws of one place."""
    words = blocks(seed, stream, index, position, np.arange((count + 3) // 4))
    return unit_interval(words.T.reshape(-1)[:count])


def normals(seed, stream, index, count):
    """Standard normal draws (Box and Muller) of one place, f32."""
    radius, angle = uniforms(seed, stream, index, 0, 2 * count).reshape(count, 2).T
    return np.sqrt(np.float32(-2) * np.log(radius)) * np.cos(np.float32(2 * np.pi) * angle)
