"""`spell.client`: the very client of `spice_runtime`, by Spell's names."""

from __future__ import annotations

import os

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
        state = ""
        if base_url in {"", os.environ.get("SPICE_URL"), os.environ.get("SPELL_BASE_URL")}:
            around = from_environment().api
            base_url, state = around.url, around.state
        super().__init__(
            base_url,
            token,
            owner=owner or "local",
            workflow=workflow_id,
            state=state,
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
