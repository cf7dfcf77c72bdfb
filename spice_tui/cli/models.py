"""`model`: versioned bundles of files, made of resources; alone it lists them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest
from spice_tui.cli import completion, output, resource_text, values
from spice_tui.cli.command_file import FileCommand
from spice_tui.cli.output import Json
from spice_tui.cli.resources import LONG, copy_asking, tell_copied
from spice_tui.cli.session import expand, session_of
from spice_tui.client import Client

TREE = ("runs", "uploads", "models", "public")

app = typer.Typer(
    help="Make, list and describe models: versioned bundles of files.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL[:VERSION]",
        help="Such as cifar, cifar:v2, cifar:demo, cifar:@latest, cifar:@best:accuracy.",
        autocompletion=completion.models,
    ),
]
VersionArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL:VERSION",
        help="Such as cifar:v2, cifar:demo, cifar:@latest.",
        autocompletion=completion.models,
    ),
]


@app.callback(invoke_without_command=True)
def model(ctx: typer.Context, json: Json = False) -> None:
    """Make, list and describe models: versioned bundles of files. Alone: list them."""
    if ctx.invoked_subcommand is None:
        list_models(ctx, json=json)


@app.command(cls=FileCommand)
def create(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME[:VERSION]",
            help="Every version gets a number (v3); VERSION is a name beside it.",
            autocompletion=completion.models,
        ),
    ],
    resource: Annotated[
        str,
        typer.Argument(
            metavar="RESOURCE",
            help="runs/3, @latest, uploads/x, a link, or a folder or file of this machine.",
            autocompletion=completion.resources,
        ),
    ],
    *,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file", "-f", metavar="PATH[:DEST]", help="Only this of the resource; repeat."
        ),
    ] = None,
    description: Annotated[
        str, typer.Option("--description", "-d", metavar="TEXT", help="What it is.")
    ] = "",
    version: Annotated[str, typer.Option("--version", metavar="VERSION", hidden=True)] = "",
    json: Json = False,
) -> None:
    """Make the next version of a model."""
    title, colon, custom = name.partition(":")
    if colon and (version or not custom):
        raise typer.BadParameter("NAME:VERSION says the version once.", ctx=ctx)
    with session_of(ctx).connect(make=True) as client:
        params = {
            "name": title,
            "version": custom or version,
            "resource": _resource(client, resource),
            "files": list(file or ()),
            "description": description,
        }
        made = client.call("models.create", params, timeout=LONG)
    if json:
        output.as_json(made)
    else:
        output.line(f"Successfully created model: {output.safe(title)} {label(made)}")


def _resource(client: Client, text: str) -> str:
    """A path of the resource tree as it is; one of this machine from `/` on."""
    first = text.partition("/")[0]
    if text.startswith(("/", "./", "../", "~")) or text in {".", ".."}:
        return str(expand(text).absolute())
    if first in TREE or first.startswith("@") or not Path(text).exists():
        return text
    aliases = {one["alias"] for one in client.call("resources.links")["links"]}
    return text if first in aliases else str(Path(text).absolute())


@app.command("list", cls=FileCommand)
def list_models(ctx: typer.Context, json: Json = False) -> None:
    """List models with their newest version; a trained pod is one."""
    with session_of(ctx).connect() as client:
        found = client.call("models.list")["models"]
    if json:
        output.as_json(found)
        return
    rows = [
        [one["name"], label(one["latest"]), values.ago(one["latest"]["created"]), one["creator"]]
        for one in found
    ]
    output.table(["NAME", "LATEST VERSION", "CREATED", "CREATOR"], rows)


@app.command(cls=FileCommand)
def describe(ctx: typer.Context, name: ModelArgument, json: Json = False) -> None:
    """Show the versions of a model, or everything about one of them."""
    title, version = split(name)
    with session_of(ctx).connect() as client:
        if version:
            found = client.call("models.version", {"name": title, "version": version})
        else:
            found = client.call("models.get", {"name": title})
    if json:
        output.as_json(found)
    elif version:
        _show_version(found)
    else:
        _show_versions(found["versions"])


def _show_versions(versions: list[dict[str, Any]]) -> None:
    columns = ["VERSION", "RESOURCE", "FILES", "CREATED", "CREATOR"]
    extra = [name for name in ("aliases", "servers") if any(one[name] for one in versions)]
    rows = [
        [
            label(one),
            one["resource"],
            ", ".join(one["files"]),
            values.ago(one["created"]),
            one["creator"],
            *(", ".join(one[name]) for name in extra),
        ]
        for one in versions
    ]
    output.table([*columns, *(name.upper() for name in extra)], rows)


def _show_version(found: dict[str, Any]) -> None:
    output.pairs(
        [
            ("Model", found["model"]),
            ("Version", label(found)),
            ("Aliases", ", ".join(found["aliases"])),
            ("Creator", found["creator"]),
            ("Resource", found["resource"]),
            ("Run", f"runs/{found['run']}" if found["run"] else ""),
            ("Created At", values.clock(found["created"])),
            ("Size", resource_text.size(found["size"])),
            ("Files", ", ".join(found["files"])),
            ("Servers", ", ".join(found["servers"])),
            ("Description", found["description"]),
        ]
    )


@app.command(cls=FileCommand)
def rm(
    ctx: typer.Context,
    name: ModelArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", "--force", "-f", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Remove a version, or a model with all its versions."""
    title, version = split(name)
    with session_of(ctx).connect() as client:
        if not yes:
            _ask(client, title, version)
        done = client.call("models.remove", {"name": title, "version": version})
    if json:
        output.as_json(done)
    else:
        output.line(f"Successfully removed model: {output.safe(name)}")


