"""How far a workflow is, and what comes next. Pure: states in, decisions out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from spice_engine.records import record
from spice_engine.runs.workflows.plan import Node, Plan

WAITING: Final = "waiting"
STARTING: Final = "starting"
RUNNING: Final = "running"
COMPLETE: Final = "complete"
CACHED: Final = "cached"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
STOPPED: Final = "stopped"

GOOD: Final = frozenset({COMPLETE, CACHED})
OVER: Final = frozenset({COMPLETE, CACHED, FAILED, SKIPPED, STOPPED})
_WORDS = {FAILED: "failed", SKIPPED: "was skipped", STOPPED: "was stopped"}


@record
class Ready:
    """All that it waited for is there: its condition decides now, if it has one."""

    key: str


@record
class Blocked:
    """It will never be carried out, and why."""

    key: str
    reason: str


def decide(plan: Plan, states: Mapping[str, str]) -> Iterator[Ready | Blocked]:
    """What is to be done now with steps that wait."""
    for key, node in plan.nodes.items():
        if states[key] != WAITING:
            continue
        broken = next((one for one in node.needs if _broken(states[one])), None)
        if broken is not None:
            yield Blocked(key, f"It needs {broken}, which {_WORDS[states[broken]]}.")
        elif all(states[one] in OVER for one in (*node.needs, *node.watched)):
            yield Ready(key)


def _broken(state: str) -> bool:
    return state in OVER and state not in GOOD


def is_over(states: Mapping[str, str]) -> bool:
    """Whether nothing is left to do."""
    return all(state in OVER for state in states.values())


def result(states: Mapping[str, str]) -> tuple[str, str]:
    """State and message of a workflow whose steps are over."""
    failed = [key for key, state in states.items() if state == FAILED]
    skipped = [key for key, state in states.items() if state == SKIPPED]
    if not failed:
        return "complete", ""
    message = f"{_listed(failed)} failed"
    if skipped:
        message += f"; {_listed(skipped)} {'was' if len(skipped) == 1 else 'were'} skipped"
    return "failed", f"{message}."


def _listed(keys: list[str]) -> str:
    shown = ", ".join(keys[:5])
    return f"{shown} and {len(keys) - 5} more" if len(keys) > 5 else shown


def outcome_of(states: Iterable[str]) -> str:
    """How a step ended, by all its instances that matter: success, failed or skipped."""
    found = list(states)
    if any(state in {FAILED, STOPPED} for state in found):
        return "failed"
    return "success" if all(state in GOOD for state in found) else "skipped"


def again(plan: Plan, states: Mapping[str, str]) -> dict[str, str]:
    """The states to go on with after a failure: what succeeded stays, all else waits again.

    A step that a condition left out waits again, too, if something before it does.
    """
    found: dict[str, str] = {}
    for key, node in plan.nodes.items():
        state = states.get(key, WAITING)
        stays = state in GOOD and not _renewed(node, found)
        found[key] = state if stays else WAITING
    return found


def _renewed(node: Node, states: Mapping[str, str]) -> bool:
    """Whether it succeeded on what a step left that is carried out again now."""
    return any(states[one] == WAITING for one in node.needs)
