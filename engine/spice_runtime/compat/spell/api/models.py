"""`spell.api.models`."""

from __future__ import annotations

from spice_runtime.client.specs import RangeSpec, ValueSpec

__all__ = ["RangeSpec", "ValueSpec"]
