"""Mounts of a step: a resource, or what another step left (`steps.train/model.bin:/data`)."""

from __future__ import annotations

import re

from spice_engine.records import record

_STEP = re.compile(
    r"steps\.(?P<step>[A-Za-z][A-Za-z0-9_-]*)"
    r"(?:\[(?P<index>\d{1,6})\]|@best:(?P<metric>[^:]+)(?::(?P<way>min|max)(?=[:/]|$))?)?"
    r"(?P<inner>/[^:]*)?(?::(?P<path>.+))?"
)


class StepMountError(ValueError):
    """The text names a step's outputs in no way that is known."""


@record
class StepMount:
    """What a step left, at `path`; of several instances that of `index`, or the `best`: a metric,
    and whether its least is (`min`). Without either they appear below the path, by their index.

    Where no `way` is said, what `inner` begins with may be the rest of the metric's name."""

    step: str
    path: str
    inner: str = ""
    index: int | None = None
    best: str = ""
    way: str = ""


def parse(text: str) -> StepMount | str:
    """A mount of a step's outputs, or the text itself where it is of another resource.

    Raises:
        StepMountError: it begins with `steps.` and goes on in no way that is known.
    """
    if not text.startswith("steps."):
        return text
    found = _STEP.fullmatch(text)
    if found is None:
        raise StepMountError(
            f"{text!r} is no mount: it must be steps.NAME[/inner][:PATH], with [2] or "
            "@best:METRIC[:min|:max] after the name where it has several instances."
        )
    metric, inner = found["metric"] or "", (found["inner"] or "").rstrip("/")
    if metric and not found["way"]:
        metric, slash, inner = metric.rstrip("/").partition("/")
        inner = slash + inner
    path = found["path"] or (inner.rpartition("/")[2] if inner else found["step"])
    return StepMount(
        found["step"],
        path,
        inner,
        None if found["index"] is None else int(found["index"]),
        metric,
        found["way"] or "",
    )
