"""The filters and orders of tracking clients: `metrics.loss < 0.5 AND params.model = 'tree'`.

The grammar is MLflow's (docs/search-runs of its manual; `mlflow.utils.search_utils` of its
client): comparisons of one name with one value, joined by AND. Names with other characters than
letters, digits and `_ . - / :` stand in backticks or double quotes.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, cast

from spice_engine.errors import InvalidRequest
from spice_engine.records import record

Kind = Literal["metric", "param", "tag", "attribute", "dataset"]

MOST_CHARACTERS = 20_000
MOST_CLAUSES = 200

_KINDS: Mapping[str, Kind] = {
    "metric": "metric",
    "metrics": "metric",
    "param": "param",
    "params": "param",
    "parameter": "param",
    "parameters": "param",
    "tag": "tag",
    "tags": "tag",
    "attribute": "attribute",
    "attributes": "attribute",
    "attr": "attribute",
    "run": "attribute",
    "dataset": "dataset",
    "datasets": "dataset",
}

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    | (?P<name>(?:[A-Za-z_]\w*|`[^`]+`)(?:\.(?:[\w./:-]+|`[^`]+`|"[^"]+"|'[^']+'))*)
    | (?P<text>'(?:''|[^'])*'|"(?:""|[^"])*")
    | (?P<sign><=|>=|!=|<>|=|<|>)
    | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)

_NUMERIC = ("=", "!=", "<", "<=", ">", ">=")
_TEXTUAL = ("=", "!=", "LIKE", "ILIKE")
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@record
class Grammar:
    """What may be asked for: kinds, attributes that are texts or numbers, other names of those,
    and the attributes that may be compared with a list."""

    kinds: frozenset[Kind]
    texts: frozenset[str]
    numbers: frozenset[str]
    aliases: Mapping[str, str]
    listed: frozenset[str]


RUNS = Grammar(
    frozenset({"metric", "param", "tag", "attribute", "dataset"}),
    frozenset({"run_id", "run_name", "user_id", "status", "artifact_uri"}),
    frozenset({"start_time", "end_time"}),
    {
        "created": "start_time",
        "Created": "start_time",
        "run name": "run_name",
        "Run name": "run_name",
        "Run Name": "run_name",
    },
    frozenset({"run_id"}),
)
EXPERIMENTS = Grammar(
    frozenset({"tag", "attribute"}),
    frozenset({"name", "experiment_id"}),
    frozenset({"creation_time", "last_update_time"}),
    {},
    frozenset({"experiment_id"}),
)
MODELS = Grammar(
    frozenset({"metric", "param", "tag", "attribute"}),
    frozenset({"name", "model_id", "model_type", "status", "source_run_id"}),
    frozenset({"creation_timestamp", "last_updated_timestamp"}),
    {},
    frozenset({"name", "model_id", "source_run_id"}),
)
DATASETS = frozenset({"name", "digest", "context"})


@record
class Name:
    """What is compared or ordered by."""

    kind: Kind
    key: str


@record
class Clause:
    """One comparison; `sign` is in capitals, and `value` None for `IS NULL` and `IS NOT NULL`."""

    name: Name
    sign: str
    value: float | str | tuple[str, ...] | None

    def holds(self, found: object) -> bool:
        """Whether it holds of a value; None: there is none. Of several one has to do."""
        if self.sign == "IS NULL":
            return found is None
        if self.sign == "IS NOT NULL":
            return found is not None
        if isinstance(found, tuple):
            return any(self.holds(one) for one in cast("tuple[object, ...]", found))
        if found is None:
            return False
        if self.sign in {"LIKE", "ILIKE"}:
            return like(str(found), str(self.value), fold=self.sign == "ILIKE")
        if isinstance(self.value, tuple):
            return (found in self.value) == (self.sign == "IN")
        return _SIGNS[self.sign](found, self.value)


@record
class Order:
    """One order of the results."""

    name: Name
    ascending: bool


def parse(text: str, grammar: Grammar) -> tuple[Clause, ...]:
    """The comparisons of a filter, all of which have to hold; none for an empty one.

    Raises:
        InvalidRequest: it is malformed; the message says what was found where.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidRequest(f"the filter has over {MOST_CHARACTERS} characters.")
    if not text.strip():
        return ()
    words = _Words(text)
    clauses: list[Clause] = []
    while True:
        clauses.append(_clause(words, grammar))
        if len(clauses) > MOST_CLAUSES:
            raise InvalidRequest(f"the filter has over {MOST_CLAUSES} comparisons.")
        if words.done:
            return tuple(clauses)
        words.keyword("AND")


