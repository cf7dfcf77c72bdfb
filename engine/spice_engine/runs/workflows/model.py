"""What a workflow's file may hold: pydantic checks it, `meaning` is what the docs say."""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar

from spice_engine.records import record

Scalar = str | int | float | bool
Texts = list[str] | str
FOREACH_MOST = 1000
STEPS_MOST = 500
RETRIES_MOST = 100


def _meaning(text: str, default: Any = None) -> Any:
    if isinstance(default, dict):
        return field(default_factory=dict[str, Any], metadata={"meaning": text})
    return field(default=default, metadata={"meaning": text})


@record
class EnvironmentSpec:
    """The Python environment of a step; without one it has the engine's own."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    pip: Texts | None = _meaning("Packages.")
    pip_req: str | None = _meaning("A requirements file in the app folder.")
    python: str | None = _meaning("A version, or the path of an interpreter.")
    setup: Texts | None = _meaning("Commands that complete it, once.")
    conda: Texts | None = _meaning("Conda packages.")
    conda_file: str | None = _meaning("A conda environment file in the app folder.")
    channels: Texts | None = _meaning("Where conda's packages come from.")
    apt: Texts | None = _meaning("Packages of the system.")
    image: str | None = _meaning("The root file system: a folder, a tar file, or an image.")


@record
class StepSpec:
    """One step. What is left out is taken from `defaults`."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    command: str | list[str] = _meaning("A line for the shell, or a list of words.", "")
    needs: Texts = _meaning("Steps that must have succeeded first.", "")
    mounts: Texts = _meaning(
        "`RESOURCE[:PATH]`; `steps.NAME[/inner][:PATH]` is what a step left, "
        "`steps.NAME@best:METRIC[:min|:max]` the best of its instances.",
        "",
    )
    foreach: list[Scalar | dict[str, Scalar]] | dict[str, list[Scalar]] | str | None = _meaning(
        "One instance for each item of a list (`:item:`, or the names of a map), each combination "
        "of a grid, or each instance of another step, by its name."
    )
    when: str = _meaning(
        "Carry it out only if this is true: `STEP.METRIC > 0.9`, `STEP.outcome == failed`; "
        "`&&`, `||`, and `min(…)` or `max(…)` over the instances of a step.",
        "",
    )
    params: dict[str, Scalar] = _meaning("Values for `:NAME:` in command, env and mounts.", {})
    env: dict[str, Scalar] = _meaning("Environment variables.", {})
    environment: EnvironmentSpec | None = _meaning("Its Python environment.")
    machine_type: str | None = _meaning("What it runs on; cpu if nothing is said.")
    cwd: str = _meaning("Where in the app folder it begins.", "")
    code: Texts | None = _meaning(
        "The files of the app folder that it sees and that its cache goes by; everything if "
        "nothing is said."
    )
    timeout: str | int | float | None = _meaning("`90s`, `2h`; a bare number counts minutes.")
    retries: int | None = _meaning("How often it is tried again when it fails.")
    auto_resume: bool = _meaning("When its run is lost, it goes on with that run's files.", False)
    distributed: int = _meaning("It is started as this many ranks.", 0)
    cache: bool | None = _meaning("Whether an equal run that succeeded may stand for it; true.")
    priority: int = _meaning("Of the runs that wait, a higher one goes first.", 0)
    labels: Texts = _meaning("Labels of its runs.", "")
    description: str = _meaning("A note.", "")


@record
class DefaultsSpec:
    """What steps have that say nothing else; `env` is added to theirs."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    env: dict[str, Scalar] = _meaning("Environment variables.", {})
    environment: EnvironmentSpec | None = _meaning("Their Python environment.")
    machine_type: str | None = _meaning("What they run on.")
    code: Texts | None = _meaning("The files of the app folder that they see.")
    timeout: str | int | float | None = _meaning("`90s`, `2h`; a bare number counts minutes.")
    retries: int | None = _meaning("How often they are tried again.")
    cache: bool | None = _meaning("Whether equal runs that succeeded may stand for them.")


@record
class WorkflowSpec:
    """A workflow's file."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    steps: dict[str, StepSpec] = field(metadata={"meaning": "The steps, by their names."})
    name: str = _meaning("Its name; the file's name if nothing is said.", "")
    description: str = _meaning("A note.", "")
    project: str = _meaning("The project of its runs.", "")
    params: dict[str, Scalar] = _meaning("Values for `:NAME:`, which `--param` replaces.", {})
    defaults: DefaultsSpec = field(
        default_factory=DefaultsSpec, metadata={"meaning": "What all steps have."}
    )


def texts(value: Texts | None) -> list[str]:
    """One text as a list of one; nothing as an empty one."""
    if not value:
        return []
    return [value] if isinstance(value, str) else value


def as_text(value: Scalar) -> str:
    """A value as it stands in a command or variable."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def schema() -> dict[str, Any]:
    """The JSON Schema of a workflow's file, with what each key means."""
    import dataclasses

    from pydantic import TypeAdapter

    found = TypeAdapter(WorkflowSpec).json_schema()
    parts = {**found.get("$defs", {}), "WorkflowSpec": found}
    for kind in (WorkflowSpec, StepSpec, DefaultsSpec, EnvironmentSpec):
        for item in dataclasses.fields(kind):
            shape = parts[kind.__name__]["properties"][item.name]
            shape["description"] = item.metadata["meaning"]
            shape.pop("title", None)
    found["title"] = "A workflow of spice-tui"
    return found
