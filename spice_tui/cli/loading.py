"""Wait for pods that an engine, which may just have begun, is still reading."""

from __future__ import annotations

import time

from spice_tui.client import Client

POLL_SECONDS = 0.02
PATIENCE = 60.0
"""Seconds for a pod that is asked something; then the engine's own answer says what is wrong."""
GLANCE = 2.0
"""Seconds for a look at all pods, which shows those that take longer as loading."""


def await_pod(client: Client, pod: str, seconds: float = PATIENCE) -> None:
    """Wait until the pod is not loading any more, or the time is over.

    Raises:
        SpiceError: there is no such pod.
    """
    deadline = time.monotonic() + seconds
    while client.call("pods.get", {"pod": pod})["state"] == "loading":
        if time.monotonic() > deadline:
            return
        time.sleep(POLL_SECONDS)


def await_all(client: Client, seconds: float = GLANCE) -> None:
    """Wait until no pod is loading, or the time is over."""
    deadline = time.monotonic() + seconds
    while any(pod["state"] == "loading" for pod in client.call("pods.list")["pods"]):
        if time.monotonic() > deadline:
            return
        time.sleep(POLL_SECONDS)
