"""The report in a real browser without a network: its 3D view, tables and theme are clicked through."""

import base64
import io

import numpy as np
import pytest

from browser import browser
from flow import Workflow, description

WIDTHS, SCHEMES = (400, 1280, 1920), ("light", "dark")
CANVAS = "#view canvas"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a small circuit with two simulations."""
    workflow = Workflow(tmp_path_factory.mktemp("reported") / "here")
    workflow.write(description())
    return workflow.built().results / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser."""
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(chromium, report):
    """The report, just opened; whatever a test does, the console is to stay silent and the network unasked."""
    chromium.errors.clear()
    chromium.asked.clear()
    chromium.open(report)
    chromium.run("localStorage.clear()")
    chromium.open(report)
    chromium.painted()
    yield chromium
    assert chromium.errors == []
    assert {address.partition(":")[0] for address in chromium.asked} <= {"file", "data"}


def pixels(page, selector=CANVAS):
    """Return (h, w, 4) uint8: what is in a canvas."""
    of = f"document.querySelector({selector!r})"
    w, h, text = page.run(
        "(c => { const copy = new OffscreenCanvas(c.width, c.height).getContext('2d', {willReadFrequently: true});"
        " copy.drawImage(c, 0, 0); const bytes = copy.getImageData(0, 0, c.width, c.height).data;"
        f" return [c.width, c.height, btoa(Array.from(bytes, b => String.fromCharCode(b)).join(''))]; }})({of})"
    )
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(h, w, 4)


def coloured(page, colour):
    """Return how many pixels of the view have about the hue of a colour."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)
    seen = pixels(page)[..., :3].astype(float)
    seen, rgb = (a - a.min(axis=-1, keepdims=True) for a in (seen, rgb))
    size = np.linalg.norm(seen, axis=-1)
    alike = (seen @ rgb) / np.where(size > 25, size, np.inf) / np.linalg.norm(rgb)
    return int((alike > 0.985).sum())


def state(page):
    """Return what the page says of the view."""
    return page.run("document.getElementById('view-state').textContent")


def background(page):
    """Return the page's colour."""
    return page.run("getComputedStyle(document.body).backgroundColor")


def test_the_circuit_is_drawn_and_types_go_on_and_off(page):
    types = page.run("JSON.parse(document.getElementById('view').dataset.cells).types.map(t => [t.name, t.colour])")
    assert [name for name, _ in types] == ["exc", "inh", "top"]
    before = {name: coloured(page, colour) for name, colour in types}
    assert all(n > 50 for n in before.values()), before
    page.click("[data-type='2']")
    after = {name: coloured(page, colour) for name, colour in types}
    assert after["top"] < before["top"] / 20 and after["exc"] > before["exc"] / 2
    assert "Shown: exc, inh." in state(page)
    page.click("[data-type='2']")
    assert coloured(page, types[2][1]) == before["top"]


def test_it_turns_by_mouse_buttons_and_keys_and_comes_back(page):
    first = pixels(page)
    assert "Turned by 325°, seen from 20° above, zoom 1.0" in state(page)
    page.drag(CANVAS, 100, 50)
    assert "Turned by 285°, seen from 40° above" in state(page)
    assert (pixels(page) != first).any()
    page.click("[data-do=top]")
    assert "Turned by 0°, seen from 90° above" in state(page)
    page.click("[data-do=closer]")
    assert "zoom 1.3" in state(page)
    page.click("[data-do=reset]")
    np.testing.assert_array_equal(pixels(page), first)
    page.run(f"document.querySelector({CANVAS!r}).focus()")
    for key in ("ArrowLeft", "ArrowUp", "+"):
        page.press(key)
    assert "Turned by 330°, seen from 25° above, zoom 1.3" in state(page)
    page.press("Home")
    np.testing.assert_array_equal(pixels(page), first)


def test_a_wheel_zooms_only_in_a_view_that_was_chosen(page):
    x, y = page.middle(CANVAS)
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200)
    page.painted()
    assert "zoom 1.0" in state(page)
    page.run(f"document.querySelector({CANVAS!r}).focus()")
    x, y = page.middle(CANVAS)
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200)
    page.painted()
    assert "zoom 1.5" in state(page)


