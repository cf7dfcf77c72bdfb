"""Actions that show something about a pod or a run, and that take things out of the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidRequest
from spice_tui.base import Refused
from spice_tui.deeds.pod_deeds import PodDeeds
from spice_tui.deeds.run_deeds import RunDeeds
from spice_tui.deeds.screen_deeds import ScreenDeeds
from spice_tui.models.exports import Exportable

if TYPE_CHECKING:
    from spice_engine.protocol.views import LineageNode
    from spice_tui.widgets.pane import Page

FORMATS = ("csv", "json", "parquet")


class PageDeeds(PodDeeds, RunDeeds, ScreenDeeds):
    """Pages of the chosen pod, logs, metrics, SQL, lineage, packages, export."""

    async def _page(self, name: str, pod: str) -> Page:
        from spice_tui.screens.pods_view import PodsView

        if pod:
            self.choose_pod(self.pod_named(pod).name)
        view = await self.show_view("pods")
        assert isinstance(view, PodsView)
        page = await view.turn_to(name)
        self.draw()
        return page

    async def action_graph(self, pod: str = "") -> None:
        """Show how trainings went."""
        await self._page("graph", pod)

    async def action_timeline(self, pod: str = "") -> None:
        """Show data with actions."""
        await self._page("timeline", pod)

    async def action_stepper(self, pod: str = "", row: str = "") -> None:
        """Walk through time."""
        from spice_tui.screens.pages.stepper_page import StepperPage

        if row and not row.isdecimal():
            raise InvalidRequest(f"{row!r} is no row.")
        page = await self._page("stepper", pod)
        if row and isinstance(page, StepperPage):
            page.go_to_row(int(row))

    async def action_evaluation(self, pod: str = "") -> None:
        """Show how good it is."""
        await self._page("evaluation", pod)

    async def action_explain_policy(self, pod: str = "", version: str = "") -> None:
        """Explain what its policy does, and why."""
        from spice_tui.screens.pages.policy_page import PolicyPage

        page = await self._page("policy", pod)
        assert isinstance(page, PolicyPage)
        page.explain(self.pod_named(), version)

    async def action_compare_policies(self, *policies: str) -> None:
        """Tell which of some versions or algorithms is better; none: a person chooses."""
        from spice_tui.screens.pages.comparison_page import ComparisonPage

        found = self.pod_named()
        page = await self._page("comparison", "")
        assert isinstance(page, ComparisonPage)
        chosen = policies or await self._choose_policies(found.name, page.chosen(found.name))
        if len(chosen) == 1:
            raise InvalidRequest("one policy is nothing to compare.", hint="Name two or more.")
        if chosen:
            page.compare(found, chosen)

    async def _choose_policies(self, pod: str, before: Sequence[str]) -> Sequence[str]:
        from spice_engine.protocol.judging import LearningAlgorithms
        from spice_engine.protocol.packages import PolicyVersions
        from spice_tui.models.policy_choice import choices
        from spice_tui.screens.policy_picker import PolicyPicker

        versions = await self.fetch(PolicyVersions, "pods.versions", pod=pod)
        algorithms = await self.fetch(LearningAlgorithms, "pods.algorithms")
        every = choices(versions.versions, algorithms.algorithms)
        return await self.ask_person(PolicyPicker(pod, every, before)) or ()

    async def action_observations(self, pod: str = "") -> None:
        """Show its rows."""
        await self._page("data", pod)

    async def action_interpretations(self, pod: str = "") -> None:
        """Show what was said about its data."""
        await self._page("notes", pod)

    # -- logs and metrics

    async def action_log(self, run: str = "") -> None:
        """Follow the engine's log, or a run's."""
        from spice_tui.screens.logs_view import LogsView

        view = await self.show_view("logs")
        assert isinstance(view, LogsView)
        view.choose(f"run/{self.run_named(run).id}" if run else "engine")

    async def action_show_log(self) -> None:
        """Show the chosen run's log."""
        await self.action_log(str(self.run_named().id))

    async def action_show_metrics(self) -> None:
        """Show the chosen run's metrics."""
        from spice_tui.screens.metrics_view import MetricsView

        run = self.run_named()
        view = await self.show_view("metrics")
        assert isinstance(view, MetricsView)
        view.choose(f"run/{run.id}")

    # -- questions

    async def action_sql(self, question: str = "") -> None:
        """Ask the store."""
        from spice_tui.screens.sql_view import SqlView

        view = await self.show_view("sql")
        assert isinstance(view, SqlView)
        await view.ask(question)

    async def action_lineage(self, of: str = "") -> None:
        """Show what came from what."""
        from spice_tui.screens.lineage_screen import LineageScreen

        params: dict[str, Any] = {}
        if of.isdecimal():
            params["run"] = int(of)
        elif of:
            params["pod"] = self.pod_named(of).name
        from spice_engine.protocol.views import Lineage

        lineage = await self.fetch(Lineage, "store.lineage", **params)
        if not lineage.nodes:
            raise Refused("nothing came from anything yet.")
        node = await self.ask_person(LineageScreen(lineage))
        if node is not None:
            await self._open_node(node)

    async def _open_node(self, node: LineageNode) -> None:
        """Go to where a thing is shown: its id is `kind/name`."""
        _, _, name = node.id.partition("/")
        match node.kind:
            case "pod" if name in self.world.pods:
                await self.action_edit(name)
            case "training":
                await self.action_graph(name.rpartition("/")[0])
            case "policy" | "model":
                await self.show_view("models")
            case "server":
                await self.show_view("servers")
            case "run" if name.isdecimal():
                await self.action_log(name)
            case "data" if self.pod:
                await self.action_observations()
            case _:
                self.say(f"{node.kind} {node.title} {node.detail}".strip())

    async def action_packages(self, text: str = "") -> None:
        """Find packages and add one."""
        from spice_tui.screens.packages_screen import PackagesScreen

        chosen = await self.ask_person(PackagesScreen(self.fetch, text))
        if chosen:
            await self.action_add(chosen)

    # -- export

    async def action_write(self, file: str) -> None:
        """Write the table or chart with the focus into a file of the folder."""

        kind = file.rpartition(".")[2].lower()
        if kind not in FORMATS:
            raise InvalidRequest(
                f"{file!r}: what kind of file?", hint=f"It ends in .{', .'.join(FORMATS)}."
            )
        found = self._exportable()
        if found is None:
            raise Refused("there is no table and no chart here.", hint="Go to one first.")
        from spice_engine.protocol.views import Exported

        columns, rows = found.export()
        written = await self.fetch(
            Exported, "store.export", path=file, format=kind, columns=columns, rows=rows
        )
        self.say(f"{written.rows:,} rows were written to {written.path}.")

    def _exportable(self) -> Exportable | None:
        node = self.focused
        while node is not None:
            if isinstance(node, Exportable):
                return node
            node = node.parent  # pyright: ignore[reportAssignmentType]
        return next((w for w in self.current_view.query("*") if isinstance(w, Exportable)), None)
