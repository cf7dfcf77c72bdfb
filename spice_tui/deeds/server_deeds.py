"""What can be done with model servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spice_engine.errors import InvalidRequest, NotFound, SpiceError
from spice_tui.base import Refused
from spice_tui.deeds.pod_deeds import PodDeeds
from spice_tui.deeds.run_deeds import RunDeeds
from spice_tui.deeds.screen_deeds import ScreenDeeds
from spice_tui.models import serving

if TYPE_CHECKING:
    from spice_engine.protocol.servers import ServerInfo
    from spice_tui.screens.server_panes import ServerPanes
    from spice_tui.screens.servers_view import ServersView


class ServerDeeds(PodDeeds, RunDeeds, ScreenDeeds):
    """Actions of the context `server`. An empty name means the chosen server."""

    server: str = ""
    """The chosen server."""

    def server_named(self, name: str = "") -> str:
        """That name, or that of the chosen server, or of the only one there is.

        Raises:
            SpiceError: there is none.
        """
        self.link.want("servers")
        servers = self.world.servers
        # In the list what the cursor is on is meant, and nothing else.
        in_list = self.current_view.name == "servers"
        only = next(iter(servers)) if len(servers) == 1 and not in_list else ""
        wanted = name or self.server or only
        if not wanted:
            hint = ":serve FILE.py stands one up." if not servers else "Name one, or choose it."
            raise Refused("no server is chosen.", hint=hint)
        if servers and wanted not in servers:
            known = ", ".join(sorted(servers))
            raise NotFound(f"there is no server {wanted!r}.", hint=f"Servers: {known}.")
        return wanted

    def _info(self, name: str) -> ServerInfo | None:
        return self.world.servers.get(name)

    async def servers_view(self) -> ServersView:
        """The view of servers, on show."""
        from spice_tui.screens.servers_view import ServersView

        view = await self.show_view("servers")
        assert isinstance(view, ServersView)
        return view

    async def _open(self, server: str, page: str = "") -> ServerPanes:
        panes = await (await self.servers_view()).open(server, page)
        self.draw()
        return panes

    # -- standing up and changing

    async def action_serve(self, *words: str) -> None:
        """Stand a server up, after asking for what is not known."""
        models, entrypoint = serving.sources(words)
        await self.serve_form(models, entrypoint)

    async def action_serve_pod(self) -> None:
        """Stand up a server of the chosen pod's policy."""
        await self.serve_form([f"{self.pod_named().name}:latest"], "")

    async def serve_form(self, models: list[str], entrypoint: str) -> None:
        """Ask for the rest, and stand a server up; a refusal is shown in the form."""
        from spice_tui.screens.form import Form, FormField

        self.link.want("servers", "models")
        values = {
            "name": serving.name_of(models, entrypoint),
            "models": " ".join(models),
            "entrypoint": entrypoint,
            "pods": "1-5",
            "kind": "",
        }
        note = ""
        while True:
            fields = (
                FormField("name", "Name", "letters, digits, '-'", values["name"], required=True),
                FormField("models", "Models", "NAME:VERSION …", values["models"]),
                FormField("entrypoint", "File", "serve.py, the Predictor", values["entrypoint"]),
                FormField("pods", "Pods, least-most", "1-5", values["pods"]),
                FormField("kind", "Kind", "by itself; or onnx, sklearn, torchscript"),
            )
            answer = await self.ask_person(Form("Serve", fields, note))
            if answer is None:
                return
            values = answer
            try:
                definition = serving.definition(values, self.world)
                info = await self.ask("servers.serve", definition=definition)
            except SpiceError as error:
                note = str(error)
                continue
            break
        self.say(f"Server {info['name']} starts.")
        self.server = str(info["name"])
        view = await self.servers_view()
        await view.close()
        view.wait_for(self.server)

    async def action_start_server(self, server: str = "") -> None:
        """Start a server."""
        name = self.server_named(server)
        await self.ask("servers.start", server=name)
        self.say(f"Server {name} starts.")

    def action_stop_server(self, server: str = "") -> None:
        """Stop a server, after a while in which that can be taken back."""
        name = self.server_named(server)
        info = self._info(name)
        if info is not None and info.state == "stopped":
            raise Refused(f"server {name} is stopped already.")

        async def do() -> None:
            await self.ask("servers.stop", server=name)

        self.later(f"server {name} is stopped", do)

    def action_remove_server(self, server: str = "") -> None:
        """Remove a server, after a while in which that can be taken back."""
        name = self.server_named(server)

        async def do() -> None:
            await self.ask("servers.remove", server=name, force=True)
            self.say(f"Server {name} is removed.")

        self.later(f"server {name} is removed", do)

    def action_rollback_server(self, server: str = "", version: str = "") -> None:
        """Roll out an earlier version, after a while in which that can be taken back."""
        if server.isdecimal() and not version:
            server, version = "", server
        name = self.server_named(server)
        if version and not version.isdecimal():
            raise InvalidRequest(f"{version!r} is no version of a server.", hint="Give a number.")

        async def do() -> None:
            await self.ask("servers.rollback", server=name, version=int(version or 0))
            self.say(f"Server {name} goes back to version {version or 'before'}.")

        self.later(f"server {name} goes back to version {version or 'before'}", do)

    async def action_scale(self, *words: str) -> None:
        """Change how many pods there may be: `[SERVER] [LEAST] [MOST]`."""
        numbers = [int(word) for word in words if word.isdecimal()]
        names = [word for word in words if not word.isdecimal()]
        if len(names) > 1 or len(numbers) > 2:
            raise InvalidRequest("these arguments do not fit.", hint=":scale [SERVER] LEAST MOST.")
        name = self.server_named(names[0] if names else "")
        if not numbers:
            found = await self._ask_scale(name)
            if found is None:
                return
            numbers = found
        least, most = numbers[0], numbers[-1]
        changes = {"scaling": {"min_pods": least, "max_pods": most}}
        await self.ask("servers.update", server=name, changes=changes)
        self.say(f"Server {name}: {least} to {most} pods.")

    async def _ask_scale(self, name: str) -> list[int] | None:
        from spice_engine.protocol.servers import ServerDetails
        from spice_tui.screens.form import Form, FormField

        details = await self.fetch(ServerDetails, "servers.get", server=name)
        now = details.definition.scaling
        fields = (
            FormField("least", "At least", "0: none while nobody calls", str(now.min_pods)),
            FormField("most", "At most", value=str(now.max_pods)),
        )
        answer = await self.ask_person(Form(f"Pods of {name}", fields))
        if answer is None:
            return None
        if not (answer["least"].isdecimal() and answer["most"].isdecimal()):
            raise InvalidRequest("the numbers of pods are whole numbers.")
        return [int(answer["least"]), int(answer["most"])]

    async def action_update_code(self, server: str = "") -> None:
        """Roll out the folder's files as they are now."""
        name = self.server_named(server)
        await self.ask("servers.update", server=name, code=True)
        self.say(f"Server {name} gets the folder's files as they are now.")

    # -- looking

    async def action_open_server(self, server: str = "") -> None:
        """Show one server."""
        await self._open(self.server_named(server))

    async def action_leave_server(self) -> None:
        """Go back to the list of servers."""
        await (await self.servers_view()).close()

    async def action_predict(self, server: str = "") -> None:
        """Compose a request."""
        from spice_tui.screens.pages.server_pages import RequestPage

        page = (await self._open(self.server_named(server), "request")).page("request")
        if isinstance(page, RequestPage):
            page.composer.focus_text()

    async def action_server_curl(self, server: str = "") -> None:
        """Copy the command that sends the composed request."""
        from spice_engine.protocol.servers import ServerDetails
        from spice_tui.models.payload import first_payload
        from spice_tui.models.server_words import curl

        name = self.server_named(server)
        details = await self.fetch(ServerDetails, "servers.get", server=name)
        text = self.saved.payloads.get(name) or first_payload(details.predictor)
        line = curl(details.info.url, text, token=details.definition.door.auth == "token")
        self.copy(line, "the curl command")

    async def action_server_log(self, server: str = "", pod: str = "") -> None:
        """Follow the log of a pod, or the newest."""
        name = self.server_named(server)
        if pod and not pod.isdecimal():
            raise InvalidRequest(f"{pod!r} is no pod of a server.", hint="Give its number.")
        info = self._info(name)
        numbers = [one.number for one in info.replicas] if info is not None else []
        number = int(pod) if pod else self._chosen_pod(name) or max(numbers, default=0)
        if not number:
            raise Refused(
                f"server {name} has no pod now.", hint="View 7 lists logs of earlier ones."
            )
        await self._show_log(f"server/{name}/{number}")

    def _chosen_pod(self, server: str) -> int:
        from spice_tui.screens.servers_view import ServersView

        view = self.current_view
        panes = view.opened_server if isinstance(view, ServersView) else None
        return int(panes.replica or 0) if panes is not None and panes.server == server else 0

    async def action_request_log(self, server: str = "") -> None:
        """Follow the log of a server's requests."""
        from spice_engine.protocol.servers import ServerDetails

        name = self.server_named(server)
        source = f"server/{name}/requests"
        details = await self.fetch(ServerDetails, "servers.get", server=name)
        if not details.definition.request_log:
            written = await self.ask("logs.read", source=source, offset=0, limit=1)
            if not written["size"]:
                raise Refused(
                    f"server {name} keeps no log of its requests.",
                    hint=f"Keep one: spice-tui server update {name} --request-log.",
                )
        await self._show_log(source)

    async def _show_log(self, source: str) -> None:
        from spice_tui.screens.logs_view import LogsView

        view = await self.show_view("logs")
        assert isinstance(view, LogsView)
        view.choose(source)
