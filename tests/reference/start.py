"""Where a training begins: the product's own draws, or the parameters of a model."""

import json
import math
from pathlib import Path

import formats
import numpy as np
import philox
from settings import shapes


def initial(config, seed, zero_ends=False):
    """Normal draws of deviation 1 / (2 sqrt(width)), less at the end of each residual branch; the product's numbers.
    `zero_ends`: those ends and the head are zero."""
    deviation = np.float32(0.5 / math.sqrt(config["width"]))
    residual = np.float32(deviation / math.sqrt(2 * config["layers"]))
    arrays = {}
    for number, (name, shape) in enumerate(shapes(config).items()):
        if len(shape) < 2:
            arrays[name] = np.full(shape, name.endswith("norm.weight"), np.float32)
            continue
        end = name.endswith(("attention.output.weight", "mlp.down.weight"))
        if zero_ends and (end or name == "head.weight"):
            arrays[name] = np.zeros(shape, np.float32)
            continue
        draws = philox.normals(seed, philox.INITIALISATION, number, math.prod(shape))
        arrays[name] = ((residual if end else deviation) * draws).reshape(shape)
    return arrays


def from_model(config, path):
    """The transformer of a model folder, or a safetensors file, fitted to an architecture."""
    path = Path(path)
    if path.is_dir():
        path = path / json.loads((path / "model.json").read_text())["transformer"]["file"]
    return fitted(formats.read_safetensors(path)[1], config, path)


def fitted(arrays, config, source):
    """The same parameters, position embeddings interpolated where they are of another grid; else a ValueError."""
    arrays, expected = dict(arrays), shapes(config)
    for name in ("image_row.weight", "image_column.weight"):
        if name in arrays:
            arrays[name] = resampled(arrays[name], config["grid"])
    wrong = [name for name, shape in expected.items() if name not in arrays or arrays[name].shape != shape]
    wrong += sorted(arrays.keys() - expected.keys())
    if wrong:
        raise ValueError(f"{source}: '{wrong[0]}' does not fit the architecture, and {len(wrong) - 1} more")
    return {name: arrays[name] for name in expected}


def resampled(rows, grid):
    """[G, C] linearly interpolated at the centres of `grid` cells, as pictures are resized."""
    if len(rows) == grid:
        return rows
    centre = np.clip((np.arange(grid) + 0.5) * len(rows) / grid - 0.5, 0, len(rows) - 1)
    below = centre.astype(np.int64)
    above, share = np.minimum(below + 1, len(rows) - 1), (centre - below)[:, None]
    return ((1 - share) * rows[below] + share * rows[above]).astype(np.float32)
