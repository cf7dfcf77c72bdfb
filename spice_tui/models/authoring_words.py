"""Words of the `:` line, or the lines of a form, as requests that edit a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.edits import AddAction, AddDataspace


def dataspace_of(words: Sequence[str]) -> AddDataspace:
    """`FROM/NAME [MEASUREMENT[:COLUMN]…] [connector=NAME] [processor=NAME] [PARAM=VALUE…]`.

    The word `local` makes it a dataspace of state, without data.

    Raises:
        InvalidRequest: no path stands first.
    """
    path, *rest = words or ("",)
    if path.count("/") != 1 or path.startswith("/") or path.endswith("/"):
        raise InvalidRequest(
            f"{path!r} is no dataspace.", hint="Give FROM/NAME, such as exchange/candles."
        )
    settings = dict(word.split("=", 1) for word in rest if "=" in word)
    names = [word for word in rest if "=" not in word and word != "local"]
    connector, processor = settings.pop("connector", ""), settings.pop("processor", "")
    return AddDataspace(
        "",
        path,
        measurements=_measurements(names),
        connector=connector,
        params=settings,
        processor=processor,
        local="local" in rest,
    )


def dataspace_of_form(values: Mapping[str, str]) -> AddDataspace:
    """The same of a form's lines: path, measurements, connector, params, processor.

    Raises:
        InvalidRequest: the path is none, or a parameter has no value.
    """
    settings = values.get("params", "").split()
    for word in settings:
        if "=" not in word:
            raise InvalidRequest(f"{word!r} is no parameter.", hint="Give NAME=VALUE.")
    named = [f"{key}={values[key]}" for key in ("connector", "processor") if values.get(key)]
    return dataspace_of(
        [values.get("path", ""), *values.get("measurements", "").split(), *named, *settings]
    )


def _measurements(names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in names:
        name, _, column = word.partition(":")
        found[name] = column
    return found


def action_of(words: Sequence[str]) -> AddAction:
    """`NAME [FROM.DATASPACE.ACTION] [reward=CODE]`.

    Raises:
        InvalidRequest: no name is given, or more words than have a meaning.
    """
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    if not 1 <= len(plain) <= 2 or set(settings) - {"reward", "do"}:
        raise InvalidRequest(
            "these words add no action.", hint="Give NAME [FROM.DATASPACE.ACTION] [reward=CODE]."
        )
    do = plain[1] if len(plain) == 2 else settings.get("do", "")
    return AddAction("", plain[0], do=do, reward=settings.get("reward", ""))
