"""What can be done with pods."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath
from typing import Any

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.pods import Observed, PodInfo, Recommendation, RewardTests
from spice_tui.base import Base, Refused


class PodDeeds(Base):
    """Actions of the context `pod`. An empty name means the chosen pod."""

    def pod_named(self, name: str = "") -> PodInfo:
        """The pod of that name, or the chosen one.

        Raises:
            SpiceError: there is none.
        """
        wanted = name or self.pod
        if not wanted:
            raise Refused(
                "no pod is chosen.", hint=":new makes one, :add samples/gardener adds one."
            )
        if wanted not in self.world.pods:
            known = ", ".join(sorted(self.world.pods)) or "none"
            raise NotFound(f"there is no pod {wanted!r}.", hint=f"Pods: {known}.")
        return self.world.pods[wanted]

    async def action_train(self, pod: str = "", episodes: str = "") -> None:
        """Train a pod now."""
        found = self.pod_named(pod)
        params: dict[str, Any] = {"pod": found.name}
        if episodes:
            if not episodes.isdecimal():
                raise InvalidRequest(f"{episodes!r} is no number of episodes.")
            params["episodes"] = int(episodes)
        training = await self.ask("pods.train", **params)
        self.say(f"Training {found.name}/{training['number']} began.")

    async def action_recommend(self, pod: str = "", time: str = "") -> None:
        """Show what a pod recommends, and why."""
        from spice_tui.screens.recommendation import RecommendationScreen

        found = self.pod_named(pod)
        params: dict[str, Any] = {"pod": found.name, "explain": True}
        if time:
            if not time.lstrip("-").isdecimal():
                raise InvalidRequest(f"{time!r} is no time.", hint="Give Unix seconds.")
            params["time"] = int(time)
        answer = await self.fetch(Recommendation, "pods.recommend", **params)
        address = self.world.engine.http if self.world.engine else ""
        await self.push_screen(RecommendationScreen(answer, address))

    async def action_new(self, name: str) -> None:
        """Write a manifest from nothing, and open it."""
        edited = await self.ask("pods.init", name=name)
        self.choose_pod(str(edited["pod"]))
        await self.open_manifest(str(edited["pod"]), str(edited["manifest"]))
        self.say(f"{edited['manifest']} was written. Add data, actions and rewards: ctrl+p.")

    async def action_edit(self, pod: str = "") -> None:
        """Go to a pod's manifest."""
        found = self.pod_named(pod)
        self.choose_pod(found.name)
        await self.open_manifest(found.name, found.manifest, focus=True)

    async def action_observe(self, file: str) -> None:
        """Give the chosen pod rows from a file on this machine."""
        found = self.pod_named()
        path = Path(file).expanduser()
        if not path.is_absolute() and self.settings.root is not None:
            path = self.settings.root / path
        try:
            data = path.read_bytes()
        except OSError as error:
            raise NotFound(f"{file} cannot be read: {error.strerror}.") from error
        kind = "json" if path.suffix == ".json" else "csv"
        observed = await self.fetch(
            Observed, "pods.observe", pod=found.name, data=data, format=kind
        )
        bad = f", {observed.bad_rows} left out" if observed.bad_rows else ""
        again = " They had been taken already." if observed.duplicate else ""
        self.say(f"{found.name} took {observed.rows} rows{bad}.{again}")

    async def action_interpret(self, start: str, end: str, name: str, *tags: str) -> None:
        """Say something about a stretch of the chosen pod's data."""
        from spice_tui.screens.pages.notes_page import NotesPage

        found = self.pod_named()
        if not (start.isdecimal() and end.isdecimal()):
            raise InvalidRequest("start and end are Unix seconds.")
        one = {"start": int(start), "end": int(end), "name": name, "tags": list(tags)}
        await self.ask("pods.interpret", pod=found.name, interpretations=[one])
        self.say(f"{found.name}: “{name}” was added.")
        for page in self.query(NotesPage):
            page.reload()

    async def action_test(self, pod: str = "") -> None:
        """Run the reward tests of a pod."""
        found = self.pod_named(pod)
        tests = (await self.fetch(RewardTests, "pods.reward_tests", pod=found.name)).tests
        failed = [test for test in tests if not test.passed]
        if not tests:
            raise Refused(f"{found.name} has no reward tests.")
        if failed:
            first = failed[0]
            said = first.error or f"{first.action}: expected {first.expected:g}, got {first.got}"
            raise Refused(f"{len(failed)} of {len(tests)} reward tests fail: {said}.")
        self.say(f"{found.name}: all {len(tests)} reward tests pass.")

    async def action_rollback(self, version: str = "") -> None:
        """Serve an earlier version of the chosen pod, after a while in which that can be undone."""
        found = self.pod_named()

        async def do() -> None:
            await self.ask("pods.rollback", pod=found.name, version=version)
            self.say(f"{found.name} serves version {version or 'before'} now.")

        self.later(f"{found.name} goes back to version {version or 'before'}", do)

    async def action_alias(self, name: str, version: str) -> None:
        """Name a version of the chosen pod's policy."""
        found = self.pod_named()
        await self.ask("pods.alias", pod=found.name, alias=name, version=version)
        self.say(f"{found.name}: {name} is version {version} now.")

    async def action_export(self, file: str = "") -> None:
        """Write the chosen pod into a file of the folder."""
        from spice_engine.protocol.packages import Exported

        found = self.pod_named()
        where = PurePosixPath(file or f"{found.name}.spicepod")
        written = await self.fetch(
            Exported,
            "pods.export",
            pod=found.name,
            directory=str(where.parent),
            filename=where.name,
        )
        self.say(f"{found.name} was written to {written.path}.")

    async def action_import_pod(self, file: str) -> None:
        """Take a pod in from a file of the folder."""
        from spice_engine.protocol.packages import Imported

        taken = await self.fetch(Imported, "pods.import", path=file)
        self.say(f"{taken.pod} was taken in.")
        self.choose_pod(taken.pod)

    async def action_add(self, reference: str) -> None:
        """Add a package or a sample."""
        from spice_engine.protocol.packages import AddedPackages

        added = await self.fetch(AddedPackages, "packages.add", reference=reference)
        for package in added.packages:
            self.say(f"{package.name} {package.version} was added.")
            for file in package.files:
                path = PurePosixPath(file)
                if path.parent.name == "spicepods":
                    self.choose_pod(path.stem)

    async def action_trust(self) -> None:
        """Let code of this folder run."""
        await self.ask("trust.set", trusted=True)
        self.say("Code of this folder may run now.")

    def action_curl(self, pod: str = "") -> None:
        """Copy the command that asks the pod for a recommendation."""
        found = self.pod_named(pod)
        http = self.world.engine.http if self.world.engine else ""
        if not http:
            raise Refused("the engine has no HTTP door.")
        url = f"{http}/api/v0.1/pods/{found.name}/recommendation"
        self.copy(f"curl {shlex.quote(url)}", "the curl command")

    def action_goto(self, pod: str) -> None:
        """Choose a pod."""
        self.choose_pod(self.pod_named(pod).name)

    # -- what the app itself does

    def choose_pod(self, name: str) -> None:
        """Make this the chosen pod."""
        raise NotImplementedError

    async def open_manifest(self, pod: str, path: str, *, focus: bool = True) -> None:
        """Show a manifest in the editor."""
        raise NotImplementedError

    def copy(self, text: str, what: str) -> None:
        """Put text on the clipboard and say so."""
        raise NotImplementedError
