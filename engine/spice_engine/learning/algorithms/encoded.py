"""A model that takes encoded inputs, behind the raw features of a pod: its encoding and itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from spice_engine.learning.environments.encoding import Encoding
from spice_engine.learning.features import Matrix

if TYPE_CHECKING:
    from spice_engine.learning.model import Model


@dataclass(frozen=True)
class Encoded:
    """`inner` takes what `encoding` makes of raw features; its values are in units of `unit`."""

    encoding: Encoding
    inner: Model
    unit: float = 1.0

    kind: ClassVar[str] = "encoded"

    def values(self, raw: Matrix) -> Matrix:
        """The inner model's values [N, A] of raw features [N, D]."""
        return self.unit * self.inner.values(self.encoding.apply(raw))

    def contributions(self, raw: Matrix, chosen: int, second: int) -> Matrix:
        """Those of the inner model, added up over the inputs of each feature [D]."""
        (inputs,) = self.encoding.apply(raw[None])
        shares = self.inner.contributions(inputs, chosen, second)
        return self.unit * self.encoding.gathered(shares)

    def rule(self, raw: Matrix, names: tuple[str, ...]) -> tuple[str, ...]:
        """None: conditions on scaled inputs would say nothing to anybody."""
        return ()

    def to_content(self) -> dict[str, Any]:
        """Plain data for the policy file."""
        return {
            "encoding": self.encoding.to_content(),
            "unit": self.unit,
            "kind": self.inner.kind,
            "inner": self.inner.to_content(),
        }

    @classmethod
    def from_content(cls, content: dict[str, Any], features: int, actions: int) -> Encoded:
        """Reads it back; ValueError where it is of other features or actions."""
        from spice_engine.learning.model import read_model  # it knows this model, too

        encoding = Encoding.from_content(content["encoding"], features)
        if content["kind"] == cls.kind:
            raise ValueError("an encoded model within an encoded one")
        inner = read_model(content["kind"], content["inner"], encoding.width, actions)
        return cls(encoding, inner, float(content["unit"]))
