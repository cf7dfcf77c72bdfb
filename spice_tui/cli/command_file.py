"""`--from-file` and `--save-command`: a command line as a YAML or JSON file, for any command.

A file maps names of options (without dashes, long or short) and of arguments to values. What the
command line gives goes before the file, option by option; arguments come all from one of them.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from spice_tui.cli.run_line import LineCommand
from spice_tui.cli.session import expand

_FILE, _SAVE = "from_file", "save_command"
_OWN = frozenset({_FILE, _SAVE})


def _options(
    from_file: Annotated[
        str,
        typer.Option(
            "--from-file", metavar="FILE", help="Take options and arguments from this YAML file."
        ),
    ] = "",
    save_command: Annotated[
        str,
        typer.Option(
            "--save-command", metavar="FILE", help="Write what is given here into this YAML file."
        ),
    ] = "",
) -> None:
    """Typer makes the two options from this signature."""


def _file_options() -> list[Any]:
    made = typer.Typer(add_completion=False)
    made.command()(_options)
    options = typer.main.get_command(made).params
    for option in options:
        # They are for the reading of the command line; the command's function has no use of them.
        option.expose_value = False
    return options


class _Files:
    """Reads and writes command files around the parsing of a command."""

    params: list[Any]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.params = [*self.params, *_file_options()]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        parse: Any = super()
        if ctx.resilient_parsing:
            return parse.parse_args(ctx, args)
        given = self._given(ctx, args)
        if path := given.get(_FILE):
            args = _merged(ctx, self.params, given, _load(path, ctx), args)
        left = parse.parse_args(ctx, list(args))
        if path := given.get(_SAVE):
            _save(path, self.params, self._given(ctx, args), ctx)
        return left

    def _given(self, ctx: Any, args: Sequence[str]) -> dict[str, Any]:
        """What a command line holds, by the names of parameters."""
        command: Any = self
        found, _, _ = command.make_parser(ctx).parse_args(args=list(args))
        return {name: value for name, value in found.items() if value not in (None, ())}


class FileCommand(_Files, TyperCommand):
    """A command with `--from-file` and `--save-command`."""


class FileLineCommand(_Files, LineCommand):
    """The same for a command that ends in another program's command line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self.arranged(ctx, args))


def _load(path: str, ctx: Any) -> dict[str, Any]:
    try:
        text = expand(path).read_text(encoding="utf-8")
        if path.endswith(".json"):
            found: object = json.loads(text)
        else:
            import yaml

            found = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise _trouble(ctx, f"{path}: {error.strerror}.") from None
    except ValueError as error:
        raise _trouble(ctx, f"{path}: {error}.") from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        raise _trouble(ctx, f"{place}: not YAML: {problem}.") from None
    if not isinstance(found, dict):
        raise _trouble(ctx, f"{path} does not hold a map of options and arguments.")
    return {str(name): value for name, value in found.items()}


def _trouble(ctx: Any, text: str) -> typer.BadParameter:
    return typer.BadParameter(text, ctx=ctx, param_hint="--from-file")


def _merged(
    ctx: Any, params: Sequence[Any], given: Mapping[str, Any], file: dict[str, Any], args: list[str]
) -> list[str]:
    """The command line with what the file adds to it."""
    options: list[str] = []
    words: dict[str, list[str]] = {}
    named = [param for param in params if param.name not in _OWN]
    for key, value in file.items():
        param, reverse = _param(named, key, ctx)
        if value is None:
            continue
        if param.param_type_name == "argument":
            many = param.nargs != 1
            words[param.name] = _words(value, key, ctx) if many else [_text(value, key, ctx)]
        elif param.name not in given:
            options += _as_options(param, key, value, ctx, reverse=reverse)
    if not words:
        return [*options, *args]
    arguments = [param for param in named if param.param_type_name == "argument"]
    if any(param.name in given for param in arguments):
        raise typer.BadParameter(
            "All positional arguments must either be specified in the command file or the "
            "command line",
            ctx=ctx,
            param_hint="--from-file",
        )
    order = [word for param in arguments for word in words.get(param.name, [])]
    return [*options, *args, *([] if "--" in args else ["--"]), *order]


def _param(params: Sequence[Any], key: str, ctx: Any) -> tuple[Any, bool]:
    """The parameter a key names, and whether by the name of its opposite (`--no-x`)."""
    wanted = key.strip().lstrip("-").replace("_", "-")
    for param in params:
        if param.param_type_name == "argument":
            names = {param.name, str(param.metavar or "").strip("[].")}
            if param.nargs != 1:
                names.add(f"{param.name}s")
            if wanted.lower() in {name.lower().replace("_", "-") for name in names}:
                return param, False
            continue
        for opts, reverse in ((param.opts, False), (param.secondary_opts, True)):
            if any(name.lstrip("-") == wanted for name in opts):
                return param, reverse
    raise _trouble(ctx, f"no such option: {key}.")


def _as_options(param: Any, key: str, value: Any, ctx: Any, *, reverse: bool) -> list[str]:
    name = max(param.opts, key=len)
    if param.is_flag:
        if not isinstance(value, bool):
            raise _trouble(ctx, f"{key}: must be true or false.")
        if value is not reverse:
            return [name]
        return [max(param.secondary_opts, key=len)] if param.secondary_opts else []
    if not param.multiple:
        return _option(name, _text(value, key, ctx))
    if isinstance(value, dict):
        sign = "=" if "=" in str(param.metavar) else ":"
        words = [f"{one}{sign}{_text(two, key, ctx)}" for one, two in value.items()]
    else:
        words = _words(value, key, ctx)
    return [part for word in words for part in _option(name, word)]


def _option(name: str, value: str) -> list[str]:
    # One word with '=' where it can be: the value may begin with a dash.
    return [f"{name}={value}"] if name.startswith("--") else [name, value]


def _words(value: Any, key: str, ctx: Any) -> list[str]:
    """A list, each of whose elements is split as a shell does, or one text that is."""
    parts = value if isinstance(value, list) else [value]
    try:
        return [word for part in parts for word in shlex.split(_text(part, key, ctx))]
    except ValueError as error:
        raise _trouble(ctx, f"{key}: {str(error).lower()}.") from None


def _text(value: Any, key: str, ctx: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise _trouble(ctx, f"{key}: must be a text or a number.")


def _save(path: str, params: Sequence[Any], given: Mapping[str, Any], ctx: Any) -> None:
    """Write the options and arguments that were used."""
    used: dict[str, Any] = {}
    for param in params:
        if param.name not in given or param.name in _OWN:
            continue
        value = given[param.name]
        if param.param_type_name == "argument":
            words = [shlex.quote(word) for word in value] if param.nargs != 1 else value
            used[param.name.replace("_", "-")] = words
            continue
        name = max(param.opts, key=len).lstrip("-")
        if param.multiple:
            used[name] = [shlex.quote(str(item)) for item in value]
        else:
            used[name] = value
    import yaml

    try:
        expand(path).write_text(
            yaml.safe_dump(used, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
    except OSError as error:
        raise typer.BadParameter(
            f"{path}: {error.strerror}.", ctx=ctx, param_hint="--save-command"
        ) from None
