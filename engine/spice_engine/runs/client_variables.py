"""What a run's processes find the engine by: `spice_runtime.client` reads these variables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spice_engine.store.runs import RunRow

OWNER = "local"


class ClientVariables:
    """Gives them, for each run; `base_url` is asked then, for the door may move."""

    def __init__(self, state: Path, token: str, base_url: Callable[[], str]) -> None:
        self._state = state
        self._token = token
        self._base_url = base_url

    def __call__(self, _: RunRow | None = None) -> dict[str, str]:
        """The engine's address and token, by our names and by Spell's."""
        url = self._base_url()
        return {
            "SPICE_URL": url,
            "SPICE_TOKEN": self._token,
            "SPICE_STATE": str(self._state),
            "SPELL_BASE_URL": url,
            "SPELL_API_URL": url,
            "SPELL_TOKEN": self._token,
            "SPELL_OWNER": OWNER,
        }
