"""Short forms for tests of manifests: problems as text, and fixes applied as an editor would."""

from __future__ import annotations

from spice_engine.pods.manifest import parse_manifest
from spice_engine.pods.problems import Problem


def short(problem: Problem) -> str:
    """`line:column severity code`."""
    place = problem.place
    return f"{place.line}:{place.column} {problem.severity} {problem.code}"


def problems(text: str, environment: dict[str, str] | None = None) -> list[str]:
    """All problems of a text in short form."""
    return [short(problem) for problem in parse_manifest(text, "pod.yaml", environment).problems]


def messages(text: str, environment: dict[str, str] | None = None) -> dict[str, str]:
    """The sentence of each problem, by `what stands there | severity code`.

    Of what goes over several lines only the first counts.
    """
    found: dict[str, str] = {}
    lines = text.splitlines()
    for problem in parse_manifest(text, "pod.yaml", environment or {}).problems:
        place = problem.place
        line = lines[place.line - 1]
        end = place.end_column - 1 if place.end_line == place.line else len(line)
        spot = f"{line[place.column - 1 : end]} | {problem.severity} {problem.code}"
        found[spot] = problem.message
    return found


def fixed(text: str, problem: Problem) -> str:
    """The text with a problem's fix applied."""
    assert problem.fix is not None, problem
    place = problem.fix.place
    lines = text.splitlines(keepends=True)
    before = "".join(lines[: place.line - 1]) + lines[place.line - 1][: place.column - 1]
    after = lines[place.end_line - 1][place.end_column - 1 :] + "".join(lines[place.end_line :])
    return before + problem.fix.text + after


def all_fixed(text: str) -> str:
    """The text after one fix after the other, until none is left."""
    for _ in range(50):
        found = [p for p in parse_manifest(text, "pod.yaml", {}).problems if p.fix]
        if not found:
            return text
        text = fixed(text, found[0])
    raise AssertionError("the fixes never end")
