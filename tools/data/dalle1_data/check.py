"""Whether a picture shows its caption. Sees pixels and text only."""

import json
from pathlib import Path

from PIL import Image

from . import check_landscape, check_scenes, check_shapes
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


def check(image, caption):
    """{"right": True, False, or None where such captions cannot be checked, "why": text, "kind": name or None}."""
    parsed = parse(caption)
    if parsed is None:
        return {"right": None, "why": "captions of this kind cannot be checked", "kind": None}
    kind, spec = parsed
    try:
        CHECKS[kind](image, spec)
    except Wrong as wrong:
        return {"right": False, "why": str(wrong), "kind": kind}
    return {"right": True, "why": "", "kind": kind}


def check_file(path, caption):
    """As `check`; a picture that cannot be read has an "error" and `right` None."""
    try:
        with Image.open(path) as image:
            return check(image.convert("RGB"), caption)
    except OSError as error:
        return {"right": None, "why": f"cannot read {path}: {error}", "kind": None, "error": True}


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
        return {"right": None, "why": why, "kind": None, "error": True}
    return {"image": path, **check_file(path, caption)}


def read_captions(path):
    """The lines of a captions.jsonl that can be checked."""
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        record = json.loads(line)
        if not isinstance(record.get("image"), str) or not isinstance(record.get("caption"), str):
            raise ValueError(f"{path}, line {number}: no image or no caption")
        yield record
