"""The named parts of a manifest that may still be wrong: what there is, and where."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from spice_engine.pods.model import TIME_CATEGORIES
from spice_engine.pods.yaml_brackets import Entry, Steps
from spice_engine.pods.yaml_scan import Scan
from spice_engine.protocol.authoring import OutlineItem
from spice_engine.records import record

MAX_ITEMS = 5_000


@record
class Declared:
    """A field of the state, and the dataspace that it is of (empty: of the clock).

    `name` is as in reward code (`from_name_field`), `dotted` as in arguments (`from.name.field`),
    `short` as in the dataspace's own code; `entry` is where it stands, `local` whether actions
    change it.
    """

    name: str
    dotted: str
    short: str
    kind: str
    entry: Entry
    space: Steps = ()
    local: bool = False


@record
class Effect:
    """An action of a dataspace: `path` is `from.name.action`."""

    path: str
    name: str
    entry: Entry
    space: Steps


class Outline:
    """What a scanned manifest declares; parts without a name yet are left out."""

    def __init__(self, found: Scan) -> None:
        self.scan = found

    @cached_property
    def spaces(self) -> tuple[tuple[str, Entry], ...]:
        """The dataspaces as `from.name`, with their entries."""
        found: list[tuple[str, Entry]] = []
        for entry in self.scan.children(("dataspaces",)):
            source = self.scan.value(*entry.steps, "from")
            name = self.scan.value(*entry.steps, "name")
            if source and name:
                found.append((f"{source}.{name}", entry))
        return tuple(found)

    @cached_property
    def fields(self) -> tuple[Declared, ...]:
        """All fields, in the order of the text."""
        return tuple(self._fields())

    def _fields(self) -> Iterator[Declared]:
        for one in self.scan.children(("time", "categories")):
            for name in TIME_CATEGORIES.get(one.value, ()):
                yield Declared(name, name, name, "time", one)
        for prefix, space in self.spaces:
            stem = prefix.replace(".", "_")
            local = self.scan.at((*space.steps, "data")) is None
            for short, kind, entry in self._columns(space.steps):
                yield Declared(
                    f"{stem}_{short}", f"{prefix}.{short}", short, kind, entry, space.steps, local
                )

    def _columns(self, space: Steps) -> Iterator[tuple[str, str, Entry]]:
        for key in ("measurements", "fields"):
            for item in self.scan.children((*space, key)):
                name = self.scan.at((*item.steps, "name"))
                if name is not None and name.value:
                    yield name.value, "measurement", name
        for item in self.scan.children((*space, "categories")):
            category = self.scan.value(*item.steps, "name")
            for value in self.scan.children((*item.steps, "values")):
                if category and value.value:
                    yield f"{category}-{value.value}", "category", value
        for value in self.scan.children((*space, "tags", "values")):
            if value.value:
                yield value.value, "tag", value

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """The actions of dataspaces."""
        return tuple(
            Effect(f"{prefix}.{entry.key}", entry.key, entry, space.steps)
            for prefix, space in self.spaces
            for entry in self.scan.children((*space.steps, "actions"))
            if entry.key
        )

    @cached_property
    def actions(self) -> tuple[tuple[str, Entry], ...]:
        """The pod's actions by name, those of dataspaces that nothing does among them."""
        found: list[tuple[str, Entry]] = []
        done: set[str] = set()
        for item in self.scan.children(("actions",)):
            name = self.scan.at((*item.steps, "name"))
            done.add(self.scan.value(*item.steps, "do", "name").replace("/", "."))
            if name is not None and name.value:
                found.append((name.value, name))
        taken = {name for name, _ in found}
        found += [
            (one.name, one.entry)
            for one in self.effects
            if one.path not in done and one.name not in taken
        ]
        return tuple(found)

    def rewarded(self) -> frozenset[str]:
        """Actions that have a reward already."""
        rewards = self.scan.children(("training", "rewards"))
        return frozenset(self.scan.value(*one.steps, "reward") for one in rewards)

    def items(self) -> list[OutlineItem]:
        """The named parts in the order of the text, MAX_ITEMS at most."""
        found = [
            *(_item("dataspace", name.replace(".", "/"), entry) for name, entry in self.spaces),
            *(_item("field", one.name, one.entry) for one in self.fields if one.kind != "time"),
            *(_item("action", name, entry) for name, entry in self.actions),
            *self._laws(),
            *self._of_training("rewards", "reward", "reward"),
            *self._of_training("reward_tests", "action", "test"),
        ]
        found.sort(key=lambda item: (item.line, item.column))
        return found[:MAX_ITEMS]

    def _laws(self) -> Iterator[OutlineItem]:
        for _, space in self.spaces:
            for law in self.scan.children((*space.steps, "laws")):
                text = " ".join(self.scan.code(law).split())
                if text:
                    yield _item("law", text[:80], law)

    def _of_training(self, part: str, key: str, kind: str) -> Iterator[OutlineItem]:
        for item in self.scan.children(("training", part)):
            name = self.scan.at((*item.steps, key))
            if name is not None and name.value:
                yield _item(kind, name.value, name)


def _item(kind: str, name: str, entry: Entry) -> OutlineItem:
    """A part, at its name."""
    named = entry.key in ("name", "reward", "action") or entry.key is None
    if named and entry.value:
        return OutlineItem(kind, name, entry.value_line + 1, entry.value_column + 1)
    return OutlineItem(kind, name, entry.line + 1, entry.column + 1)
