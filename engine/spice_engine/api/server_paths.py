"""The paths of model servers: which server a path names, and whether it is a predict path.

`/{owner}/{server}/predict` is Spell's form, `/servers/{server}/predict` the short one, and
`/v2/models/{server}/infer` that of the Open Inference Protocol.
"""

from __future__ import annotations

import re

from spice_engine.errors import InvalidSettings
from spice_engine.serving.definitions import RESERVED

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
PREDICT = "/servers/{server}/predict"
INFER = "/v2/models/{server}/infer"


class ServerPaths:
    """Reads paths as they stand in a request line, before anything in them is decoded.

    Raises:
        InvalidSettings: the owner's name is taken by a path of the engine's own.
    """

    def __init__(self, owner: str) -> None:
        if owner in RESERVED or not re.fullmatch(NAME, owner):
            raise InvalidSettings(
                f"{owner!r} cannot be an owner: its paths would be those of the engine.",
                hint=f"Reserved: {', '.join(sorted(RESERVED))}.",
            )
        self.owner = owner
        self.owned_predict = f"/{owner}/{{server}}/predict"
        self.owned_health = f"/{owner}/{{server}}/health"
        mine = re.escape(owner)
        # The rest may hold any decoded character, the end of a line too.
        self._any = re.compile(rf"/(?:servers|{mine}|v2/models)/({NAME})(?:/.*)?", re.DOTALL)
        self._predict = re.compile(
            rf"(?:/(servers|{mine})/({NAME})/predict|/(v2/models)/({NAME})/infer)(?:\?.*)?".encode()
        )

    def server(self, path: str) -> str:
        """The server that a path is about; empty where it is about none."""
        found = self._any.fullmatch(path)
        return found[1] if found else ""

    def predict(self, target: bytes) -> tuple[str, str] | None:
        """The server and the route's template, where a request's target is a predict path."""
        found = self._predict.fullmatch(target)
        if found is None:
            return None
        if found[3]:
            return found[4].decode(), INFER
        return found[2].decode(), PREDICT if found[1] == b"servers" else self.owned_predict
