"""The route table agrees with what else knows its paths."""

from proxy_service.routes import openai
from proxy_service.routes.table import ROUTES
from proxy_service.wire.engine_paths import OPERATIONS


def test_every_path_that_is_passed_through_has_an_operation_in_the_metrics() -> None:
    """The engine is called at the same path; without an operation it would count as "other"."""
    passed_through = {route.path for route in ROUTES if route.handler is openai.generate}

    assert passed_through != set()
    assert passed_through - set(OPERATIONS) == set()
