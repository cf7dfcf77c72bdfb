"""`spell.client`: the very client of `spice_runtime`, by Spell's names."""

from __future__ import annotations

from spice_runtime.client import Client, RangeSpec, ValueSpec, from_environment
from spice_runtime.client.errors import ClientException, WaitError

from . import runs


class SpellClient(Client):
    """The client, made as Spell's is."""

    def __init__(
        self,
        token: str,
        owner: str | None = None,
        workflow_id: int | None = None,
        base_url: str = "",
        **_: object,
    ) -> None:
        import os

        url = base_url or os.environ.get("SPICE_URL", "")
        super().__init__(
            url,
            token,
            owner=owner or "local",
            workflow=workflow_id,
            state=os.environ.get("SPICE_STATE", ""),
        )


__all__ = [
    "ClientException",
    "RangeSpec",
    "SpellClient",
    "ValueSpec",
    "WaitError",
    "from_environment",
    "runs",
]
