"""Takes secrets out of what goes into a bug report."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

HIDDEN = "***"
_SECRET = re.compile(
    r"token|secret|passw|credential|api_?key|private_?key|access_?key|auth|cookie", re.IGNORECASE
)
WHOLE = frozenset({"env", "data", "text", "payload", "body", "requirements"})
"""Values that are a person's own: environment variables, posted rows, texts of manifests, what a
model server is asked and answers, indexes of packages with their passwords."""


def redact(value: Any, scrub: Callable[[str], str] = str) -> Any:
    """The same structure with secrets and a person's own texts hidden; `scrub` cleans the rest."""
    if isinstance(value, Mapping):
        return {key: _item(str(key), item, scrub) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, scrub) for item in value]
    if isinstance(value, bytes):
        return b""
    return scrub(value) if isinstance(value, str) else value


def _item(key: str, item: Any, scrub: Callable[[str], str]) -> Any:
    if key in WHOLE or _SECRET.search(key):
        return _hidden(item)
    return redact(item, scrub)


def _hidden(item: Any) -> Any:
    """Nothing of what it holds. Its form stays: it may be a pod that is called `auth`."""
    if isinstance(item, Mapping):
        return {key: _hidden(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [_hidden(value) for value in item]
    if isinstance(item, bytes):
        return b""
    return item if item in (None, "") or isinstance(item, bool) else HIDDEN
