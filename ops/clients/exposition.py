"""What the proxy exposes at ``/metrics``, parsed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from ops.clients.proxy import ProxyApi


@dataclass(frozen=True)
class Exposition:
    """A parsed scrape, families by name."""

    families: Mapping[str, Metric]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse Prometheus' text format. Raises ValueError if it is malformed."""
        return cls({family.name: family for family in text_string_to_metric_families(text)})

    def total(self, sample_name: str, labels: Mapping[str, str] | None = None) -> float:
        """Return the sum of the samples with that name and at least these labels; 0 if none."""
        wanted = (labels or {}).items()
        return sum(
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == sample_name and wanted <= sample.labels.items()
        )

    @property
    def series(self) -> int:
        """Number of the proxy's own series."""
        return sum(
            len(family.samples)
            for name, family in self.families.items()
            if name.startswith("mistral_")
        )


def scrape(proxy: ProxyApi) -> Exposition:
    """Return the proxy's current metrics. Raises UnreachableError or ValueError."""
    return Exposition.parse(proxy.metrics().text)
