"""Options that several commands share, kept in a table instead of in each signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

GIVEN = "given"


def with_options(table: Mapping[str, Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command the options of `table` (a name → an annotation for typer) beside its own.

    The function takes them as one argument `given`: a map of those that the user gave. Options
    are None, or False, where they were not.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function, eval_str=True)
        own = [param for name, param in signature.parameters.items() if name != GIVEN]
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in table.items()
        ]

        def command(**values: Any) -> Any:
            found = {name: values.pop(name) for name in table}
            given = {name: value for name, value in found.items() if value not in (None, [], ())}
            return function(**values, **{GIVEN: given})

        command.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*own, *shared]
        )
        command.__annotations__ = {}
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__module__ = function.__module__
        return command

    return decorate