def _ask(client: Client, title: str, version: str) -> None:
    """Have a person say yes.

    Raises:
        InvalidRequest: nobody can be asked.
        typer.Abort: they said no.
    """
    if version:
        found = client.call("models.version", {"name": title, "version": version})
        what = f"version {label(found)} of model {title}"
    else:
        count = len(client.call("models.get", {"name": title})["versions"])
        what = f"model {title} with {'its version' if count == 1 else f'all {count} versions'}"
    if not sys.stdin.isatty():
        raise InvalidRequest(f"nobody can be asked whether to remove {what}.", hint="Say -y.")
    typer.confirm(f"Remove {output.safe(what)}?", abort=True, err=True)


@app.command("update-description", cls=FileCommand)
def update_description(
    ctx: typer.Context,
    name: VersionArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What it is.")],
    json: Json = False,
) -> None:
    """Replace the description of a version."""
    title, version = split(name, needed=True)
    params = {"name": title, "version": version, "description": text}
    with session_of(ctx).connect() as client:
        changed = client.call("models.update_description", params)
    if json:
        output.as_json(changed)
    else:
        output.line(f"Successfully updated description of {output.safe(title)} {label(changed)}")


@app.command(cls=FileCommand)
def download(
    ctx: typer.Context,
    name: VersionArgument,
    *,
    folder: Annotated[
        str, typer.Option("--directory", "-d", metavar="DIR", help="Where to.")
    ] = ".",
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Overwrite files that are there.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--ignore-existing", "-i", help="Skip files that are there.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the files of a version to a folder; of a pod's policy, its file."""
    title, version = split(name, needed=True)
    target = str(expand(folder).absolute())
    params = {"name": title, "version": version, "destination": target}
    with session_of(ctx).connect() as client:
        done = copy_asking(client, "models.download", params, force=force, skip=skip)
    tell_copied(done, json=json)


@app.command(cls=FileCommand)
def alias(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="The model.", autocompletion=completion.models),
    ],
    word: Annotated[
        str, typer.Argument(metavar="[ALIAS]", help="The name to give; default: list them.")
    ] = "",
    version: Annotated[
        str, typer.Argument(metavar="[VERSION]", help="Such as v3, or another name it has.")
    ] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take the name away.")] = False,
    json: Json = False,
) -> None:
    """Give a version of a model another name, which may move to later ones."""
    title, inline = split(name)
    version = version or inline
    if (word and remove == bool(version)) or (not word and (remove or version)):
        raise typer.BadParameter("give ALIAS with either a VERSION or --remove.", ctx=ctx)
    with session_of(ctx).connect() as client:
        if word:
            params = {"name": title, "alias": word, "version": "" if remove else version}
            found = client.call("models.alias", params)
        else:
            found = client.call("models.get", {"name": title})
    names = {known: label(one) for one in found["versions"] for known in one["aliases"]}
    if json:
        output.as_json(names)
        return
    for known, shown in sorted(names.items()):
        output.line(f"{output.safe(known)} is {shown}")


def label(version: dict[str, Any]) -> str:
    """`v2`, or `demo (v2)`."""
    number, custom = version["number"], version["version"]
    return f"{output.safe(custom)} (v{number})" if custom else f"v{number}"


def split(text: str, *, needed: bool = False) -> tuple[str, str]:
    """Name and version of `NAME[:VERSION]`.

    Raises:
        typer.BadParameter: it ends in a colon, or lacks the version that is `needed`.
    """
    name, colon, version = text.partition(":")
    if "@" in name:
        name, _, version = text.partition("@")
        version = f"@{version}"
    elif (colon or needed) and not version:
        raise typer.BadParameter(
            f"{text!r}: a version must be named, in the form MODEL:VERSION.",
            param_hint="MODEL:VERSION",
        )
    return name, version
