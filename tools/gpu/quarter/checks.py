"""The program's own checks on the GPU, each in a process of its own: one that fails or hangs takes no other along."""

import re

SECONDS = 30.0


def names_in(listing):
    """Test cases as doctest lists them."""
    return [line for line in listing.splitlines() if line and not line.startswith(("[doctest]", "===="))]


def filter_of(name):
    """doctest's filter for one name: a comma or a quote in it would end the name."""
    return "-tc=" + re.sub(r'[,"\\]', "?", name)


def verdict(ended):
    if not ended.good:
        return ended.status if ended.status == "cut" else f"failed, {ended.status}"
    return "skipped" if "skipped:" in ended.output else "passed"


def last_figure(output):
    """The last line with a number that is not doctest's own."""
    lines = [line for line in output.splitlines() if re.search(r"\d", line) and not line.startswith("[doctest]")]
    return lines[-1].strip()[-200:] if lines else ""


async def run(machine, facts):
    listing = await machine.run("checks_list", [machine.tests, "-ltc", f"-tc={machine.settings.checks}"], SECONDS,
                                machine.own_libraries())
    names = names_in(listing.output)
    if not names:
        facts.add("checks", "none", listing.last_line)
    for number, name in enumerate(names):
        ended = await machine.run(f"check_{number:02}", [machine.tests, filter_of(name)], SECONDS, machine.own_libraries())
        facts.add("checks", name, f"{verdict(ended)}; {ended.seconds:.1f} s; {last_figure(ended.output)}")
    facts.add("checks", "run", f"{len(names)} of {len(names)}")
