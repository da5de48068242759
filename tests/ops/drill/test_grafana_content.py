"""What the drill adds to a Grafana, and that it removes all of it again."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ops.clients.grafana import GrafanaApi, GrafanaError
from ops.drill.grafana_content import DrillContent, with_route, without_route
from ops.drill.intervals import DrillConfig
from tests.ops.drill.stand_in_grafana import OWN_TREE, GrafanaStandIn, grafana_standin

VERSIONS = ["9.4.0-pre", "11.6.1", "13.2.3"]


@contextmanager
def content_of(grafana: GrafanaStandIn) -> Iterator[DrillContent]:
    with grafana_standin(grafana) as url:
        api = GrafanaApi(url, "admin", "secret")
        yield DrillContent(api, "http://here:1", "http://here:2/x", DrillConfig())


@pytest.mark.parametrize("version", VERSIONS)
def test_afterwards_grafana_holds_what_it_held_before(version: str) -> None:
    grafana = GrafanaStandIn(version)
    with content_of(grafana) as content:
        before = content.inventory()
        content.create()
        during = content.inventory()

        assert content.remove() == []

        assert content.inventory() == before
        assert during != before
    assert grafana.misrouted == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_next_drill_removes_what_a_killed_one_left_behind(version: str) -> None:
    grafana = GrafanaStandIn(version)
    with content_of(grafana) as content:
        before = content.inventory()
        content.create()

        content.remove()
        content.create()
        content.remove()

        assert content.inventory() == before


def test_partly_created_content_is_removed_too() -> None:
    grafana = GrafanaStandIn(
        refuses={"/api/v1/provisioning/folder/mistral-drill/rule-groups/mistral"}
    )
    with content_of(grafana) as content:
        before = content.inventory()
        with pytest.raises(GrafanaError, match="returned 403"):
            content.create()

        assert content.remove() == []

        assert content.inventory() == before


def test_what_cannot_be_removed_is_reported_and_the_rest_is_removed() -> None:
    grafana = GrafanaStandIn()
    with content_of(grafana) as content:
        content.create()
        grafana.refuses.add("/api/datasources/uid/mistral-drill")

        (problem,) = content.remove()

    assert "/api/datasources/uid/mistral-drill returned 403" in problem
    assert set(grafana.folders) == {"team"}
    assert grafana.rules == {}


def test_the_policies_of_a_current_grafana_are_not_touched() -> None:
    grafana = GrafanaStandIn("12.4.0")
    with content_of(grafana) as content:
        content.create()

    assert grafana.tree == OWN_TREE
    assert all(
        rule["notification_settings"]["receiver"] == "mistral-drill"
        for rule in grafana.rules.values()
    )


def test_an_old_grafana_gets_a_first_route_that_matches_only_the_drills_alerts() -> None:
    grafana = GrafanaStandIn("10.2.0")
    with content_of(grafana) as content:
        content.create()

    first, *others = grafana.tree["routes"]
    assert first["object_matchers"] == [["drill", "=", "mistral-drill"]]
    assert others == OWN_TREE["routes"]
    assert {rule["labels"]["drill"] for rule in grafana.rules.values()} == {"mistral-drill"}


@pytest.mark.parametrize(
    ("tree", "editable"), [(OWN_TREE, True), ({**OWN_TREE, "provenance": "api"}, False)]
)
def test_policies_stay_as_editable_as_they_were(tree: dict[str, object], *, editable: bool) -> None:
    grafana = GrafanaStandIn("10.2.0", tree=dict(tree))
    with content_of(grafana) as content:
        content.create()

    assert ("X-Disable-Provenance" in grafana.headers[0]) is editable


def test_removing_our_route_leaves_a_tree_without_routes_as_it_was() -> None:
    tree = {"receiver": "team"}

    assert without_route(with_route(tree)) == tree


def test_the_drills_rules_are_the_projects_with_shorter_intervals() -> None:
    config = DrillConfig()

    groups = config.grafana_rules("x", "current")

    assert {group.interval_seconds for group in groups} == {10}
    assert "[15s]" in config.prometheus_rules()
    assert "5m" not in config.prometheus_rules()


def test_a_refused_login_reports_the_path_but_not_the_password() -> None:
    grafana = GrafanaStandIn(refuses={"/api/folders"})
    with content_of(grafana) as content, pytest.raises(GrafanaError) as caught:
        content.inventory()

    assert "GET /api/folders returned 403" in str(caught.value)
    assert "secret" not in str(caught.value)
