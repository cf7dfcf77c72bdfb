"""What a search goes through: values, or a range."""

# What crosses the door is plain data.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownLambdaType=false

from __future__ import annotations

from typing import Any


class ValueSpec:
    """Some values."""

    def __init__(self, values: list[Any]) -> None:
        self.values = list(values)

    def payload(self) -> dict[str, Any]:
        """What the engine is told."""
        return {"values": self.values}

    def __repr__(self) -> str:
        return f"ValueSpec(values={self.values!r})"


class RangeSpec:
    """A range; `scaling` is linear, log or reverse_log, `type` float or int."""

    def __init__(
        self,
        min: float,  # noqa: A002 - Spell's names
        max: float,  # noqa: A002
        scaling: str = "linear",
        type: str = "float",  # noqa: A002
    ) -> None:
        self.min, self.max, self.scaling, self.type = min, max, scaling, type

    def payload(self) -> dict[str, Any]:
        """What the engine is told."""
        return {"low": self.min, "high": self.max, "scale": self.scaling, "type": self.type}

    def __repr__(self) -> str:
        return (
            f"RangeSpec(min={self.min!r}, max={self.max!r}, scaling={self.scaling!r}, "
            f"type={self.type!r})"
        )


def parameter(name: str, spec: Any) -> dict[str, Any]:
    """A parameter of a search as the engine takes it; a plain list is one of values."""
    if isinstance(spec, (ValueSpec, RangeSpec)):
        return {"name": name, **spec.payload()}
    values = list(spec) if isinstance(spec, (list, tuple)) else [spec]
    return {"name": name, "values": values}
