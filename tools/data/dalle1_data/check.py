"""Whether a picture shows its caption. Sees pixels and text only."""

import json
from functools import cached_property
from pathlib import Path

from PIL import Image

from . import check_clauses, check_landscape, check_scenes, check_shapes, check_sky, sentences
from .check_shapes import Wrong
from .parse import parse

CHECKS = {
    "shape": check_shapes.check_shape,
    "relation": check_shapes.check_relation,
    "count": check_shapes.check_count,
    "animal": check_scenes.check_animal,
    "clock": check_scenes.check_clock,
    "blocks": check_scenes.check_blocks,
    "landscape": check_landscape.check_landscape,
}


class Picture:
    """A picture to be judged. What is read of it, flat shapes or a landscape, is kept for all its captions."""

    def __init__(self, image):
        self.image = image
        self._refusals = {}  # by clause

    @cached_property
    def shapes(self):
        return check_clauses.Shapes(self.image)

    @cached_property
    def scene(self):
        return check_sky.Scene(self.image)

    def check(self, caption):
        """As `check` below."""
        parsed = parse(caption)
        clauses = [("caption", {"kind": parsed[0], "spec": parsed[1]})] if parsed else sentences.read_all(caption)
        if not clauses:
            return unchecked("captions of this kind cannot be checked")
        refusals = [why for why in map(self.refusal, clauses) if why is not None]
        return {
            "right": not refusals,
            "why": "; ".join(dict.fromkeys(refusals)),
            "kind": kind_of(clauses),
            "clauses": len(clauses),
            "refused": len(refusals),
        }

    def refusal(self, clause):
        """Why the picture does not show a clause, or None."""
        name = str(clause)
        if name not in self._refusals:
            try:
                self._judge(clause)
                self._refusals[name] = None
            except Wrong as wrong:
                self._refusals[name] = str(wrong)
        return self._refusals[name]

    def _judge(self, clause):
        if clause is None:
            raise Wrong("a sentence cannot be read")
        says, words = clause
        if says == "caption":
            CHECKS[words["kind"]](self.image, words["spec"])
        elif says in check_sky.JUDGES:
            check_sky.JUDGES[says](self.scene, words)
        else:
            check_clauses.JUDGES[says](self.shapes, words)


def check(image, caption):
    """{"right": True, False, or None where such captions cannot be checked, "why": text, "kind": name or None,
    "clauses": how many statements were judged, "refused": how many of them are wrong}.

    A caption is one clause, a description one a sentence; it is right when all are.
    """
    return Picture(image).check(caption)


def unchecked(why):
    return {"right": None, "why": why, "kind": None, "clauses": 0, "refused": 0}


def kind_of(clauses):
    """That of the sentence which is a caption by itself, or None."""
    return next((clause[1]["kind"] for clause in clauses if clause and clause[0] == "caption"), None)


def check_file(path, caption):
    """As `check`; a picture that cannot be read has an "error" and `right` None."""
    try:
        with Image.open(path) as image:
            return check(image.convert("RGB"), caption)
    except OSError as error:
        return {**unchecked(f"cannot read {path}: {error}"), "error": True}


def serve(lines, out):
    """One JSON request a line, one JSON answer a line, in order. Ends with the input."""
    for line in lines:
        if line.strip():
            out.write(json.dumps(answer(line)) + "\n")
            out.flush()


def answer(line):
    try:
        request = json.loads(line)
        path, caption = request["image"], request["caption"]
        if not isinstance(path, str) or not isinstance(caption, str):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        why = 'not a request: {"image": path, "caption": text} wanted'
        return {**unchecked(why), "error": True}
    return {"image": path, **check_file(path, caption)}


def read_captions(path):
    """The lines of a captions.jsonl that can be checked."""
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        record = json.loads(line)
        if not isinstance(record.get("image"), str) or not isinstance(record.get("caption"), str):
            raise ValueError(f"{path}, line {number}: no image or no caption")
        yield record
