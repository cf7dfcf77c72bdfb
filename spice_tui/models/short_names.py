"""Names of a pod's fields without their dataspaces, where that leaves them apart."""

from __future__ import annotations

import re
from collections.abc import Iterable

from spice_engine.records import record


@record
class ShortNames:
    """`prefixes` are left out of names wherever they stand in a text."""

    prefixes: tuple[str, ...] = ()

    def of(self, text: str) -> str:
        """The text with short names."""
        if not self.prefixes:
            return text
        longest_first = sorted(self.prefixes, key=len, reverse=True)
        return re.sub(rf"\b(?:{'|'.join(map(re.escape, longest_first))})(?=\w)", "", text)


def short_names(dataspaces: Iterable[str], fields: Iterable[str]) -> ShortNames:
    """Those of a pod: `from/name` are its dataspaces; none where two fields would look alike."""
    prefixes = tuple(f"{one.replace('/', '_')}_" for one in dataspaces)
    names, found = list(fields), ShortNames(prefixes)
    apart = len({found.of(name) for name in names}) == len(names)
    used = any(name.startswith(prefixes) for name in names)
    return found if apart and used else ShortNames()
