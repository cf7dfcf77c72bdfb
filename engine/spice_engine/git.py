"""How the user's own `git` is called: nothing of a repository runs here, and nobody is asked.

No hook, no filter, no other program than the transports of git itself; no question at a terminal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

SAFE = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "protocol.ext.allow=never"),
    *("-c", "gc.auto=0"),
)
"""Go before git's command."""

PLAIN = "* -filter -text -ident -export-subst -export-ignore !eol !working-tree-encoding\n"
"""`info/attributes` of a bare repository of ours: it goes before what a tree says, so that files
come as they are, through none of the user's filters."""

_ELSEWHERE = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE"}
    | {"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX"}
)


def environment() -> Mapping[str, str]:
    """The user's own, for keys, proxies and names, but without questions and other repositories."""
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return {
        **kept,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:file",
        "LC_ALL": "C",
    }
