"""Which positions attention sees, as tables of booleans (core/attention, transformer/layer_entry.h)."""

import numpy as np


def layer_entries(config):
    """An entry for each layer; the paper's schedule (appendix B) with layers counted from 0."""
    schedule, layers = config["schedule"], config["layers"]
    if schedule["kind"] == "list":
        return schedule["list"]
    if schedule["kind"] not in ("paper", "rudalle"):
        return [schedule["kind"]] * layers
    entries = ["column" if layer % 4 == 1 else "row" for layer in range(layers)]
    if schedule["kind"] == "paper" or entries[-1] == "row":
        entries[-1] = "conv"
    return entries


def table_of(entry, text, config):
    """[T, T] bool of an entry with `text` text positions: whether a query (down) sees a key (across)."""
    kind, _, rest = entry.partition(":")
    if kind == "table":
        return whole_table(rest, text, config)
    position = np.arange(text + config["grid"] ** 2)
    query, key = position[:, None], position[None, :]
    if kind == "dense":
        return key <= query
    cell = position[text:] - text
    seen = np.zeros((len(position), len(position)), bool)
    seen[text:, text:] = cells_seen(kind, rest, cell[:, None], cell[None, :], config)
    return (key <= query) & (seen | (key < text) | (query < text))


def cells_seen(kind, rest, query, key, config):
    grid, offset = config["grid"], query - key
    if kind == "row":
        return offset <= grid
    if kind == "column":
        return offset % grid == 0
    if kind != "conv":
        raise ValueError(f"attention pattern '{kind}' is not built here")
    kernel, _, wrap = rest.partition(":")
    reach, wrap = int(kernel or config["schedule"]["kernel"]) // 2, wrap or config["schedule"]["wrap"]
    if wrap == "raster":  # a window of raster offsets r * grid + c with 0 <= r <= reach, |c| <= reach
        return np.any([np.abs(offset - row * grid) <= reach for row in range(reach + 1)], axis=0)
    rows, columns = query // grid - key // grid, query % grid - key % grid
    if wrap == "rudalle-v2":  # both coordinates modulo the grid
        rows, columns = (np.minimum(abs(distance), grid - abs(distance)) for distance in (rows, columns))
    return (abs(rows) <= reach) & (abs(columns) <= reach)


def whole_table(path, text, config):
    """A table over text_length + cells positions in an .npy, without the text positions from `text` on."""
    table = np.load(path) != 0
    return np.delete(np.delete(table, np.s_[text : config["text_length"]], 0), np.s_[text : config["text_length"]], 1)
