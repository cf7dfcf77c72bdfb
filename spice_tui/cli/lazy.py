"""The table of commands, and a group that imports a command's module when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from spice_engine.records import record
from spice_tui.cli.light import lighten


@record
class Entry:
    """Where a command is: a function of `spice_tui.cli.<module>`, or its `app` for a group."""

    module: str
    attribute: str
    summary: str
    stops_at_command: bool = False
    """Options after the first argument belong to that argument."""
    help_names: tuple[str, ...] = ("-h", "--help")
    files: bool = False
    """It has `--from-file` and `--save-command`."""


COMMANDS: dict[str, Entry] = {
    "engine": Entry("engine", "app", "Start, stop and look at the engine of a folder."),
    "run": Entry(
        "run", "run", "Run a command and follow its log.", stops_at_command=True, files=True
    ),
    "ps": Entry("ps", "list_runs", "List runs.", files=True),
    "info": Entry("runs", "info", "Show everything about one run."),
    "logs": Entry("logs", "logs", "Print the log of a run."),
    "wait": Entry("control", "wait", "Wait until runs have ended."),
    "stop": Entry("control", "stop", "Ask runs to end."),
    "kill": Entry("control", "kill", "End runs at once."),
    "archive": Entry("control", "archive", "Put runs that are over away."),
    "clone": Entry("clone", "clone", "Run the same again, with changes.", files=True),
    "label": Entry("runs", "label", "Add a label to a run, or remove it."),
    "hyper": Entry("hyper", "app", "Search over the parameters of a command or of a pod."),
    "env": Entry("env", "app", "List environments that are kept, compare and remove them."),
    "project": Entry("project", "app", "Name groups of runs, and compare them."),
    "workflow": Entry("workflow", "app", "Chain runs: by a script, or by steps in a file."),
    "stats": Entry("stats", "stats", "Show what the processes of a run use."),
    "metrics": Entry("metrics", "metrics", "Show, export and follow the metrics of a run."),
    "ls": Entry(
        "resources", "ls", "List what runs left, uploads, models and links.", help_names=("--help",)
    ),
    "cp": Entry("resources", "cp", "Copy a resource to a folder of this machine."),
    "upload": Entry("upload", "upload", "Take a folder or file in as a resource."),
    "rm": Entry("resources", "rm", "Remove uploads."),
    "link": Entry("resources", "link", "Give a resource a short name."),
    "unlink": Entry("resources", "unlink", "Take a short name away."),
    "jupyter": Entry("jupyter", "app", "Open notebooks: make, start and stop workspaces."),
    "resources": Entry("disk", "app", "Show what is kept takes of the disk, and prune it."),
    "model": Entry("models", "app", "Make, list and describe models."),
    "pods": Entry("pods", "app", "List, show and publish the pods of the folder."),
    "train": Entry("train", "train", "Train a pod and follow its episodes."),
    "tensorboard": Entry(
        "tensorboard", "tensorboard", "Show curves of a pod or of runs in TensorBoard."
    ),
    "recommend": Entry("recommend", "recommend", "Ask a trained pod what to do."),
    "observe": Entry("observe", "observe", "Give a pod observations."),
    "observations": Entry("observe", "observations", "Print the rows a pod has."),
    "interpretations": Entry(
        "interpretations", "app", "List and add what people say about a pod's data."
    ),
    "init": Entry("init", "init", "Write the manifest of a new pod."),
    "dataspace": Entry("dataspace", "app", "Add dataspaces to manifests."),
    "action": Entry("action", "app", "Add actions to manifests."),
    "rewards": Entry("rewards", "app", "Add rewards to manifests, and test them."),
    "lint": Entry("lint", "lint", "Check manifests, and say what is wrong where."),
    "add": Entry("add", "add", "Add a package: a sample, or one from elsewhere."),
    "export": Entry("export", "export", "Write a trained pod, or runs, into a file."),
    "import": Entry(
        "importing", "import_pod", "Take in a trained pod, or runs, from a file or MLflow's folder."
    ),
    "trust": Entry("trust", "trust", "Let code that lies in the folder run."),
    "server": Entry("server", "app", "Serve models over HTTP, and look after their servers."),
    "node-group": Entry("node_group", "app", "List and size the node groups of this machine."),
    "machine-type": Entry(
        "machine_type", "app", "List and size the machine types that runs run on."
    ),
    "cluster": Entry(
        "node_group", "cluster", "Show this machine, its node groups and machine types."
    ),
    "sql": Entry("sql", "sql", "Ask the engine's store a question in SQL."),
    "play": Entry("play", "play", "Play tapes on the screens, and compare what they show."),
    "config": Entry("config", "config", "Show all settings, and where each comes from."),
    "doctor": Entry("doctor", "doctor", "Check that this machine has what the engine needs."),
    "version": Entry("version", "version", "Show versions, and with -v also paths."),
}


ALIASES = {"workflows": "workflow", "actions": "action", "reward": "rewards", "models": "model"}
"""Spellings of the original that name the same commands."""


def load(name: str, entry: Entry) -> Any:
    """The command behind an entry."""
    found = getattr(importlib.import_module(f"spice_tui.cli.{entry.module}"), entry.attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_command(found)
        group.name = name
        commands = getattr(group, "commands", {})
        if not isinstance(commands, LazyCommands):
            for command in commands.values():
                lighten(command)
        return lighten(group)
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    settings: dict[str, Any] = {"help_option_names": list(entry.help_names)}
    if entry.stops_at_command:
        settings["allow_interspersed_args"] = False
    kind = _kind(entry)
    app.command(name=name, cls=kind, context_settings=settings, short_help=entry.summary)(found)
    return lighten(typer.main.get_command(app))


def _kind(entry: Entry) -> Any:
    """The class of a command that reads its command line in its own way, else None."""
    if entry.files:
        from spice_tui.cli import command_file

        return command_file.FileLineCommand if entry.stops_at_command else command_file.FileCommand
    if entry.stops_at_command:
        from spice_tui.cli.run_line import LineCommand

        return LineCommand
    return None


class LazyCommands(MutableMapping[str, Any]):
    """Looks like typer's map of commands; names are known at once, commands come on demand."""

    def __init__(self, table: dict[str, Entry]) -> None:
        self._table = table
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = load(name, self._table[name])
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._table or name in self._loaded

    def __iter__(self) -> Iterator[str]:
        yield from self._table
        yield from (name for name in self._loaded if name not in self._table)

    def __len__(self) -> int:
        return len(set(self._table) | set(self._loaded))


class TableGroup(TyperGroup):
    """A group whose help needs no command's module."""

    table: ClassVar[dict[str, Entry]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = LazyCommands(self.table)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.table.items()])


class LazyGroup(TableGroup):
    """The program's root."""

    table = COMMANDS

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, ALIASES.get(cmd_name, cmd_name))
