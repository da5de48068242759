"""What the drill puts into a Grafana, and that it takes all of it out again."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ops.drill.grafana import DrillContent, with_route, without_route
from ops.drill.pace import Pace
from ops.services.grafana_api import GrafanaApi, GrafanaError
from tests.ops.drill.grafana_standin import OWN_TREE, GrafanaStandIn, grafana_standin

VERSIONS = ["9.4.0-pre", "11.6.1", "13.2.3"]


@contextmanager
def content_of(grafana: GrafanaStandIn) -> Iterator[DrillContent]:
    with grafana_standin(grafana) as url:
        api = GrafanaApi(url, "admin", "secret")
        yield DrillContent(api, "http://here:1", "http://here:2/x", Pace())


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_there_before_is_all_that_is_there_afterwards(version: str) -> None:
    grafana = GrafanaStandIn(version)
    with content_of(grafana) as content:
        before = content.inventory()
        content.create()
        meanwhile = content.inventory()

        assert content.remove() == []

        assert content.inventory() == before
        assert meanwhile != before
    assert grafana.misled == []


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_killed_drill_left_behind_is_removed_by_the_next(version: str) -> None:
    grafana = GrafanaStandIn(version)
    with content_of(grafana) as content:
        before = content.inventory()
        content.create()

        content.remove()
        content.create()
        content.remove()

        assert content.inventory() == before


def test_half_made_content_is_removed_too() -> None:
    grafana = GrafanaStandIn(
        refuses={"/api/v1/provisioning/folder/mistral-drill/rule-groups/mistral"}
    )
    with content_of(grafana) as content:
        before = content.inventory()
        with pytest.raises(GrafanaError, match="gave 403"):
            content.create()

        assert content.remove() == []

        assert content.inventory() == before


def test_what_cannot_be_removed_is_told_and_the_rest_is_removed() -> None:
    grafana = GrafanaStandIn()
    with content_of(grafana) as content:
        content.create()
        grafana.refuses.add("/api/datasources/uid/mistral-drill")

        (problem,) = content.remove()

    assert "/api/datasources/uid/mistral-drill gave 403" in problem
    assert set(grafana.folders) == {"team"}
    assert grafana.rules == {}


def test_a_current_grafana_s_policies_are_not_touched() -> None:
    grafana = GrafanaStandIn("12.4.0")
    with content_of(grafana) as content:
        content.create()

    assert grafana.tree == OWN_TREE
    assert all(
        rule["notification_settings"]["receiver"] == "mistral-drill"
        for rule in grafana.rules.values()
    )


def test_an_old_grafana_gets_a_route_before_all_others_for_the_drill_s_alerts_alone() -> None:
    grafana = GrafanaStandIn("10.2.0")
    with content_of(grafana) as content:
        content.create()

    first, *others = grafana.tree["routes"]
    assert first["object_matchers"] == [["drill", "=", "mistral-drill"]]
    assert others == OWN_TREE["routes"]
    assert {rule["labels"]["drill"] for rule in grafana.rules.values()} == {"mistral-drill"}


@pytest.mark.parametrize(
    ("tree", "freed"), [(OWN_TREE, True), ({**OWN_TREE, "provenance": "api"}, False)]
)
def test_policies_stay_as_editable_as_they_were(tree: dict[str, object], *, freed: bool) -> None:
    grafana = GrafanaStandIn("10.2.0", tree=dict(tree))
    with content_of(grafana) as content:
        content.create()

    assert ("X-Disable-Provenance" in grafana.headers[0]) is freed


def test_a_tree_without_routes_gets_none_when_ours_goes() -> None:
    tree = {"receiver": "team"}

    assert without_route(with_route(tree)) == tree


def test_the_drill_s_rules_are_the_project_s_at_a_quicker_pace() -> None:
    pace = Pace()

    groups = pace.grafana_rules("x", "current")

    assert {group.interval_seconds for group in groups} == {10}
    assert "[15s]" in pace.prometheus_rules()
    assert "5m" not in pace.prometheus_rules()


def test_a_refused_login_names_the_question_but_not_the_password() -> None:
    grafana = GrafanaStandIn(refuses={"/api/folders"})
    with content_of(grafana) as content, pytest.raises(GrafanaError) as caught:
        content.inventory()

    assert "GET /api/folders gave 403" in str(caught.value)
    assert "secret" not in str(caught.value)
