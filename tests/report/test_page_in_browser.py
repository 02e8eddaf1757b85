"""The page in a real browser without a network: no complaint, no request, and what can be moved moves."""

import itertools

import numpy as np
import pytest
from browser import Browser, required_browser

from amorph.report import write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory):
    return write_report(finished, tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    required_browser()
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def opened(browser, page):
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(page, width=800, height=560)
    return browser


def differ(one, other):
    """Share of the pixels that are not the same."""
    return (np.abs(one - other).max(axis=2) > 8).mean()


def test_it_asks_for_nothing_and_complains_of_nothing(opened, page):
    opened.call("Page.captureScreenshot")
    assert opened.complaints == []
    asked = [url for url in opened.requests if not url.startswith("data:")]
    assert asked == [page.resolve().as_uri()]


def test_the_browser_would_have_told_of_a_request(browser, tmp_path):
    """A test that nothing is asked for must be able to fail."""
    page = tmp_path / "asks.html"
    page.write_text("<div id=viewer data-ready=yes></div><img src='http://127.0.0.1:9/x.png'><script>boo()</script>")
    browser.requests.clear()
    browser.complaints.clear()
    browser.open(page)
    browser.wait("document.readyState === 'complete'")
    assert any("x.png" in url for url in browser.requests)
    assert any("boo" in str(complaint) for complaint in browser.complaints)


def test_a_hostile_title_is_text(opened, hostile):
    assert opened.run("document.querySelector('h1').textContent") == hostile
    assert opened.run("window.taken === undefined") is True
    assert opened.run("document.querySelectorAll('h1 *, .warnings img').length") == 0


def test_the_canvas_shows_something(opened):
    assert len(np.unique(opened.pixels().reshape(-1, 3), axis=0)) > 500


@pytest.mark.parametrize("dark", [False, True])
def test_the_view_stands_on_the_page(browser, page, dark):
    browser.open(page, width=800, height=560, dark=dark)
    corner = browser.pixels()[0, 0]
    assert corner.tolist() == ([20, 24, 29] if dark else [255, 255, 255])


@pytest.mark.parametrize("layer", ["polyhedra", "surface", "path", "cell", "symbols", "atoms Mg"])
def test_a_layer_is_switched(opened, layer):
    before = opened.pixels()
    opened.run(f"document.querySelector('[data-layer=\"{layer}\"]').click()")
    assert differ(before, opened.pixels()) > 1e-4
    opened.run(f"document.querySelector('[data-layer=\"{layer}\"]').click()")
    assert differ(before, opened.pixels()) < 1e-4


def slide(browser, name, value):
    browser.run(
        f"(s => {{ s.value = {value}; s.dispatchEvent(new Event('input', {{bubbles: true}})); }})"
        f"(document.querySelector('#{name}'))"
    )


def test_the_slider_moves_the_surface(opened):
    seen = []
    for level in range(5):
        slide(opened, "level", level)
        seen.append(opened.pixels())
    assert all(differ(one, other) > 1e-3 for one, other in itertools.pairwise(seen))


def test_another_field_and_the_crystal(opened):
    before = opened.pixels()
    choose = "(s => {{ s.value = 1; s.dispatchEvent(new Event('change')); }})(document.querySelector('#{}'))"
    opened.run(choose.format("field"))
    energy = opened.pixels()
    opened.run(choose.format("scene"))
    assert differ(before, energy) > 1e-3
    assert differ(energy, opened.pixels()) > 0.01


def test_the_movie_plays_and_comes_back(opened):
    before = opened.pixels()
    slide(opened, "frame", 0)
    first = opened.pixels()
    slide(opened, "frame", 3)
    assert differ(before, first) > 0.01
    assert differ(first, opened.pixels()) > 1e-3
    assert "ps" in opened.run("document.querySelector('#frame-text').textContent")
    opened.run("document.querySelector('#play').click()")
    opened.wait("Number(document.querySelector('#frame').value) !== 3")
    opened.run("document.querySelector('#back').click()")
    assert differ(before, opened.pixels()) < 1e-4


def test_views_along_the_axes(opened):
    seen = [opened.pixels()]
    for axis in range(3):
        opened.run(f"document.querySelector('[data-along=\"{axis}\"]').click()")
        seen.append(opened.pixels())
    assert all(differ(one, other) > 0.01 for k, one in enumerate(seen) for other in seen[:k])
    opened.run("document.querySelector('#oblique').click()")
    assert differ(seen[0], opened.pixels()) < 1e-4


def test_a_picture_is_saved(opened):
    opened.run(
        "HTMLAnchorElement.prototype.click = function () { window.saved = [this.download, this.href.slice(0, 22)]; }"
    )
    opened.run("document.querySelector('#png').click()")
    assert opened.run("window.saved") == ["view.png", "data:image/png;base64,"]


def test_nothing_is_wider_than_a_small_window(browser, page):
    browser.open(page, width=700, height=900)
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth") is True
