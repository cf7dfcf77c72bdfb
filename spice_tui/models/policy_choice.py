"""What can be compared of a pod: versions of its policy and algorithms, and which are marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from spice_engine.records import record
from spice_tui.models import scale
from spice_tui.models.comparison_view import MOST

if TYPE_CHECKING:
    from spice_engine.protocol.judging import LearningAlgorithm
    from spice_engine.protocol.packages import PolicyVersion

_NAME = 10


@record
class Choice:
    """One of them: its name as the engine is asked, what it is, and what it is called as well."""

    name: str
    detail: str
    aliases: tuple[str, ...] = ()


def choices(
    versions: Iterable[PolicyVersion], algorithms: Iterable[LearningAlgorithm]
) -> list[Choice]:
    """Versions, newest first, then algorithms."""
    return [
        *(_version(one) for one in versions),
        *(Choice(one.id, one.summary) for one in algorithms),
    ]


def _version(one: PolicyVersion) -> Choice:
    parts = [one.algorithm, f"of {scale.moment(int(one.created))}"]
    if one.held_out is not None:
        parts.append(f"{one.held_out:.1%} of the regret closed held out")
    if one.serving:
        parts.append("serves")
    parts += [alias for alias in one.aliases if alias != "latest"]
    return Choice(f"v{one.version}", ", ".join(parts), tuple(one.aliases))


class Choices:
    """What may be marked, and what is."""

    def __init__(self, every: Sequence[Choice], marked: Iterable[str]) -> None:
        self._every = tuple(every)
        names = {called: one.name for one in self._every for called in (one.name, *one.aliases)}
        found = dict.fromkeys(names[name] for name in marked if name in names)
        self._marked = list(found)[:MOST]
        if not self._marked:
            # The two newest versions are what one would most often know.
            self._marked = [one.name for one in self._every if _is_version(one.name)][:2]
        self.note = self._said()

    @property
    def first(self) -> int:
        """Where the cursor begins: at the first one that is not marked."""
        free = (i for i, one in enumerate(self._every) if one.name not in self._marked)
        return next(free, 0)

    @property
    def names(self) -> list[str]:
        """Those marked, in the order of the list."""
        return [one.name for one in self._every if one.name in self._marked]

    @property
    def enough(self) -> bool:
        """Whether there is something to compare."""
        return len(self._marked) >= 2

    def lines(self) -> list[str]:
        """One row each."""
        return [self.line(number) for number in range(len(self._every))]

    def line(self, number: int) -> str:
        """A row: mark, name and what it is."""
        one = self._every[number]
        mark = "[x]" if one.name in self._marked else "[ ]"
        return f"{mark} {one.name:<{_NAME}} {one.detail}"

    def toggle(self, number: int) -> None:
        """Mark one, or take its mark away."""
        name = self._every[number].name
        if name in self._marked:
            self._marked.remove(name)
        elif len(self._marked) < MOST:
            self._marked.append(name)
        else:
            self.note = f"{MOST} can be compared at once: take a mark away first."
            return
        self.note = self._said()

    def _said(self) -> str:
        if not self.enough:
            return "Mark two or more."
        text = f"Compares {', '.join(self.names)}."
        trained = [name for name in self.names if not _is_version(name)]
        return f"{text} Trains {', '.join(trained)} for it." if trained else text


def _is_version(name: str) -> bool:
    return name[:1] == "v" and name[1:].isdecimal()
