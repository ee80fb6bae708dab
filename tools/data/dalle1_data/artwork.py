"""Emoji artwork: free packages from npm, drawn once into PNG files that the emoji kinds load."""

import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SIDE = 256
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="{left} {top} {width} {height}">{body}</svg>'
)


@dataclass(frozen=True)
class Style:
    """One design of the emoji: where it comes from, whom to credit, and what captions call it."""

    package: str
    version: str
    sha256: str
    title: str
    licence: str
    credit: str
    phrase: str


STYLES = {
    "noto": Style(
        "@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
        "Noto Emoji", "Apache-2.0", "Google LLC", "an emoji of",
    ),
    "blob": Style(
        "@iconify-json/noto-v1", "1.2.5", "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
        'Noto Emoji, first "blob" design', "Apache-2.0", "Google LLC", "a rounded cartoon of",
    ),
    "flat": Style(
        "@iconify-json/fluent-emoji-flat", "1.2.6", "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
        "Fluent Emoji, flat", "MIT", "Microsoft Corporation", "a flat illustration of",
    ),
    "3d": Style(
        "@lobehub/fluent-emoji-3d", "1.1.0", "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
        "Fluent Emoji, 3D", "MIT", "Microsoft Corporation", "a 3d render of",
    ),
    "twemoji": Style(
        "@iconify-json/twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
        "Twemoji", "CC-BY-4.0", "Twitter, Inc and other contributors", "a simple icon of",
    ),
    "emojione": Style(
        "@iconify-json/emojione", "1.2.3", "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
        "EmojiOne 2", "CC-BY-4.0", "EmojiOne", "clip art of",
    ),
}  # fmt: skip


class ArtworkError(RuntimeError):
    """Artwork could not be fetched, is not what was pinned, or is not there."""


def default_folder():
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "dalle1" / "artwork"


def fetch(folder, codes, styles, report=print):
    """Brings the pictures of the emoji `codes` in each style to folder/STYLE/CODE.png; those already there stay."""
    folder = Path(folder)
    with tempfile.TemporaryDirectory() as scratch:
        names = None
        for name in styles:
            missing = [code for code in codes if not (folder / name / f"{code}.png").exists()]
            if (folder / name / "complete").exists() or not missing:
                report(f"{name}: there already")
                continue
            names = names or icon_names(unpack(STYLES["noto"], Path(scratch)))
            drawn = draw_style(name, unpack(STYLES[name], Path(scratch)), folder, missing, names)
            (folder / name / "complete").touch()
            report(f"{name}: {drawn} pictures, {len(missing) - drawn} not in this style")


def unpack(style, scratch):
    """The folder of the unpacked package, after its checksum was compared."""
    target = scratch / style.package.replace("/", "-")
    if target.exists():
        return target / "package"
    done = subprocess.run(
        ["npm", "pack", "--silent", f"{style.package}@{style.version}"], cwd=scratch, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise ArtworkError(f"npm pack {style.package}@{style.version} failed: {done.stderr.strip()[-300:]}")
    archive = scratch / done.stdout.strip().splitlines()[-1]
    if hashlib.sha256(archive.read_bytes()).hexdigest() != style.sha256:
        raise ArtworkError(f"{archive.name} is not the file that was pinned (its SHA-256 differs)")
    with tarfile.open(archive) as tar:
        root = target.resolve()
        for member in tar.getmembers():
            if not member.isfile() or not (root / member.name).resolve().is_relative_to(root):
                raise ArtworkError(f"{archive.name} holds an entry that is not a plain file inside it: {member.name}")
        tar.extractall(target)
    return target / "package"


def plain_code(text):
    """A code point sequence without the variation selector, lower case, as the file names have it."""
    return "-".join(part for part in text.lower().split("-") if part != "fe0f")


def icon_names(package):
    characters = json.loads((package / "chars.json").read_text())
    return {plain_code(code): name for code, name in characters.items()}


def draw_style(name, package, folder, codes, names):
    """Draws the codes that this style has; returns how many."""
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    if name == "3d":
        return sum(convert_webp(package / "assets", code, target) for code in codes)
    icons = json.loads((package / "icons.json").read_text())
    own = icon_names(package)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(lambda code: draw_svg(icons, own.get(code) or names.get(code), target / f"{code}.png"), codes))


def draw_svg(icons, name, path):
    name = icons.get("aliases", {}).get(name, {}).get("parent", name)
    icon = icons["icons"].get(name)
    if icon is None:
        return False
    box = {key: icon.get(key, icons.get(key, default)) for key, default in
           (("left", 0), ("top", 0), ("width", 16), ("height", 16))}  # fmt: skip
    partial = path.with_suffix(".partial")
    side = str(SIDE)
    subprocess.run(
        ["rsvg-convert", "--width", side, "--height", side, "--keep-aspect-ratio", "--output", str(partial)],
        input=_SVG.format(body=icon["body"], **box).encode(), check=True,
    )  # fmt: skip
    os.replace(partial, path)
    return True


def convert_webp(assets, code, target):
    from PIL import Image

    for source in assets.glob(f"{code.split('-')[0]}*.webp"):
        if plain_code(source.stem) == code:
            image = Image.open(source).convert("RGBA")
            image.thumbnail((SIDE, SIDE), Image.LANCZOS)
            image.save(target / f"{code}.png")
            return True
    return False
