"""What is coloured in a manifest: YAML by tree-sitter, and Python in its blocks of code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Parser, Query

Highlight = tuple[int, int | None, str]
"""First byte in the line, byte after the last (None: up to the line's end), name of a style."""

ORDER = ("code", "string", "constant", "number", "key", "tag", "punctuation", "comment")
"""Names of styles; where two meet, the later one counts."""

YAML = """
(block_scalar) @code
[(double_quote_scalar) (single_quote_scalar)] @string
[(boolean_scalar) (null_scalar)] @constant
[(integer_scalar) (float_scalar)] @number
[(anchor_name) (alias_name) (tag)] @tag
(comment) @comment
(block_mapping_pair key: (flow_node) @key)
(flow_mapping (_ key: (flow_node) @key))
["," "-" ":" "?" "[" "]" "{" "}"] @punctuation
"""

PYTHON = """
["if" "elif" "else" "for" "in" "while" "not" "and" "or" "is" "def" "return" "lambda" "import"
 "from" "pass" "break" "continue" "try" "except" "finally" "raise" "with" "assert"] @keyword
(string) @string
[(integer) (float)] @number
[(true) (false) (none)] @constant
(comment) @comment
(call function: (identifier) @function)
"""

STYLES = (*ORDER, "keyword", "function")


def yaml_language() -> Language | None:
    """The grammar, or None where tree-sitter does not work: then the text is shown plain."""
    try:
        import tree_sitter_yaml
        from tree_sitter import Language

        return Language(tree_sitter_yaml.language())
    except (ImportError, ValueError, OSError):
        return None


@lru_cache(maxsize=1)
def _python() -> tuple[Parser, Query] | None:
    try:
        import tree_sitter_python
        from tree_sitter import Language, Parser, Query

        language = Language(tree_sitter_python.language())
        return Parser(language), Query(language, PYTHON)
    except (ImportError, ValueError, OSError):
        return None


def code_highlights(lines: Sequence[str]) -> dict[int, list[Highlight]]:
    """Highlights of a block of code, by the number of its line; blanks before it do not count."""
    indents = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip()]
    indent = min(indents, default=0)
    found = _parsed("\n".join(line[indent:] for line in lines))
    return {
        row: [
            (start + indent, None if end is None else end + indent, name)
            for start, end, name in marks
        ]
        for row, marks in found.items()
    }


@lru_cache(maxsize=64)
def _parsed(code: str) -> dict[int, list[Highlight]]:
    python = _python()
    if python is None:
        return {}
    from tree_sitter import QueryCursor

    parser, query = python
    tree = parser.parse(code.encode("utf-8", "replace"))
    found: dict[int, list[Highlight]] = {}
    for name, nodes in QueryCursor(query).captures(tree.root_node).items():
        for node in nodes:
            add_node(found, node.start_point, node.end_point, name)
    return found


def add_node(
    found: dict[int, list[Highlight]],
    start: tuple[int, int],
    end: tuple[int, int],
    name: str,
    rows: range | None = None,
) -> None:
    """Add a node's highlight to each line that it covers, within `rows` if they are given."""
    first, last = start[0], end[0]
    if rows is not None:
        first, last = max(first, rows.start), min(last, rows.stop - 1)
    for row in range(first, last + 1):
        left = start[1] if row == start[0] else 0
        right = end[1] if row == end[0] else None
        if right != 0:
            found.setdefault(row, []).append((left, right, name))
