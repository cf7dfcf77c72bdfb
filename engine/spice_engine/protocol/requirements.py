"""Requirements, as pip's files have them a line: which ones are paths of this machine."""

from __future__ import annotations

import re


def local_package(requirement: str) -> tuple[str, str]:
    """What a requirement has before a path (`-e `), and the path of this machine that it names;
    empty where it names none."""
    option = re.match(r"(-e|--editable)[\s=]+", requirement)
    rest = requirement[option.end() :] if option else requirement
    place = re.split(r"\s+[;#]|\s+--|\[", rest, maxsplit=1)[0].strip()
    if "://" in place or not ("/" in place or place in {".", ".."}):
        return "", ""
    return (option.group() if option else ""), place
