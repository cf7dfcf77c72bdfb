"""Have the engine make something, once, also when it dies before it answers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from spice_engine.errors import EngineUnavailable
from spice_tui.cli.following import FollowingClient, Patience
from spice_tui.cli.session import Session


def created(
    session: Session, client: FollowingClient, operation: str, request: Mapping[str, Any]
) -> tuple[FollowingClient, dict[str, Any]]:
    """What was made, and a connection: another one where the engine went away meanwhile. The next
    engine knows the request by its key, and is started where nobody else does that.

    Raises:
        SpiceError: what the engine answered, or that there is none; the connection is closed.
    """
    keyed = {**request, "request_key": uuid.uuid4().hex}
    patience = Patience()
    while True:
        try:
            return client, client.call(operation, keyed)
        except EngineUnavailable:
            client.close()
            if patience.over:
                raise
        time.sleep(0.05)
        client = session.connect(FollowingClient)
