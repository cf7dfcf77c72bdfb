"""What a run's processes find the engine by: `spice_runtime.client` reads these variables."""

from __future__ import annotations

from collections.abc import Callable

from spice_engine.protocol.location import Location
from spice_engine.store.runs import RunRow

OWNER = "local"


class ClientVariables:
    """Gives them, for each run; `base_url` is asked then, for the door may move."""

    def __init__(self, location: Location, token: str, base_url: Callable[[], str]) -> None:
        self._location = location
        self._token = token
        self._base_url = base_url

    def __call__(self, _: RunRow | None = None) -> dict[str, str]:
        """The engine's address and token, by our names and by Spell's."""
        url = self._base_url()
        return {
            "SPICE_URL": url,
            "SPICE_TOKEN": self._token,
            "SPICE_STATE": str(self._location.state),
            "SPICE_APP_FOLDER": str(self._location.root),
            "SPELL_BASE_URL": url,
            "SPELL_API_URL": url,
            "SPELL_TOKEN": self._token,
            "SPELL_OWNER": OWNER,
        }
