"""Tables of files that were read before, so that a file that did not change is not read again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from spice_engine.data.table import Table
from spice_engine.records import record

MAX_BYTES = 64 << 20


@record
class CachedTable:
    """A table and the digest of what it was made of."""

    table: Table
    digest: str


class TableCache:
    """The tables used last, up to MAX_BYTES together. A key says all that a table depends on."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._tables: OrderedDict[Hashable, CachedTable] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> CachedTable | None:
        """The table of a key, if it is here."""
        found = self._tables.get(key)
        if found is not None:
            self._tables.move_to_end(key)
        return found

    def put(self, key: Hashable, cached: CachedTable) -> None:
        """Keeps a table, unless it alone is over the limit."""
        size = cached.table.nbytes
        if size > self._limit:
            return
        if key in self._tables:
            self._bytes -= self._tables.pop(key).table.nbytes
        self._tables[key] = cached
        self._bytes += size
        while self._bytes > self._limit:
            _, oldest = self._tables.popitem(last=False)
            self._bytes -= oldest.table.nbytes

    @property
    def nbytes(self) -> int:
        """How much memory the tables take."""
        return self._bytes
