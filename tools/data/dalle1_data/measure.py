"""How good the check is: what it accepts of right pictures, and of pictures that are wrong by one attribute."""

import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from PIL import Image, ImageDraw

from . import kinds
from .check import CHECKS, Picture, check
from .describe import description
from .figures import outline
from .near_miss import near_misses
from .near_miss_clauses import wrong_descriptions
from .palette import COLOURS
from .rng import Rng
from .soften import soften

SEED = 77  # no training picture has it
HELD_OUT_EVERY = 4


class Tally:
    def __init__(self):
        self.accepted, self.asked, self.examples = Counter(), Counter(), []
        self.clauses, self.refused = Counter(), Counter()  # of right captions

    def add(self, what, right, example):
        self.asked[what] += 1
        self.accepted[what] += right
        if right != (not what.startswith("near miss")):
            self.examples.append((what, *example))


    def add_right(self, name, verdict, example):
        self.add(name, verdict["right"], (*example, verdict["why"]))
        self.clauses[name] += verdict["clauses"]
        self.refused[name] += verdict["refused"]


class Exact:
    """Captions as a set has them, and plain ones that are wrong."""

    kinds = tuple(CHECKS)

    def right(self, kind, index, record):
        return record["caption"]

    def wrong(self, kind, index, record):
        return wrong_captions(kind, record["spec"], index)


class Descriptive:
    kinds = kinds.GROUPS["described"]

    def right(self, kind, index, record):
        name = (SEED, "measure", kind, index)
        return description(kind, record["spec"], Rng(*name, "draw"), Rng(*name, "description"))

    def wrong(self, kind, index, record):
        return wrong_descriptions(kind, record["spec"], (SEED, "measure", kind, index))


STYLES = {"exact": Exact(), "descriptive": Descriptive()}


def softened(pictures):
    return [soften(picture) for picture in pictures]


def through_dvae(program):
    """A function as `softened`: what the dVAE of the program's default model makes of pictures, codes taken hard."""

    def reconstructed(pictures):
        with tempfile.TemporaryDirectory() as folder:
            names = [f"{folder}/{index}.png" for index in range(len(pictures))]
            for name, picture in zip(names, pictures):
                picture.save(name)
            codes = f"{folder}/codes.npy"
            for command in (["encode", *names, "--out", codes], ["decode", codes, "--out", f"{folder}/worn.png"]):
                subprocess.run([program, *command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
            worn = sorted(Path(folder).glob("worn*.png"), key=lambda path: (len(path.name), path.name))
            return [Image.open(path).convert("RGB") for path in worn]

    return reconstructed


def measure(kind, count, start=0, wear=softened, style=STYLES["exact"]):
    """Counts for `count` pictures of a kind: clean, worn by the function `wear`, and near misses of both."""
    tally = Tally()
    indices = range(start, start + count)
    records = [kinds.describe(SEED, "measure", kind, index, index % HELD_OUT_EVERY == 0) for index in indices]
    pictures = [kinds.render(SEED, "measure", kind, index, record["spec"], 256) for index, record in zip(indices, records)]
    for index, record, clean, worn in zip(indices, records, pictures, wear(pictures)):
        said = style.right(kind, index, record)
        for name, image in (("clean", clean), ("worn", worn)):
            picture = Picture(image)
            tally.add_right(name, picture.check(said), (index, said))
            for what, caption in style.wrong(kind, index, record):
                verdict = picture.check(caption)
                tally.add(f"near miss, {name}: {what}", verdict["right"], (index, said, caption))
            crowded = with_intruder(image, kind, index)
            if crowded:
                verdict = check(crowded, said)
                tally.add(f"near miss, {name}: a thing too many", verdict["right"], (index, said, ""))
    return tally


def wrong_captions(kind, spec, index):
    plain = kinds.KINDS[kind].caption
    for what, other in near_misses(kind, spec, Rng(SEED, "near miss", kind, index)).items():
        if plain(other) != plain(spec):
            yield what, plain(other)


def with_intruder(picture, kind, index):
    """The picture with a small shape more, in a corner that is free; None where there is none."""
    rng = Rng(SEED, "intruder", kind, index)
    corners = [(x, y) for x in (30, 226) for y in (30, 226)]
    for x, y in rng.sample(corners, 4):
        around = picture.crop((x - 26, y - 26, x + 26, y + 26))
        if max(high - low for low, high in around.getextrema()) > 40:
            continue
        background = around.getpixel((2, 2))
        colours = [name for name, rgb in COLOURS.items() if sum(abs(a - b) for a, b in zip(rgb, background)) > 150]
        crowded = picture.copy()
        points = outline(rng.choice(("circle", "square", "star", "heart")), x, y, 20)
        ImageDraw.Draw(crowded).polygon(points, fill=COLOURS[rng.choice(colours)])
        return crowded
    return None


def line_of(kind, tally):
    """The line of a Markdown table for a kind."""
    near = [what for what in tally.asked if what.startswith("near miss")]
    asked, accepted = sum(tally.asked[what] for what in near), sum(tally.accepted[what] for what in near)
    shares = [tally.accepted[name] / tally.asked[name] for name in ("clean", "worn")]
    shares += [tally.refused[name] / max(1, tally.clauses[name]) for name in ("clean", "worn")]
    clean, worn, *refused = shares
    columns = [kind, tally.asked["clean"], f"{clean:.1%}", f"{worn:.1%}", *(f"{share:.2%}" for share in refused)]
    return f"| {' | '.join(map(str, columns))} | {accepted} of {asked} |"


def near_misses_by_what(tally):
    """What was wrong: how many were asked, clean and worn, and how many accepted."""
    asked, accepted = Counter(), Counter()
    for name in tally.asked:
        if name.startswith("near miss"):
            what = name.split(": ", 1)[1]
            asked[what] += tally.asked[name]
            accepted[what] += tally.accepted[name]
    return {what: (accepted[what], asked[what]) for what in sorted(asked)}
