"""Training files: JSON with the architecture of a transformer and a `train` object, as `dalle1 train` reads them."""

import json
import math
from pathlib import Path

ARCHITECTURE = {
    "layers": 12,
    "width": 320,
    "heads": 5,
    "text_length": 256,
    "text_vocab": 16384,
    "grid": 32,
    "image_vocab": 8192,
    "mlp_ratio": 4,
    "activation": "gelu_tanh",
    "sandwich_norm": False,
    "head_norm": False,
    "qk_norm": False,
    "rotary": False,
    "embedding_norm": False,
    "norm_eps": 1e-05,
    "start": "none",
    "start_token": 2,
    "layout": "plain",
    "loss": "paper",
    "image_weight": 7.0,
    "dropout": 0.0,
    "schedule": {"kind": "paper", "kernel": 11, "wrap": "raster"},
}
TRAIN = {
    "steps": 1000,
    "learning_rate": 1.0,
    "optimizer": "adamw",
    "beta1": 0.9,
    "beta2": 0.999,
    "weight_decay": 0.0,
    "clip_norm": 0.0,
    "matrix_rate": 5.0,
    "momentum": 0.95,
    "ema_decay": 0.999,
    "accumulate": 1,
    "seed": 0,
    "log_every": 10,
    "evaluate_every": 500,
    "checkpoint_every": 500,
    "batch": 16,
    "text_slots": 0,
    "full_text_from": 0.85,
    "text_dropout": 0.1,
    "bpe_dropout": 0.1,
    "text_padding": False,
    "checkpoint_blocks": False,
    "compute": "",
    "validation": 64,
    "zero_ends": False,
}
# What ru-dalle has and this trainer does not.
ONLY = {"start": "none", "layout": "plain", "loss": "paper"}


def filled(given, defaults, what):
    unknown = sorted(given.keys() - defaults.keys())
    if unknown:
        raise ValueError(f"{what}: '{unknown[0]}' is not a known field here")
    return {**defaults, **given}


def architecture_from(given):
    config = filled(given, ARCHITECTURE, "architecture")
    config["schedule"] = filled(config["schedule"], {**ARCHITECTURE["schedule"], "list": []}, "schedule")
    if not config["schedule"]["list"]:
        del config["schedule"]["list"]
    for field, value in ONLY.items():
        if config[field] != value:
            raise ValueError(f"architecture: {field} '{config[field]}' is not built here, only '{value}'")
    return config


def shapes(config):
    """Shape of each parameter by name, in the product's order."""
    width, inner = config["width"], config["mlp_ratio"] * config["width"]
    text = config["text_vocab"] + config["text_length"]
    found = {"text_embedding.weight": (text, width), "text_position.weight": (config["text_length"], width)}
    found["image_embedding.weight"] = (config["image_vocab"], width)
    found["image_row.weight"] = found["image_column.weight"] = (config["grid"], width)

    def add(name, outputs, *inputs):
        found[name + ".weight"], found[name + ".bias"] = (outputs, *inputs), (outputs,)

    for layer in range(config["layers"]):
        name = f"layers.{layer}."
        add(name + "attention_norm", width)
        add(name + "attention.qkv", 3 * width, width)
        add(name + "attention.output", width, width)
        if config["sandwich_norm"]:
            add(name + "attention_post_norm", width)
        add(name + "mlp_norm", width)
        add(name + "mlp.up", inner, width)
        add(name + "mlp.down", width, inner)
        if config["sandwich_norm"]:
            add(name + "mlp_post_norm", width)
    add("final_norm", width)
    if config["head_norm"]:
        add("head_norm", width)
    add("head", text + config["image_vocab"], width)
    return found


def read_training_file(path):
    """Architecture and train object, each with all fields."""
    given = json.loads(Path(path).read_text())
    if "train" not in given:
        raise ValueError(f"{path}: it has no 'train' object")
    train = filled(given.pop("train"), TRAIN, f"{path}: train")
    config = architecture_from(given)
    train["text_slots"] = train["text_slots"] or config["text_length"]
    return config, train


def rate_at(schedule, position):
    """The learning rate at a step, or at a place between steps (core/train/schedule.h)."""
    if not isinstance(schedule, dict):
        return float(schedule)
    defaults = {"kind": "constant", "first": None, "last": None, "warmup": 0, "begin": 0, "end": 0}
    fields = filled(schedule, defaults, "learning_rate")
    first, last = fields["first"], fields["last"]
    if first is None or fields["kind"] not in ("constant", "linear", "cosine"):
        raise ValueError(f"learning_rate: {schedule} has no 'first', or a kind that is not constant, linear or cosine")
    share = min(1.0, max(0.0, (position - fields["begin"]) / max(1, fields["end"] - fields["begin"])))
    share = {"constant": 0.0, "linear": share, "cosine": 0.5 * (1 - math.cos(math.pi * share))}[fields["kind"]]
    value = first + ((first if last is None else last) - first) * share
    return value * min(1.0, (position + 1) / max(1, fields["warmup"]))
