"""Who made the artwork that the pictures contain, under which licence."""

DRAWN = "Drawn by code (shapes, blocks, clocks, characters, landscapes, backgrounds): own work, CC0-1.0."


def notice(kinds):
    lines = [
        "Pictures and captions made by tools/data/make_dataset.",
        "",
        "Kinds of pictures in this set: " + ", ".join(sorted(kinds)) + ".",
        "",
        DRAWN,
    ]
    return "\n".join(lines) + "\n"
