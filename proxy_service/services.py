"""The long-lived parts of one proxy, which every request uses."""

import asyncio
from dataclasses import dataclass, field

from proxy_service.clock import Clock
from proxy_service.engines.admission import Admission
from proxy_service.engines.catalogue import Catalogue
from proxy_service.engines.client import Engine
from proxy_service.engines.endpoints import MissingEndpoints
from proxy_service.memory import MemoryTrimmer
from proxy_service.server.access import AllowedHosts, AllowedOrigins, Keys, WrongKeys
from proxy_service.server.budgets import BodyBudget, HeadBudget, Room
from proxy_service.server.large_bodies import LargeBodies
from proxy_service.server.open_connections import OpenConnections
from proxy_service.server.turns import Turns
from proxy_service.settings.schema import ProxySettings
from proxy_service.telemetry.lag import LagMeter
from proxy_service.telemetry.metrics import ProxyMetrics
from proxy_service.telemetry.scrapes import Scrapes


@dataclass(frozen=True, slots=True)
class Services:
    """The long-lived parts of one proxy."""

    settings: ProxySettings
    engine: Engine
    metrics: ProxyMetrics
    scrapes: Scrapes
    clock: Clock
    catalogue: Catalogue
    missing_endpoints: MissingEndpoints
    lag: LagMeter
    memory: MemoryTrimmer
    admission: Admission
    origins: AllowedOrigins
    hosts: AllowedHosts
    keys: Keys
    wrong_keys: WrongKeys
    body_budget: BodyBudget
    head_budget: HeadBudget
    response_room: Room
    open_connections: OpenConnections
    turns: Turns
    large_bodies: LargeBodies
    reported_options: set[str] = field(default_factory=set)
    reported_keywords: set[str] = field(default_factory=set)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
