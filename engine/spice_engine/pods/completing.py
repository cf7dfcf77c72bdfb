"""What can be inserted at a place of a manifest: keys, values, and names in code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from spice_engine.learning.reward_syntax import ACTION_VALUE
from spice_engine.pods import schema
from spice_engine.pods.code_words import VALUE, Code
from spice_engine.pods.cursor import Cursor, chosen, find_cursor, key_at
from spice_engine.pods.feed_kinds import CONNECTORS, KINDS, third_party
from spice_engine.pods.outline import Outline
from spice_engine.pods.plan import LOCAL_CONNECTORS
from spice_engine.pods.ranking import best
from spice_engine.pods.schema_keys import Key
from spice_engine.pods.schema_params import SUMMARIES
from spice_engine.pods.yaml_brackets import Steps
from spice_engine.protocol.authoring import Completion, Completions, TextPosition

INDENT = 2
MAX_FILES = 500
MAX_FOLDERS = 200
_DATA = "data"
_OWN_NAMES = frozenset({"from", "name", "selector", "reward", "action"})
_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "sql": (".db", ".sqlite", ".sqlite3"),
    "csv": (".csv", ".csv.gz", ".tsv", ".txt"),
    "json": (".json", ".jsonl", ".ndjson"),
    "parquet": (".parquet",),
    "arrow": (".arrow", ".feather", ".ipc"),
}


def complete(place: TextPosition, root: Path) -> Completions:
    """What can be inserted at a place, best first. Blocks: it looks for files below `root`."""
    cursor = find_cursor(place.text, place.line, place.column)
    if cursor.kind == "comment":
        return Completions(cursor.column + 1, [])
    return _Completer(cursor, root).complete()


class _Completer:
    """Completes at one place."""

    def __init__(self, cursor: Cursor, root: Path) -> None:
        self._cursor = cursor
        self._root = root
        self._outline = Outline(cursor.scan)

    def complete(self) -> Completions:
        """All that fits what is typed."""
        cursor = self._cursor
        if cursor.kind == "code" and not self._names_a_function():
            line = cursor.scan.lines[cursor.line]
            skipped = self._code_start(line)
            code = Code(self._outline, cursor.steps)
            start, typed, found = code.complete(line[skipped : cursor.column], cursor.rest)
            return Completions(skipped + start + 1, best(found, typed))
        found = list(self._keys() if cursor.kind == "key" else self._values(cursor.steps))
        start = cursor.start
        typed = cursor.word
        if cursor.kind == "code":  # the name of a function
            start, typed = self._word_before()
        return Completions(start + 1, best(found, typed))

    def _names_a_function(self) -> bool:
        """Whether rewards are those of a file, so that `with` is a name and no code."""
        steps = self._cursor.steps
        file = self._cursor.scan.value("training", "reward_funcs")
        return bool(file) and steps[:2] == ("training", "rewards")

    def _word_before(self) -> tuple[int, str]:
        before = self._cursor.scan.lines[self._cursor.line][: self._cursor.column]
        typed = before.split()[-1] if before.split() and not before.endswith(" ") else ""
        return self._cursor.column - len(typed), typed

    def _code_start(self, line: str) -> int:
        """Where code begins on the cursor's line: behind its key, if that is there."""
        entry = self._cursor.scan.at(self._cursor.steps)
        if entry is None or entry.line != self._cursor.line:
            return 0
        start = min(entry.value_column, self._cursor.column)
        return start + 1 if line[start : start + 1] in ("'", '"') else start

    # -- keys

    def _keys(self) -> Iterator[Completion]:
        cursor = self._cursor
        steps = cursor.steps
        if cursor.item:
            steps = (*steps, len(cursor.scan.children(steps)))
            key = key_at(cursor.scan, steps)
            if key is not None and not schema.keys_at(steps):
                for one in self._values(steps):
                    yield Completion(one.label, f"- {one.insert}", one.kind, one.detail)
                return
        there = {
            one.key for one in cursor.scan.children(steps) if one.line != cursor.line or cursor.flow
        }
        there.discard(cursor.word if cursor.flow else None)
        for key in schema.keys_at(steps, chosen(cursor.scan, steps)):
            if key.name not in there:
                insert = self._insert(key)
                label = f"- {key.name}" if cursor.item else key.name
                yield Completion(
                    label, f"- {insert}" if cursor.item else insert, "key", _detail(key)
                )
        yield from self._names_as_keys(steps, there)

    def _insert(self, key: Key) -> str:
        """A key with what follows it: a line below for a mapping, a dash there for a list."""
        cursor = self._cursor
        if cursor.rest.lstrip().startswith(":"):
            return key.name
        if cursor.flow:
            return f"{key.name}: "
        column = cursor.indent + INDENT + (INDENT if cursor.item else 0)
        below = "\n" + " " * column
        if key.type == "mapping":
            return f"{key.name}:{below}"
        if key.path == "training.rewards" and key.values:
            return f"{key.name}:{below}- "
        if key.type == "list":
            return f"{key.name}:{below}- "
        if key.type == "code" and key.name in ("with", "reward_init"):
            if key.name == "with" and cursor.scan.value("training", "reward_funcs"):
                return f"{key.name}: "
            return f"{key.name}: |{below}"
        return f"{key.name}: "

    def _names_as_keys(self, steps: Steps, there: set[str | None]) -> Iterator[Completion]:
        """Fields in the states of a test, arguments of an action."""
        if steps[:2] == ("training", "reward_tests") and steps[-1] in (
            "current_state",
            "next_state",
        ):
            for one in self._outline.fields:
                if one.name not in there and one.dotted not in there:
                    yield Completion(one.name, f"{one.name}: ", "field", Code.detail(one))
        elif steps[:1] == ("actions",) and steps[-2:] == ("do", "args"):
            done = self._cursor.scan.value(*steps[:-1], "name").replace("/", ".")
            effect = next((one for one in self._outline.effects if one.path == done), None)
            if effect is not None:
                for name in Code(self._outline, effect.entry.steps).arguments():
                    if name not in there:
                        yield Completion(name, f"{name}: ", "key", f"args.{name} in {done}")

    # -- values

    def _values(self, steps: Steps) -> Iterator[Completion]:
        scan = self._cursor.scan
        key = key_at(scan, steps)
        if key is None:
            return
        found = [*self._names(steps), *self._files(key, steps)]
        yield from found
        values = schema.values_at(steps, chosen(scan, steps))
        for value in (*values, *_foreign(key)):
            kind = "connector" if value in CONNECTORS else "value"
            detail = SUMMARIES.get(value, "the default" if value == key.default else "")
            yield Completion(value, value, kind, detail)
        # What is called as one likes has no example worth inserting.
        if not values and not found and key.name not in _OWN_NAMES:
            yield from _examples(key)

    def _names(self, steps: Steps) -> Iterator[Completion]:
        """Actions, dataspace actions and fields that the manifest declares."""
        outline = self._outline
        match steps:
            case ("training", "rewards", int(), "reward"):
                mine = self._cursor.scan.value(*steps)
                taken = outline.rewarded() - {mine}
                for name, entry in outline.actions:
                    if name not in taken:
                        yield Completion(name, name, "action", f"line {entry.line + 1}")
            case ("training", "reward_tests", int(), "action"):
                for name, entry in outline.actions:
                    yield Completion(name, name, "action", f"line {entry.line + 1}")
            case ("actions", int(), "do", "name"):
                for one in outline.effects:
                    code = " ".join(outline.scan.code(one.entry).split())
                    yield Completion(one.path, one.path, "action", code[:80])
            case ("actions", int() as item, "do", "args", _):
                if outline.scan.at(("actions", item, "range")) is not None:
                    yield Completion(ACTION_VALUE, ACTION_VALUE, "value", VALUE)
                for one in outline.fields:
                    yield Completion(one.dotted, one.dotted, "field", Code.detail(one))
            case _:
                return

    def _files(self, key: Key, steps: Steps) -> Iterator[Completion]:
        name = chosen(self._cursor.scan, steps)
        if key.path == "training.reward_funcs":
            for path in _find_files(self._root, (".py",), depth=2):
                yield Completion(path, path, "value", "a Python file")
        elif key.name == "path" and steps[-2:] == ("params", "path") and name in LOCAL_CONNECTORS:
            feed = steps[:-3]
            processor = self._cursor.scan.value(*feed, "processor", "name")
            wanted = _SUFFIXES.get("sql" if name == "sql" else processor, ())
            files = list(_find_files(self._root / _DATA, ()))
            for path in sorted(files, key=lambda path: not path.endswith(wanted or ("",))):
                yield Completion(f"{_DATA}/{path}", f"{_DATA}/{path}", "value", "a file")


