"""Who made the artwork that the pictures contain, under which licence."""

from . import artwork, kinds

DRAWN = "Drawn by code (shapes, blocks, clocks, characters, portraits, landscapes, backgrounds): own work, CC0-1.0."


def notice(settings):
    lines = [
        "Pictures and captions made by tools/data/make_dataset.",
        "",
        "Kinds of pictures in this set: " + ", ".join(sorted(settings.weights)) + ".",
        "",
        DRAWN,
    ]
    if any(kind in kinds.EMOJI for kind in settings.weights):
        lines += [emoji_credit(artwork.STYLES[name]) for name in settings.styles]
    return "\n".join(lines) + "\n"


def emoji_credit(style):
    return (
        f"{style.title} ({style.package} {style.version}): {style.credit}, {style.licence}, "
        "changed (scaled, turned, mirrored, some recoloured, put on drawn backgrounds)."
    )