def test_a_click_on_a_head_sorts_the_table(page):
    table = "[aria-label='Table: cells built and wanted']"
    column = f'[...document.querySelectorAll("{table} tbody tr")].map(r => Number(r.cells[2].textContent))'
    before = page.run(column)
    assert len(before) == 3 and before != sorted(before)
    page.click(f"{table} th:nth-child(3) button")
    assert page.run(column) == sorted(before)
    page.click(f"{table} th:nth-child(3) button")
    assert page.run(column) == sorted(before, reverse=True)
    assert page.run(f'document.querySelector("{table} th:nth-child(3)").ariaSort') == "descending"
    page.click(f"{table} th:nth-child(1) button")
    assert page.run(column) == before, "names are in alphabetical order at first"


def test_the_theme_is_the_readers_own_until_chosen_and_then_remembered(page, report):
    light = background(page)
    page.look(1280, scheme="dark")
    dark = background(page)
    assert dark != light
    page.run("document.getElementById('theme').focus()")
    page.press("l")
    assert background(page) == light and page.run("document.getElementById('theme').value") == "light"
    page.open(report, scheme="dark")
    assert background(page) == light
    page.run("document.getElementById('theme').focus()")
    page.press("s")
    assert background(page) == dark


def test_paper_is_light_whatever_the_theme(page):
    page.run("document.getElementById('theme').focus()")
    page.press("d")
    dark = np.median(pixels(page)[..., :3])
    page.ask("Emulation.setEmulatedMedia", media="print")
    page.run("dispatchEvent(new Event('beforeprint'))")
    ink = page.run("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()")
    assert contrast(ink, "#ffffff") > 10 and dark < 60 < 200 < np.median(pixels(page)[..., :3])
    page.ask("Emulation.setEmulatedMedia", media="")
    page.run("dispatchEvent(new Event('afterprint'))")
    assert np.median(pixels(page)[..., :3]) < 60


def test_folded_parts_open(page):
    details = "#provenance ~ details"
    assert not page.run(f"document.querySelector({details!r}).open")
    page.click(f"{details} summary")
    assert page.run(f"document.querySelector({details!r}).open")


def test_all_that_can_be_used_is_reached_by_the_tab_key_and_has_a_name(page):
    page.run("document.body.focus()")
    seen = []
    for _ in range(120):
        page.press("Tab")
        name = page.run(
            "(e => e === document.body ? '' : (e.getAttribute('aria-label') || e.labels?.[0]?.textContent ||"
            " e.textContent).trim() + ' <' + e.tagName)(document.activeElement)"
        )
        if not name or name in seen[:1]:
            break
        seen.append(name)
    assert seen[0] == "Skip to the overview <A"
    words = " ".join(seen)
    for name in (
        "Theme",
        "Circuit in 3D <A",
        "The circuit in 3D",
        "Front <BUTTON",
        "Zoom in <BUTTON",
        "inh (24) <INPUT",
    ):
        assert name in words, seen
    assert not [name for name in seen if name.startswith("<")]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window_and_text_has_contrast(page, report, width, scheme):
    from PIL import Image

    page.open(report, width, scheme=scheme)
    page.painted()
    assert page.run("document.documentElement.scrollWidth") <= width
    if width > 1000:
        cut = (
            "[...document.querySelectorAll('.table')].filter(t => t.scrollWidth > t.clientWidth).map(t => t.ariaLabel)"
        )
        assert page.run(cut) == []
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(page.screenshot()))).convert("L"))
    assert shown.shape[1] == width and (np.median(shown) > 128) == (scheme == "light")
    inks = page.run(
        "['--ink', '--quiet', '--link', '--good', '--bad', '--none'].map(n =>"
        " getComputedStyle(document.documentElement).getPropertyValue(n).trim())"
    )
    grounds = page.run(
        "['--card', '--card', '--card', '--good-ground', '--bad-ground', '--none-ground'].map(n =>"
        " getComputedStyle(document.documentElement).getPropertyValue(n).trim())"
    )
    for ink, ground in zip(inks, grounds, strict=True):
        assert contrast(ink, ground) >= 4.5, (ink, ground)


def contrast(one, other):
    """Return the contrast of two colours, as WCAG 2 defines it."""
    bright = []
    for colour in (one, other):
        c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        bright.append(linear @ [0.2126, 0.7152, 0.0722] + 0.05)
    return max(bright) / min(bright)