def parse_order(text: str, grammar: Grammar) -> Order:
    """One `metrics.loss DESC`.

    Raises:
        InvalidRequest: it is malformed.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidRequest(f"the order_by has over {MOST_CHARACTERS} characters.")
    words = _Words(text)
    name = _name(words.take("name"), grammar)
    if name.kind == "dataset":
        raise InvalidRequest(f"Invalid order_by clause {text!r}: it cannot be ordered by datasets.")
    ascending = True
    if not words.done:
        ascending = words.keyword("ASC", "DESC") == "ASC"
    if not words.done:
        raise words.unexpected("the end")
    return Order(name, ascending)


def like(text: str, pattern: str, *, fold: bool) -> bool:
    """SQL's LIKE: `%` is any text, `_` any character. Its time is bounded by the product of the
    lengths, whatever the pattern."""
    flags = re.DOTALL | (re.IGNORECASE if fold else 0)
    pieces = [re.compile(re.escape(piece).replace("_", "."), flags) for piece in pattern.split("%")]
    if len(pieces) == 1:
        return pieces[0].fullmatch(text) is not None
    begin = pieces[0].match(text)
    if begin is None:
        return False
    place = begin.end()
    for piece in pieces[1:-1]:
        found = piece.search(text, place)
        if found is None:
            return False
        place = found.end()
    # A piece has one length, so where the last one has to begin is known.
    last = len(text) - len(pattern.rpartition("%")[2])
    return last >= place and pieces[-1].fullmatch(text, last) is not None


class _Words:
    """Takes a text apart."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._all = list(_tokens(text))
        self._next = 0

    @property
    def done(self) -> bool:
        return self._next == len(self._all)

    def peek(self) -> tuple[str, str]:
        return ("end", "") if self.done else self._all[self._next]

    def take(self, *kinds: str) -> str:
        kind, word = self.peek()
        if kind not in kinds:
            raise self.unexpected(" or ".join(f"a {one}" for one in kinds))
        self._next += 1
        return word

    def mark(self, *wanted: str) -> str:
        if self.peek()[1] not in wanted:
            raise self.unexpected(" or ".join(wanted))
        return self.take("mark")

    def keyword(self, *wanted: str) -> str:
        kind, word = self.peek()
        if kind != "name" or word.upper() not in wanted:
            raise self.unexpected(" or ".join(wanted))
        self._next += 1
        return word.upper()

    def unexpected(self, wanted: str) -> InvalidRequest:
        found = self.peek()[1][:100]
        what = repr(found) if found else "the end"
        return InvalidRequest(
            f"Invalid clause(s) in {self._text[:300]!r}: expected {wanted}, found {what}.",
            hint="Such as: metrics.loss < 0.5 AND params.model = 'tree'.",
        )


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    end = len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise InvalidRequest(
                f"Invalid clause(s) in {text[:300]!r}: {text[place : place + 20].strip()!r} "
                "cannot be read.",
                hint="Texts stand in quotes, unusual names in backticks.",
            )
        place = found.end()
        yield found.lastgroup, found[found.lastgroup]


def _clause(words: _Words, grammar: Grammar) -> Clause:
    name = _name(words.take("name"), grammar)
    kind, word = words.peek()
    if kind == "sign":
        words.take("sign")
        return _compared(name, "!=" if word == "<>" else word, words, grammar)
    sign = words.keyword("LIKE", "ILIKE", "IN", "NOT", "IS")
    if sign == "IS":
        sign = "IS NOT NULL" if words.keyword("NULL", "NOT") == "NOT" else "IS NULL"
        if sign == "IS NOT NULL":
            words.keyword("NULL")
        if name.kind not in {"tag", "param"}:
            raise InvalidRequest(f"IS NULL is for tags and params, not for {name.key!r}.")
        return Clause(name, sign, None)
    if sign == "NOT":
        words.keyword("IN")
        sign = "NOT IN"
    if sign.endswith("IN"):
        if name.kind != "dataset" and not (name.kind == "attribute" and name.key in grammar.listed):
            raise InvalidRequest(
                f"{name.key!r} cannot be compared with a list.",
                hint=f"Only {', '.join(sorted(grammar.listed))} and what a dataset has.",
            )
        return Clause(name, sign, _list(words))
    return _compared(name, sign, words, grammar)


def _compared(name: Name, sign: str, words: _Words, grammar: Grammar) -> Clause:
    numeric = name.kind == "metric" or (name.kind == "attribute" and name.key in grammar.numbers)
    if sign not in (_NUMERIC if numeric else _TEXTUAL):
        allowed = ", ".join(_NUMERIC if numeric else _TEXTUAL)
        raise InvalidRequest(
            f"Invalid comparator {sign!r} for {name.kind} {name.key[:100]!r}: not one of {allowed}."
        )
    if numeric:
        return Clause(name, sign, float(words.take("number")))
    return Clause(name, sign, _unquoted(words.take("text")))


def _list(words: _Words) -> tuple[str, ...]:
    found: list[str] = []
    words.mark("(")
    while True:
        found.append(_unquoted(words.take("text")))
        if words.mark(",", ")") == ")":
            return tuple(found)


def _name(text: str, grammar: Grammar) -> Name:
    first, dot, rest = text.partition(".") if not text.startswith("`") else _ticked(text)
    kind: Kind | None = _KINDS.get(first.strip("`")) if dot else "attribute"
    key = rest if dot else first
    if len(key) > 1 and key[0] in "`\"'" and key[-1] == key[0]:
        key = key[1:-1]
    if kind is None or kind not in grammar.kinds:
        raise InvalidRequest(
            f"Invalid entity type {first[:100]!r}. Valid values are {sorted(grammar.kinds)}"
        )
    if kind == "attribute":
        key = grammar.aliases.get(key, key)
        if key not in grammar.texts | grammar.numbers:
            known = sorted(grammar.texts | grammar.numbers)
            raise InvalidRequest(
                f"Invalid attribute key {key[:100]!r} specified. Valid keys are {known}"
            )
    if kind == "dataset" and key not in DATASETS:
        raise InvalidRequest(
            f"Invalid dataset key {key[:100]!r} specified. Valid keys are {sorted(DATASETS)}"
        )
    return Name(kind, key)


def _ticked(text: str) -> tuple[str, str, str]:
    end = text.index("`", 1) + 1
    return text[:end], text[end : end + 1], text[end + 1 :]


def _unquoted(text: str) -> str:
    return text[1:-1].replace(text[0] * 2, text[0])
