"""Additions to a manifest's text: a dataspace, an action, rewards. Old spellings are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field

from spice_engine.errors import Conflict, InvalidRequest
from spice_engine.pods.edit import BOM, CannotEdit, add_item, check_yaml, put
from spice_engine.pods.manifest import parse_manifest
from spice_engine.pods.text_tree import TextNode, read_nodes
from spice_engine.pods.yaml_writer import Data
from spice_engine.records import record

ORDER = ("name", "params", "time", "dataspaces", "actions", "training")
"""The order in which a manifest is usually written."""

UNIFORM = "reward = 1"
_OLD_NAMES = {"dataspaces": "datasources"}
_PATH = re.compile(r"([^/.\s]+)[/.]([^/.\s]+)")
_SUFFIXES = {".json": "json", ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow"}


@record
class NewDataspace:
    """A dataspace to add. Measurements map names to columns (empty: of the same name).

    Without a connector data are pushed over HTTP; `local` has no data, only state.
    """

    path: str
    measurements: Mapping[str, str]
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    identifiers: Sequence[str] = ()
    connector: str = ""
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    processor: str = ""
    processor_params: Mapping[str, str] = field(default_factory=dict[str, str])
    local: bool = False

    def as_data(self) -> dict[str, Data]:
        """The entry of the manifest's list.

        Raises:
            InvalidRequest: the path is not FROM/NAME, or local state was given a connector.
        """
        match = _PATH.fullmatch(self.path)
        if match is None:
            raise InvalidRequest(
                f"{self.path[:200]!r} is no dataspace.",
                hint="Write FROM/NAME, as in sensors/garden.",
            )
        data: dict[str, Data] = {"from": match[1], "name": match[2]}
        if not self.local:
            data["data"] = self._feed()
        elif self.connector or self.params or self.processor or self.processor_params:
            raise InvalidRequest("local state has no data, and so no connector or processor.")
        if self.identifiers:
            data["identifiers"] = [{"name": name} for name in self.identifiers]
        data["measurements"] = [
            {"name": name, "selector": column} if column and column != name else {"name": name}
            for name, column in self.measurements.items()
        ]
        if self.categories:
            data["categories"] = [
                {"name": name, "values": list(values)} for name, values in self.categories.items()
            ]
        return {key: value for key, value in data.items() if value != []}

    def _feed(self) -> dict[str, Data]:
        feed: dict[str, Data] = {}
        if self.connector:
            feed["connector"] = _part(self.connector, self.params)
        elif self.params:
            raise InvalidRequest("these params belong to a connector, but none is named.")
        processor = self.processor or _processor_of(self.params.get("path", ""))
        if self.processor or processor != "csv" or self.connector in {"", "file", "http"}:
            feed["processor"] = _part(processor, self.processor_params)
        return feed


def _part(name: str, params: Mapping[str, str]) -> dict[str, Data]:
    return {"name": name, "params": dict(params)} if params else {"name": name}


def _processor_of(path: str) -> str:
    name = path.lower().removesuffix(".gz")
    return next((found for end, found in _SUFFIXES.items() if name.endswith(end)), "csv")


def add_dataspace(text: str, new: NewDataspace) -> str:
    """The manifest with a dataspace more.

    Raises:
        Conflict: it has one of that path.
        InvalidManifest, CannotEdit: as `edit.add_item`.
    """
    entry = new.as_data()
    root = _root(text)
    key = _key(root, "dataspaces")
    for item in _items(root, key):
        if all(_text(item, part).strip() == entry[part] for part in ("from", "name")):
            path = f"{entry['from']}/{entry['name']}"
            raise Conflict(f"the dataspace '{path}' is there already.")
    return add_item(text, [key], entry, ORDER)


def add_action(text: str, name: str, *, do: str = "", reward: str = "") -> str:
    """The manifest with an action more, and with its reward where rewards are a list.

    `do` names the dataspace action it runs (`from.name.action`); `reward` is code, or a function's
    name where rewards come from a file; by default the action is worth 1.

    Raises:
        Conflict: it has an action of that name.
        InvalidManifest, CannotEdit: as `edit.add_item`.
    """
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise InvalidRequest(f"{name[:200]!r} cannot name an action.")
    root = _root(text)
    key = _key(root, "actions")
    if any(_text(item, "name") == name for item in _items(root, key)):
        raise Conflict(f"the action '{name}' is there already.")
    entry: dict[str, Data] = {"name": name}
    if do:
        entry["do"] = {"name": do}
    text = add_item(text, [key], entry, ORDER)
    training, rewards = _rewards(_root(text))
    if rewards is None or rewards.kind != "sequence":
        if reward:
            raise InvalidRequest(
                "rewards are uniform: there is no list to add one to.",
                hint="Make one of them first: spice-tui rewards add.",
            )
        return text
    if any(_text(item, "reward") == name for item in rewards.children):
        return text
    return add_item(text, training, {"reward": name, "with": reward or UNIFORM})


def add_rewards(text: str, file: str) -> str:
    """The manifest with code for the reward of each action, in place of uniform rewards.

    Raises:
        Conflict: it has rewards, or no action yet.
        InvalidRequest: what it has for rewards is neither a list nor `uniform`.
        InvalidManifest, CannotEdit: as `edit.put`.
    """
    root = _root(text)
    path, rewards = _rewards(root)
    if rewards is not None and not rewards.is_null:
        if rewards.kind == "sequence" and rewards.children:
            raise Conflict("Pod already has rewards defined!")
        if rewards.kind != "sequence" and rewards.text.strip() != "uniform":
            raise InvalidRequest(
                "Rewards section malformed! It is 'uniform' or a list of rewards.",
                hint="Write 'rewards: uniform', then add rewards again.",
            )
    names = _action_names(text, file, root)
    if not names:
        raise Conflict(
            "the pod has no action yet, so there is nothing to reward.",
            hint="Add one first: spice-tui action add NAME.",
        )
    items: list[Data] = [{"reward": name, "with": UNIFORM} for name in names]
    if rewards is not None and rewards.kind == "sequence":
        for item in items:
            text = add_item(text, path, item)
        return text
    return put(text, path, items, ORDER)


def _action_names(text: str, file: str, root: TextNode | None) -> Sequence[str]:
    """Also the hoisted ones, where the manifest is good enough to know them."""
    manifest = parse_manifest(text, file).manifest
    if manifest is not None:
        return manifest.action_names
    names = [_text(item, "name") for item in _items(root, _key(root, "actions"))]
    return [name for name in dict.fromkeys(names) if name]


# -- looking into a text


def _root(text: str) -> TextNode | None:
    """The root mapping; None where the text is empty. Checks that the text is YAML."""
    check_yaml(text)
    root = read_nodes(text.removeprefix(BOM))
    if root is None or root.is_null:
        return None
    if root.kind != "mapping":
        raise CannotEdit("the manifest is no mapping of keys to values: it starts with name: ...")
    return root


def _key(node: TextNode | None, name: str) -> str:
    """The key as it is written: by its own name, an old one, or in other letters."""
    written = [key.text for key, _ in node.entries] if node else []
    for candidate in (name, _OLD_NAMES.get(name, name)):
        for key in written:
            if key.lower() == candidate:
                return key
    return name


def _rewards(root: TextNode | None) -> tuple[list[str], TextNode | None]:
    """The path of the rewards, and what stands there."""
    outer = _key(root, "training")
    training = root.value(outer) if root else None
    if training is None or training.kind != "mapping":
        return [outer, "rewards"], None
    inner = _key(training, "rewards")
    return [outer, inner], training.value(inner)


def _items(root: TextNode | None, key: str) -> list[TextNode]:
    found = root.value(key) if root else None
    return found.children if found is not None and found.kind == "sequence" else []


def _text(node: TextNode, key: str) -> str:
    found = node.value(_key(node, key)) if node.kind == "mapping" else None
    return found.text if found is not None and found.kind == "scalar" else ""