def _examples(key: Key) -> Iterator[Completion]:
    if key.example:
        yield Completion(key.example, key.example, "value", "an example")
    # Defaults of texts may be said in words: "its name".
    if key.default and key.type not in ("text", "code"):
        yield Completion(key.default, key.default, "value", "the default")


def _detail(key: Key) -> str:
    needed = "Required. " if key.required else ""
    default = f" Default: {key.default}." if key.default else ""
    return f"{needed}{key.meaning}{default}"


def _foreign(key: Key) -> tuple[str, ...]:
    """Connectors and processors of installed packages."""
    for what, (_, group) in KINDS.items():
        if key.path.endswith(f".{what}.name"):
            return tuple(sorted(third_party(group)))
    return ()


def _find_files(root: Path, suffixes: tuple[str, ...], depth: int = 6) -> Iterator[str]:
    """Files below a folder relative to it, hidden ones left out; MAX_FILES at most."""
    count = folders = 0
    for folder, names, files in os.walk(root):
        here = Path(folder).relative_to(root)
        folders += 1
        names[:] = sorted(name for name in names if not name.startswith((".", "__")))
        if len(here.parts) >= depth or folders >= MAX_FOLDERS:
            names.clear()
        for name in sorted(files):
            if name.startswith(".") or (suffixes and not name.endswith(suffixes)):
                continue
            yield (here / name).as_posix()
            count += 1
            if count >= MAX_FILES:
                return
