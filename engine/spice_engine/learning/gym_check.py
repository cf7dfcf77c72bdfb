"""Whether a pod and its environment go together: fields with components, actions with actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidEnvironment, Place
from spice_engine.learning.environments.gym_facts import DONE, DONE_COLUMN, Facts
from spice_engine.records import record

if TYPE_CHECKING:
    from spice_engine.workers.child import Report

EXTRA = "Install it: pip install 'spice-tui[gym]'."
_SHOWN = 8


@record
class Finding:
    """What does not fit, as a problem of the manifest."""

    message: str
    place: Mapping[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as findings of manifests are."""
        return {
            "code": InvalidEnvironment.code,
            "severity": "error",
            "message": self.message,
            "place": self.place,
            "fix": None,
        }

    def error(self) -> InvalidEnvironment:
        """The same as an error."""
        return InvalidEnvironment(self.message, place=place_of(self.place))


@record
class Binding:
    """The component of each field, and what does not fit."""

    columns: Mapping[str, int]
    findings: tuple[Finding, ...]


def check_gym(params: dict[str, Any], report: Report) -> list[dict[str, Any]]:
    """Handler `check_gym`: what is wrong with a pod's environment, as findings.

    `params` as `spice_engine.pods.plan.gym` makes them.
    """
    report.check()
    try:
        facts = facts_of(params)
    except InvalidEnvironment as error:
        message = f"{error.message} {error.hint}".strip()
        return [Finding(message, params["place"]).as_dict()]
    return [finding.as_dict() for finding in bind(params, facts).findings]


def facts_of(params: Mapping[str, Any]) -> Facts:
    """What the environment is like.

    Raises InvalidEnvironment where it isn't there or can't be learned from, or there is no
    gymnasium; with its place.
    """
    try:
        from spice_engine.learning.environments.gym_make import describe
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "gymnasium":
            raise
        raise InvalidEnvironment(
            "Environments need the package gymnasium, which is not installed.",
            hint=EXTRA,
            place=place_of(params["place"]),
        ) from error
    try:
        return describe(params["environment"], params["options"])
    except InvalidEnvironment as error:
        error.place = place_of(params["place"])
        raise


def bind(params: Mapping[str, Any], facts: Facts) -> Binding:
    """The component that each measurement shows.

    By number or label where selectors name such, else in the order of the manifest. A measurement
    that reads `is_done` shows the end of an episode.
    """
    name, findings = params["environment"], list[Finding]()
    labels = [one.label for one in facts.components]
    columns: dict[str, int] = {}
    rest: list[Mapping[str, Any]] = []
    for one in params["measurements"]:
        if one["selector"] == DONE and DONE not in labels:
            columns[one["field"]] = DONE_COLUMN
        else:
            rest.append(one)
    if rest and all(one["selector"] in labels for one in rest):
        columns |= {one["field"]: labels.index(one["selector"]) for one in rest}
    elif written := [one for one in rest if one["selector"] != one["name"]]:
        wrong = next((one for one in written if one["selector"] not in labels), None)
        at = wrong or next(one for one in rest if one["selector"] not in labels)
        message = (
            f"'{at['selector']}' is no component of '{name}': it shows {_listed(labels)}. Name "
            "one for every measurement, or for none."
        )
        findings.append(Finding(message, at["place"]))
    elif len(rest) != len(labels):
        message = (
            f"'{name}' shows {len(labels)} numbers, and here are {len(rest)} measurements: name "
            f"one for each, in their order, or say which by a selector ({_listed(labels)})."
        )
        findings.append(Finding(message, params["fields_place"]))
    else:
        columns |= {one["field"]: index for index, one in enumerate(rest)}
    if len(params["actions"]) != facts.actions:
        message = (
            f"'{name}' has {facts.actions} actions, and here are {len(params['actions'])}: name "
            "one for each, in the order of the environment's numbers."
        )
        findings.append(Finding(message, params["actions_place"]))
    return Binding(columns, tuple(findings))


def place_of(data: Mapping[str, Any] | None) -> Place | None:
    """A place as it was sent."""
    return Place(**data) if data else None


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return f"{', '.join(labels[:_SHOWN])}{more}"
