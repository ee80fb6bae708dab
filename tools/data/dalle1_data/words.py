"""The few rules of English that captions need."""

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_IRREGULAR = {
    "mouse": "mice", "sheep": "sheep", "fish": "fish", "deer": "deer", "leaf": "leaves", "wolf": "wolves",
    "knife": "knives", "goose": "geese", "die": "dice", "cactus": "cactuses", "bus": "buses",
}  # fmt: skip


def with_article(phrase):
    """`a red circle`, `an orange star`, `a unicorn`."""
    vowel = phrase[0] in "aeiou" and not phrase.startswith(("uni", "one", "ufo"))
    return f"{'an' if vowel else 'a'} {phrase}"


def plural(phrase):
    """The plural of a noun phrase whose head is its last word, or the word before ` of ` or ` with `."""
    of = next((word for word in (" of ", " with ") if word in phrase), " of ")
    head, of, rest = phrase.partition(of)
    *before, noun = head.split(" ")
    if noun in _IRREGULAR:
        noun = _IRREGULAR[noun]
    elif noun.endswith(("s", "sh", "ch", "x")):
        noun += "es"
    elif noun.endswith("y") and noun[-2] not in "aeiou":
        noun = noun[:-1] + "ies"
    elif noun.endswith(("ato", "ango")):
        noun += "es"
    else:
        noun += "s"
    return " ".join([*before, noun]) + of + rest


def listed(items):
    """`a`, `a and b`, `a, b, and c`."""
    if len(items) < 3:
        return " and ".join(items)
    return ", ".join(items[:-1]) + ", and " + items[-1]


def on_background(name):
    return f" on {with_article(name)} background"
