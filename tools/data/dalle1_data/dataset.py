"""Writes a data set: pictures, captions, held-out prompts and credits. A stopped run goes on where it was."""

import json
import multiprocessing
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import captions, credits, kinds
from .near_miss import near_misses
from .rng import Rng

HELD_OUT_EVERY = 4  # of the validation pictures, one in so many shows a held-out combination
PNG_EFFORT = 1  # zlib level: these pictures are flat, more effort gains little
CHUNK = 32
OTHERS = 1000  # of so many pictures after this one, one lends it its caption
PLAIN_TRIES = 8  # a prompt: some kinds have too few plain captions, and go on with other wordings
PROMPT_TRIES = 20


@dataclass
class Settings:
    """What the pictures depend on. Kept as dataset.json, so that a folder never mixes two settings."""

    count: int
    validation: int
    size: int = 256
    seed: int = 1
    weights: dict = field(default_factory=lambda: dict(kinds.WEIGHTS))
    styles: tuple = ("noto",)
    common_emoji: bool = False
    captions: str = "exact"


class SettingsError(ValueError):
    pass


def make_dataset(out, settings, jobs=1, prompts=200):
    captions.require_style(settings.captions, settings.weights)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    keep_settings(out / "dataset.json", settings)
    for split, count in (("train", settings.count), ("val", settings.validation)):
        write_split(out / split, split, count, settings, jobs)
    for name in ("dev", "test"):
        write_lines(out / f"prompts_{name}.jsonl", sample_prompts(name, prompts, settings))
    write_text(out / "NOTICE", credits.notice(settings))


def keep_settings(path, settings):
    kept = asdict(settings)
    if settings.captions == "exact":  # not said in sets that are older than the other styles
        del kept["captions"]
    text = json.dumps(kept, indent=1, default=list) + "\n"
    if path.exists() and path.read_text() != text:
        raise SettingsError(f"{path.parent} holds a data set of other settings (see {path}): choose another --out")
    write_text(path, text)


def record_of(split, index, settings):
    """The line of captions.jsonl for one picture, and its spec."""
    kind = Rng(settings.seed, split, "kind", index).weighted(settings.weights)
    held_out = split == "val" and index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return {"image": f"{index:06d}.png", **kinds.describe(settings.seed, split, kind, index, held_out)}


def styled_record(split, index, settings):
    """As `record_of`, with a caption of the style that the settings name."""

    def other(rng):
        near = index + rng.integer(1, OTHERS)  # whether or not the set is that long
        return record_of(split, near, settings)["caption"]

    record = record_of(split, index, settings)
    return captions.styled(record, settings.captions, (settings.seed, split, record["kind"], index), other)


def write_picture(job):
    """Draws one picture unless its file is there; returns its line of captions.jsonl."""
    folder, split, index, settings = job
    record = styled_record(split, index, settings)
    spec = record.pop("spec")
    path = folder / record["image"]
    if not path.exists():
        image = kinds.render(settings.seed, split, record["kind"], index, spec, settings.size)
        partial = path.with_suffix(".partial")
        image.save(partial, "PNG", compress_level=PNG_EFFORT)
        os.replace(partial, path)
    return record


def write_split(folder, split, count, settings, jobs):
    folder.mkdir(exist_ok=True)
    work = [(folder, split, index, settings) for index in range(count)]
    progress = Progress(split, count)
    records = []
    if jobs == 1:
        for job in work:
            records.append(write_picture(job))
            progress.step()
    else:
        with multiprocessing.Pool(jobs) as pool:
            for record in pool.imap(write_picture, work, CHUNK):
                records.append(record)
                progress.step()
    progress.finish()
    write_lines(folder / "captions.jsonl", records)


def sample_prompts(name, count, settings):
    """`count` prompts a kind, in distribution and held out each, the plain ones first.

    Dev and test share no caption. A kind with fewer captions repeats them with other seeds.
    """
    lines = []
    for kind in settings.weights:
        for held_out in (False, True):
            found = {}
            for index in range(PROMPT_TRIES * count):
                sampled = kinds.sample_spec(kind, Rng(settings.seed, "prompts", kind, held_out, index), held_out)
                if sampled is None:
                    break
                spec, why = sampled
                varied = Rng(settings.seed, "wording", index) if index > PLAIN_TRIES * count else None
                text = kinds.KINDS[kind].caption(spec, varied)
                if half_of(text) == name:
                    found.setdefault(text, (why, near_miss(kind, spec, index)))
                if len(found) == count:
                    break
            lines += prompt_lines(kind, held_out, found, count)
    return lines


def prompt_lines(kind, held_out, found, count):
    """`control` is a caption that the picture of the prompt must not show: a near miss, or the next prompt."""
    texts = list(found)
    for index in range(count if texts else 0):
        seed, place = divmod(index, len(texts))
        why, control = found[texts[place]]
        control = control or texts[(place + 1) % len(texts)]
        line = {"prompt": texts[place], "kind": kind, "held_out": held_out, "why": why, "control": control}
        yield {**line, "seed": seed} if seed else line


def near_miss(kind, spec, index):
    """The caption of one near miss of the spec, or None where the kind has none."""
    rng = Rng("control", kind, index)
    others = list(near_misses(kind, spec, rng).values())
    return kinds.KINDS[kind].caption(rng.choice(others)) if others else None


def half_of(text):
    return "dev" if Rng("half", text).chance(0.5) else "test"


def write_lines(path, records):
    write_text(path, "".join(json.dumps(record) + "\n" for record in records))


def write_text(path, text):
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    os.replace(partial, path)


class Progress:
    """One line on stderr, renewed every few seconds."""

    def __init__(self, name, count, every=5.0):
        self.name, self.count, self.every = name, count, every
        self.done, self.start, self.shown = 0, time.monotonic(), 0.0

    def step(self):
        self.done += 1
        if time.monotonic() - self.shown > self.every:
            self.show()

    def show(self):
        self.shown = time.monotonic()
        rate = self.done / max(1e-9, self.shown - self.start)
        left = (self.count - self.done) / max(1e-9, rate)
        print(f"{self.name}: {self.done} of {self.count}, {rate:.0f}/s, {left:.0f} s left", file=sys.stderr, flush=True)

    def finish(self):
        self.show()
