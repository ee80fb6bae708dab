"""The styles of captions that a set may have: exact ones, those of the web, and long descriptions."""

from .alt_captions import alt_caption
from .describe import description
from .kinds import GROUPS
from .rng import Rng

STYLES = ("exact", "alt", "descriptive")


class NoDescription(ValueError):
    pass


def require_style(style, kinds):
    """NoDescription where `kinds` has one of which there are no descriptions."""
    missing = [kind for kind in kinds if kind not in GROUPS["described"]] if style == "descriptive" else []
    if missing:
        raise NoDescription(f"no descriptions of {', '.join(missing)}: use --kinds described")


def styled(record, style, name, other):
    """The record with a caption of the style, the exact one beside it as `exact`; `name` is that of the picture's draws,
    `other(rng)` the exact caption of another picture."""
    if style == "exact":
        return record
    kind, exact = record["kind"], record["caption"]
    if style == "alt":
        text, flaw = alt_caption(kind, exact, Rng(*name, "alt"), other)
        return {**record, "caption": text, "exact": exact, "flaw": flaw}
    text = description(kind, record["spec"], Rng(*name, "draw"), Rng(*name, "description"))
    return {**record, "caption": text, "exact": exact}
