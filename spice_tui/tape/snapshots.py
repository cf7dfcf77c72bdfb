"""Stored screens: compares new ones with them, tells the difference, and writes new ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from spice_engine.errors import SpiceError
from spice_tui.tape.results import Shot

MAX_REGION_ROWS = 12


class SnapshotStorage(SpiceError):
    """A snapshot cannot be read or written."""

    code = "snapshot_storage"
    exit_code = 10


@dataclass(slots=True)
class Snapshots:
    """The snapshots of one tape in `folder`; `update` writes instead of comparing."""

    folder: Path
    update: bool = False
    only: str = ""
    taken: dict[str, Shot] = field(default_factory=dict[str, Shot])

    def stored(self, name: str) -> str | None:
        """The text of a snapshot."""
        return _read(self.folder / f"{name}.txt")

    def wanted(self, name: str) -> bool:
        """Whether this one is to be compared."""
        return not self.only or self.only == name

    def take(self, name: str, text: str, svg: str) -> None:
        """Compare a screen with what is stored, or store it."""
        self.taken[name] = self._compare(name, self.folder / name, text, svg)

    def _compare(self, name: str, stem: Path, text: str, svg: str) -> Shot:
        pairs = (stem.with_name(f"{name}.txt"), text), (stem.with_name(f"{name}.svg"), svg)
        before_text, before_svg = (_read(path) for path, _ in pairs)
        if (before_text, before_svg) == (text, svg):
            return Shot(name, "same")
        if self.update:
            for path, content in pairs:
                _write(path, content)
            return Shot(name, "new" if before_text is None else "updated")
        if before_text is None:
            return Shot(name, "missing", "There is no snapshot yet; --update writes it.")
        if before_text != text:
            return Shot(name, "differs", describe(before_text, text, str(pairs[0][0])))
        what = "There is no picture yet" if before_svg is None else _colours(before_svg, svg)
        return Shot(name, "colours", f"The text is the same. {what}; --update writes it.")

    def output(self, path: Path, content: str) -> None:
        """Compare one more file, or store it."""
        before = _read(path)
        name = path.name
        if before == content:
            self.taken[name] = Shot(name, "same")
        elif self.update:
            _write(path, content)
            self.taken[name] = Shot(name, "new" if before is None else "updated")
        elif before is None:
            self.taken[name] = Shot(name, "missing", f"{path} is not there; --update writes it.")
        elif path.suffix == ".svg":
            text = f"The picture {path} is another one; --update writes it."
            self.taken[name] = Shot(name, "differs", text)
        else:
            self.taken[name] = Shot(name, "differs", describe(before, content, str(path)))

    def left_over(self, names: Iterable[str]) -> None:
        """Note snapshots that the tape does not take any more; `update` removes them."""
        known = set(names)
        if self.only or not self.folder.is_dir():
            return
        for path in sorted(self.folder.iterdir()):
            if path.suffix not in {".txt", ".svg"} or path.stem in known:
                continue
            if self.update:
                path.unlink(missing_ok=True)
            else:
                text = f"The tape takes no screenshot {path.stem!r}; --update removes it."
                self.taken[path.stem] = Shot(path.stem, "left over", text)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotStorage(f"{path} cannot be read: {error.strerror}.") from error


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode(errors="replace"))
    except OSError as error:
        raise SnapshotStorage(
            f"{path} cannot be written: {error.strerror}.", hint="Name a folder: --snapshots DIR."
        ) from error


def _colours(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.split("\n"), after.split("\n"), n=0, lineterm="")
    count = sum(1 for line in lines if line.startswith("+") and not line.startswith("+++"))
    return f"Colours or styles differ ({count} lines of the picture)"


def describe(before: str, after: str, name: str) -> str:
    """The difference of two screens: a unified diff, and the region that differs, marked."""
    old, new = before.removesuffix("\n").split("\n"), after.removesuffix("\n").split("\n")
    diff = difflib.unified_diff(old, new, name, "the screen now", n=1, lineterm="")
    return "\n".join([*diff, "", *_region(old, new)])


def _region(old: list[str], new: list[str]) -> list[str]:
    """The rows and columns that differ, before and after, with marks below what differs."""
    height = max(len(old), len(new))
    old, new = ([*lines, *[""] * (height - len(lines))] for lines in (old, new))
    rows = [row for row in range(height) if old[row] != new[row]]
    columns = [column for row in rows for column in _differing(old[row], new[row])]
    left, right = min(columns), max(columns) + 1
    picture = [f"Rows {rows[0] + 1} to {rows[-1] + 1}, columns {left + 1} to {right} differ."]
    for row in rows[:MAX_REGION_ROWS]:
        marks = set(_differing(old[row], new[row]))
        picture += [
            f"{row + 1:>4} was {old[row][left:right]}",
            f"     now {new[row][left:right]}",
            "         " + "".join("^" if c in marks else " " for c in range(left, right)).rstrip(),
        ]
    if len(rows) > MAX_REGION_ROWS:
        picture.append(f"… and {len(rows) - MAX_REGION_ROWS} more rows.")
    return picture


def _differing(old: str, new: str) -> list[int]:
    width = max(len(old), len(new))
    pairs = zip(old.ljust(width), new.ljust(width), strict=True)
    return [column for column, (one, other) in enumerate(pairs) if one != other]
