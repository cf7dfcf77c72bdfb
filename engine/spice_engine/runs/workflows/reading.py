"""A workflow's file: read, checked, and every finding told with its line and column. Blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spice_engine import yaml_tree
from spice_engine.errors import InvalidRequest, InvalidWorkflow, NotFound, Place, StorageError
from spice_engine.records import record
from spice_engine.runs.workflows import plan as planning
from spice_engine.runs.workflows.model import Scalar, WorkflowSpec
from spice_engine.runs.workflows.plan import Plan, PlanError

FOLDER = "workflows"
SUFFIXES = (".yaml", ".yml")
_PARAM = re.compile(r":[A-Za-z_][A-Za-z0-9_.-]*: ")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@record
class Declared:
    """A workflow as its file says; `file` is relative to the app folder."""

    name: str
    file: str
    text: str
    spec: WorkflowSpec
    plan: Plan


def locate(root: Path, wanted: str) -> str:
    """The file, relative to the app folder, of a path in it or of a name in `workflows/`.

    Raises:
        NotFound: there is none.
        InvalidRequest: it lies elsewhere.
    """
    if not wanted or "\0" in wanted:
        raise InvalidRequest("a workflow needs a file.", hint="Such as workflows/train.yaml.")
    named = [wanted]
    if _NAME.fullmatch(wanted):
        named += [f"{FOLDER}/{wanted}", *(f"{FOLDER}/{wanted}{suffix}" for suffix in SUFFIXES)]
    for path in named:
        found = _file(root / path)
        if found is not None:
            if not found.is_relative_to(root.resolve()):
                raise InvalidRequest(
                    f"{wanted[:200]!r} lies outside of the app folder.",
                    hint=f"Copy it to {FOLDER}/.",
                )
            return str(found.relative_to(root.resolve()))
    there = ", ".join(
        sorted(
            path.stem
            for suffix in SUFFIXES
            for path in (root / FOLDER).glob(f"*{suffix}")
            if path.is_file()
        )
    )
    raise NotFound(
        f"there is no workflow {wanted[:200]!r}.",
        hint=f"There are: {there}." if there else f"Write {FOLDER}/NAME.yaml.",
    )


def _file(path: Path) -> Path | None:
    try:
        found = path.resolve()
        return found if found.is_file() else None
    except (OSError, RuntimeError):  # too long a name, a loop of links
        return None


def read(root: Path, file: str, given: Mapping[str, Scalar]) -> Declared:
    """The workflow in a file of the app folder, with `given` for its params.

    Raises:
        InvalidWorkflow: something in it is wrong; the first finding is in the message.
        StorageError: the file cannot be read.
    """
    try:
        data = (root / file).read_bytes()
    except OSError as error:
        raise StorageError(
            f"{file} cannot be read: {error.strerror}.", hint="Look at its permissions."
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidWorkflow(f"{file} is not UTF-8 text.") from error
    return parse(text, file, given)


def parse(text: str, file: str, given: Mapping[str, Scalar]) -> Declared:
    """The workflow that a text says.

    Raises:
        InvalidWorkflow: something in it is wrong.
    """
    try:
        tree, errors = yaml_tree.read_tree(text, file)
    except yaml_tree.YamlError as error:
        raise _invalid([(error.place, _said(error, text))]) from error
    if errors:
        raise _invalid([(error.place, error.message) for error in errors])
    if not isinstance(tree, yaml_tree.Mapping):
        place = Place(file, 1, 1) if tree is None else tree.place
        raise _invalid([(place, "A workflow is a map with the key 'steps'.")])
    places = _Places(file)
    raw = places.plain(tree, ())
    spec = _validated(raw, places)
    try:
        plan = planning.make(spec, given)
    except PlanError as error:
        raise _invalid(
            [(places.at(problem.path), problem.message) for problem in error.problems]
        ) from error
    return Declared(spec.name or Path(file).stem, file, text, spec, plan)


def _said(error: yaml_tree.YamlError, text: str) -> str:
    """What is wrong with the YAML; of a param in a text without quotes, what to do."""
    lines = text.splitlines()
    line = lines[error.place.line - 1] if error.place.line <= len(lines) else ""
    if error.code == "invalid_yaml" and _PARAM.search(line):
        return "A text with ':NAME:' before a blank stands in quotes, or in lines below '|'."
    return error.message


def _validated(raw: Any, places: _Places) -> WorkflowSpec:
    from pydantic import TypeAdapter, ValidationError  # the first screen is drawn without it

    try:
        return TypeAdapter(WorkflowSpec).validate_python(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise _invalid(_findings(found, places)) from None


def _findings(errors: Iterable[Any], places: _Places) -> list[tuple[Place, str]]:
    """What pydantic found, in sentences. Of the arms of a union that all fail the one counts that
    came furthest, and of several the first."""
    located = [(places.known(error["loc"]), error) for error in errors]
    found: dict[Place, str] = {}
    for path, error in located:
        if error["type"] == "unexpected_keyword_argument":
            key = str(error["loc"][-1])
            known = _keys_beside(path[:-1])
            place, message = places.at(path, key=True), f"There is no key {key!r}. Known: {known}."
        elif error["type"] == "missing":
            place, message = places.at(path), f"The key {error['loc'][-1]!r} is missing."
        elif any(len(other) > len(path) and other[: len(path)] == path for other, _ in located):
            continue
        else:
            place, message = places.at(path), f"{error['msg']}."
        found.setdefault(place, message)
    return list(found.items())


def _keys_beside(path: tuple[str | int, ...]) -> str:
    import dataclasses

    from spice_engine.runs.workflows import model

    kind: type[Any] = model.WorkflowSpec
    if path[-1:] == ("environment",):
        kind = model.EnvironmentSpec
    elif path[:1] == ("defaults",):
        kind = model.DefaultsSpec
    elif len(path) == 2:
        kind = model.StepSpec
    return ", ".join(item.name for item in dataclasses.fields(kind))


def _invalid(findings: list[tuple[Place, str]]) -> InvalidWorkflow:
    findings = sorted(findings, key=lambda each: (each[0].line, each[0].column))
    more = f" ({len(findings) - 1} more)" if len(findings) > 1 else ""
    return InvalidWorkflow(
        f"{findings[0][1]}{more}",
        place=findings[0][0],
        problems=[
            {
                "code": "invalid_workflow",
                "severity": "error",
                "message": message,
                "file": place.file,
                "line": place.line,
                "column": place.column,
            }
            for place, message in findings
        ],
    )


class _Places:
    """Where each value of a tree stands, by its keys."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._values: dict[tuple[str | int, ...], Place] = {}
        self._keys: dict[tuple[str | int, ...], Place] = {}

    def plain(self, node: yaml_tree.Node, path: tuple[str | int, ...]) -> Any:
        """The node as plain data; remembers the places."""
        self._values[path] = node.place
        if isinstance(node, yaml_tree.Scalar):
            return node.value
        if isinstance(node, yaml_tree.Sequence):
            return [self.plain(item, (*path, index)) for index, item in enumerate(node.items)]
        found: dict[str, Any] = {}
        for key, value in node.entries:
            self._keys[(*path, key.text)] = key.place
            found[key.text] = self.plain(value, (*path, key.text))
        return found

    def known(self, path: Iterable[str | int]) -> tuple[str | int, ...]:
        """The path without the words pydantic puts between (names of a union's arms)."""
        found: tuple[str | int, ...] = ()
        for part in path:
            if (*found, part) in self._values:
                found = (*found, part)
        return found

    def at(self, path: tuple[str | int, ...], *, key: bool = False) -> Place:
        """The place of a path, or of what holds it."""
        if key and path in self._keys:
            return self._keys[path]
        while path not in self._values and path:
            path = path[:-1]
        if path in self._values and len(path) == 2 and path[0] == "steps":
            return self._keys.get(path, self._values[path])
        return self._values.get(path, Place(self._file, 1, 1))
