"""The training files of the race and of the training: the architecture that ships, on either grid."""

import json

from options import MODEL

FINE, COARSE = 32, 16
SHARES = {COARSE: 0.4, FINE: 0.6}  # of the time: text, colours and layout are learned on coarse grids, at a quarter of the cost
SCALE = 20_000  # steps over which schedules are written; the time stretches or shortens them
COMMON = {
    "accumulate": 1,
    "beta1": 0.9,
    "beta2": 0.96,
    "weight_decay": 0.045,
    "clip_norm": 1.0,
    "text_padding": False,
}


def part(settings, grid):
    """One part of the training. The rate falls in the fine part. All its samples have all text slots: a change of shape
    on the way would be compiled anew."""
    steps = settings.steps or SCALE
    rate = {"kind": "constant", "first": 0.003, "warmup": steps // 40}
    if grid == FINE:
        rate = {"kind": "linear", "first": 0.003, "last": 0, "warmup": steps // 100, "begin": steps // 3, "end": steps}
    return {
        **COMMON,
        "steps": steps,
        "batch": settings.batch,
        "learning_rate": rate,
        "ema_decay": 0.99,
        "text_slots": 0 if grid == FINE else 64,
        "full_text_from": 1.0,
        "text_dropout": 0.1,
        "bpe_dropout": 0.1,
        "validation": settings.validation,
        "log_every": 20,
        "evaluate_every": 1000,
        "checkpoint_every": 400,
    }


def race(batch, steps, text_slots):
    """Nothing by chance but the order of the samples: trainers that agree have equal losses."""
    return {
        **COMMON,
        "steps": steps,
        "batch": batch,
        "learning_rate": 0.001,
        "ema_decay": 0,
        "text_slots": text_slots,
        "full_text_from": 1.0,
        "text_dropout": 0,
        "bpe_dropout": 0,
        "validation": 0,
        "log_every": 1,
        "evaluate_every": steps,
        "checkpoint_every": steps,
    }


def write(path, grid, train):
    architecture = json.loads((MODEL / "model.json").read_text())["transformer"]["config"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**architecture, "grid": grid, "train": train}, indent=1) + "\n")
    return path
