"""A running Grafana during the drill, and the check that it is restored afterwards."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ops.clients.grafana import GrafanaApi, GrafanaError
from ops.drill.grafana_content import DrillContent, GrafanaAlerts
from ops.drill.reachable_address import Address
from ops.drill.sandbox import Sandbox
from ops.drill.watcher import AlertSource
from ops.drill.webhook import webhook_receiver
from ops.report import Check, failed, judged


@dataclass
class GrafanaSession:
    """A running Grafana that takes part in the drill.

    Attributes:
        api: Client of its API.
        address: Where the drill listens for it.
        before: What it held before the drill; None until that was read.
        after: What it held after the cleanup.
        problems: What went wrong in the cleanup.
    """

    api: GrafanaApi
    address: Address
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def join(self, sandbox: Sandbox) -> Iterator[tuple[AlertSource, ...]]:
        """Give Grafana the drill's rules until the block ends.

        Yields:
            The sources that report Grafana's alerts.

        Raises:
            GrafanaError: Grafana refused something. Everything that it took is removed again.
        """
        port = sandbox.prometheus.rpartition(":")[2]
        with webhook_receiver(self.address.listen) as receiver:
            content = DrillContent(
                self.api,
                prometheus=self.address.url(int(port)),
                receiver=self.address.url(receiver.server_port, receiver.path),
                config=sandbox.config,
            )
            content.remove()
            self.before = content.inventory()
            try:
                content.create()
                content.check_data_source()
                yield GrafanaAlerts(self.api), receiver.alerts
            finally:
                self._clean_up(content)

    def _clean_up(self, content: DrillContent) -> None:
        self.problems = content.remove()
        try:
            self.after = content.inventory()
        except GrafanaError as error:
            self.problems.append(str(error))

    def restored(self) -> Check:
        """Check that Grafana holds exactly what it held before the drill."""
        name = "Grafana is restored"
        if self.before is None:
            return failed(name, "its content could not be read", "see the failure above")
        changed = [kind for kind, there in self.before.items() if self.after.get(kind) != there]
        evidence = "; ".join([*(f"{kind} differ" for kind in changed), *self.problems])
        return judged(
            name,
            evidence or f"same {', '.join(self.before)} as before",
            ok=not evidence,
            hint="delete everything named mistral-drill in Grafana, or run the drill again",
        )
