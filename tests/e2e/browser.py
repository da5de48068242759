"""The dashboard in a real browser: what it asks for, what it gets, and a picture of it."""

import os
import shutil
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import (
    Browser,
    Error,
    Page,
    Route,
    ViewportSize,
    sync_playwright,
)

from tests.e2e.harness import ROOT

BROWSER = "E2E_BROWSER"
"""Environment variable with the path of a Chromium or Chrome; by default one on PATH."""
PICTURES = ROOT / ".run" / "pictures"

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Pixels. Grafana draws only the panels that can be seen, so the window is as high as the dashboard.
_WINDOW: ViewportSize = {"width": 1600, "height": 6400}
_MILLISECONDS = 60_000.0
_BETWEEN_LOOKS = 200.0

# True once no panel waits for data; older and newer versions mark that differently. What has
# arrived is drawn within the second of two frames.
_DRAWN = """async () => {
    const waiting = '.panel-loading, [aria-label="Panel loading bar"]';
    const frame = () => new Promise(requestAnimationFrame);
    if (document.querySelector(waiting)) return false;
    await frame();
    await frame();
    return true;
}"""


@dataclass
class Shown:
    """What a panel got for its queries.

    Attributes:
        series: How many series have a value.
        errors: What Grafana or Prometheus said instead.
    """

    series: int = 0
    errors: list[str] = field(default_factory=list)


@contextmanager
def started_browser(*flags: str) -> Iterator[Browser]:
    """Run a browser without a window: one of this machine, or Playwright's own."""
    found = os.environ.get(BROWSER) or next(filter(None, map(shutil.which, _NAMES)), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=found,
                # A container's /dev/shm is too small for a high window; root can't have a sandbox.
                args=[
                    "--disable-dev-shm-usage",
                    *(["--no-sandbox"] if os.geteuid() == 0 else []),
                    *flags,
                ],
            )
        except Error as error:
            raise AssertionError(
                "no browser starts: install Chromium, name one in "
                f"{BROWSER}, or run `.venv/bin/playwright install chromium`"
            ) from error
        with browser:
            yield browser


@dataclass(frozen=True)
class _Answer:
    """What Grafana answered to a panel: an error, or the results of its queries."""

    panel: int
    error: str
    results: Mapping[str, Any]


@dataclass
class Looked:
    """What a browser saw of the dashboard: each panel by its title, and messages of the page."""

    panels: dict[str, Shown]
    messages: list[str]


def look(
    browser: Browser,
    grafana: tuple[str, str, str],
    board: Mapping[str, Any],
    *,
    theme: str,
    picture: str,
    **variables: str,
) -> Looked:
    """Open the dashboard with all of its rows, and take a picture.

    ``grafana`` is its URL, user and password. ``board`` is the dashboard as Grafana has it.
    """
    url, user, password = grafana
    login = b64encode(f"{user}:{password}".encode()).decode()
    context = browser.new_context(
        viewport=_WINDOW, extra_http_headers={"Authorization": f"Basic {login}"}
    )
    with context:
        page = context.new_page()
        page.set_default_timeout(_MILLISECONDS)
        answers: list[_Answer] = []
        messages: list[str] = []
        page.route("**/api/ds/query*", lambda route: answers.extend(_pass_on(route)))
        page.on("pageerror", lambda error: messages.append(str(error)))
        chosen = {f"var-{name}": value for name, value in variables.items()}
        query = urlencode(
            {"from": "now-15m", "to": "now", "theme": theme, "refresh": "1d", **chosen}
        )
        page.goto(f"{url}/d/{board['uid']}?{query}&kiosk")
        for row in board["panels"]:
            if row["type"] == "row" and row.get("collapsed"):
                page.get_by_test_id(f"data-testid dashboard-row-title-{row['title']}").click()
        titles = _titles(board)
        PICTURES.mkdir(parents=True, exist_ok=True)
        try:
            _await_answers(page, answers, set(titles))
            page.wait_for_function(_DRAWN)
        finally:
            page.screenshot(path=PICTURES / f"{picture}-{theme}.png")
        messages += _messages(page)
        return Looked(_panels(answers, titles), messages)


def _titles(board: Mapping[str, Any]) -> dict[int, str]:
    """Return the titles of all panels that ask for data, by their ids."""
    flat = [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", []))]
    return {panel["id"]: panel["title"] for panel in flat if panel.get("targets")}


def _pass_on(route: Route) -> list[_Answer]:
    """Let a panel have its answer, and return it: the browser itself soon forgets long ones.

    There is none if Grafana took its question back, as it does to ask another one.
    """
    try:
        response = route.fetch()
        route.fulfill(response=response)
        panel = int(route.request.headers.get("x-panel-id", 0))
        if not response.ok:
            return [_Answer(panel, f"status {response.status}: {response.text()[:500]}", {})]
        return [_Answer(panel, "", response.json()["results"])]
    except Error:
        return []


def _await_answers(page: Page, answers: list[_Answer], panels: set[int]) -> None:
    """Wait until Grafana has answered for every panel."""
    for _ in range(int(_MILLISECONDS / _BETWEEN_LOOKS)):
        missing = panels - {answer.panel for answer in answers}
        if not missing:
            return
        page.wait_for_timeout(_BETWEEN_LOOKS)
    raise AssertionError(f"panels {sorted(missing)} never asked for data")


def _panels(answers: list[_Answer], titles: dict[int, str]) -> dict[str, Shown]:
    shown = {title: Shown() for title in titles.values()}
    for answer in answers:
        if answer.panel not in titles:  # an annotation's, or a variable's
            continue
        panel = shown[titles[answer.panel]]
        if answer.error:
            panel.errors.append(answer.error)
        for result in answer.results.values():
            if "error" in result:
                panel.errors.append(str(result["error"]))
        frames = [frame for one in answer.results.values() for frame in one.get("frames", [])]
        panel.series = sum(map(_has_value, frames))
    return shown


def _has_value(frame: Mapping[str, Any]) -> bool:
    """Return whether a frame has a value besides its times."""
    _, *columns = frame["data"]["values"] or [[]]
    return any(value is not None for column in columns for value in column)


def _messages(page: Page) -> list[str]:
    """Return what the page complains about: Grafana's own words for a panel that doesn't work."""
    found = []
    for text in ("No data", "Panel plugin not found", "Data source not found"):
        found += [text] * page.get_by_text(text, exact=False).count()
    for mark in (
        ".panel-info-corner--error",
        '[data-testid="data-testid Panel status error"]',
        '[data-testid="data-testid Alert error"]',
    ):
        found += [mark] * page.locator(mark).count()
    return found
