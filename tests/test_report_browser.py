"""The page in a real browser: nothing to complain about, no network, and a tree that opens."""

import json

import numpy as np
import pytest

import puresid
from browser import Browser, find_chromium

READY = "document.documentElement.dataset.ready === 'true'"
FOCUS = "document.activeElement"
WIDTHS = (400, 1400)


@pytest.fixture(scope="module")
def browser():
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on the path, and PURESID_CHROMIUM names none")
    opened = Browser(program)
    yield opened
    opened.close()


@pytest.fixture
def show(browser, tmp_path, monkeypatch):
    """Write a report and open it."""

    def show(vectors, books, **options):
        path = tmp_path / "report.html"
        puresid.report(vectors, books, path, **options)
        browser.screen(1400)
        browser.open(path, READY)
        assert browser.requests == [path.as_uri()]
        assert browser.problems == []
        return browser

    return show


@pytest.fixture
def grid(show):
    """A page of 4 x 4 x 4 SIDs, all taken: SID a-b-c belongs to the item abc."""
    levels = [scale * np.arange(4.0)[:, None] for scale in (100, 10, 1)]
    vectors = [[100.0 * a + 10 * b + c] for a in range(4) for b in range(4) for c in range(4)]
    names = [f"{a}{b}{c}" for a in range(4) for b in range(4) for c in range(4)]
    texts = [f"<b>text {name}</b>" for name in names]
    return show(vectors, levels, keys=[f"K{name}" for name in names], texts=texts)


def entries(browser, prefix=""):
    """Return the labels of the entries that can be seen, those with a prefix only."""
    labels = browser.evaluate(
        "[...document.querySelectorAll('#root [role=treeitem]')]"
        ".filter((one) => one.checkVisibility())"
        ".map((one) => one.getAttribute('aria-label') ?? one.textContent)"
    )
    return [label for label in labels if label.startswith(prefix)]


def focus(browser):
    return browser.evaluate(f"{FOCUS}.getAttribute('aria-label')")


class TestTree:
    def test_clicks_open_and_close_prefixes(self, grid):
        assert entries(grid) == [f"{a}: 16 items of 16" for a in range(4)]
        grid.click("#root > li:nth-child(3) > .node")
        assert entries(grid, "2-") == [f"2-{b}: 4 items of 4" for b in range(4)]
        grid.click("[aria-label^='2-1: '] > .node")
        leaves = [f"2-1-{c}: K21{c} <b>text 21{c}</b>" for c in range(4)]
        assert entries(grid, "2-1-") == leaves
        said = grid.evaluate("document.querySelector(\"[aria-label^='2-1-3:']\").innerText")
        assert said.split("\n")[0] == "2-1-3"
        assert "K213" in said
        assert "<b>text 213</b>" in said
        assert "nearest, squared distance 0" in said
        grid.click("#root > li:nth-child(3) > .node")
        assert entries(grid) == [f"{a}: 16 items of 16" for a in range(4)]
        grid.click("#root > li:nth-child(3) > .node")
        assert entries(grid, "2-1-") == leaves
        assert grid.evaluate("document.querySelectorAll('main b:not(dd b)').length") == 0

    def test_keys_do_the_same(self, grid):
        grid.evaluate("document.getElementById('query').focus()")
        grid.press("Tab")
        assert focus(grid).startswith("0: ")
        grid.press("ArrowDown")
        grid.press("Enter")
        assert len(entries(grid, "1-")) == 4
        grid.press("ArrowRight")
        assert focus(grid).startswith("1-0: ")
        grid.press("ArrowRight")
        grid.press("ArrowDown")
        assert focus(grid).startswith("1-0-0: K100")
        grid.press("ArrowLeft")
        assert focus(grid).startswith("1-0: ")
        grid.press("ArrowLeft")
        grid.press("ArrowLeft")
        assert focus(grid).startswith("1: ")
        grid.press("Enter")
        assert entries(grid, "1-") == []
        grid.press("End")
        assert focus(grid).startswith("3: ")
        grid.press("ArrowUp")
        assert focus(grid).startswith("2: ")
        grid.press("Home")
        assert focus(grid).startswith("0: ")

    def test_a_moved_item_says_where_it_comes_from(self, show):
        levels = [[[0.0], [8.0]], [[0.0], [1.0]]]
        browser = show([[8.1], [8.2], [0.2]], levels)
        assert entries(browser)[0] == "0-0: row 2 "
        browser.click("#root > li:nth-child(2) > .node")
        assert entries(browser, "1-") == ["1-0: row 0 ", "1-1: row 1 "]
        said = browser.evaluate("document.querySelector(\"[aria-label^='1-1']\").innerText")
        assert "tier 1, squared distance 0.640, nearest is 1-0" in said

    def test_items_that_share_a_sid(self, show):
        browser = show([[0.0]] * 3, [[[0.0], [8.0]]], methods=("nearest",), evaluation=False)
        assert entries(browser) == ["0: 3 items"]
        browser.click("#root .node")
        assert entries(browser, "0: row") == [f"0: row {row} " for row in range(3)]

    def test_many_children_come_in_parts(self, show):
        levels = [np.arange(500.0)[:, None], np.array([[0.0], [0.25]])]
        browser = show(np.arange(500.0)[:, None], levels, keys=range(500))
        assert len(entries(browser)) == 257
        assert entries(browser)[-1] == "Show more: 244 left"
        browser.click("#root > .more")
        assert len(entries(browser)) == 500
        assert focus(browser) == "256-0: 256 "

    def test_the_search_draws_the_parts_that_it_needs(self, show):
        levels = [np.arange(900.0)[:, None], np.array([[0.0], [0.25]])]
        browser = show(np.arange(900.0)[:, None], levels, keys=range(900))
        browser.evaluate("document.getElementById('query').focus()")
        browser.type("599-0")
        browser.press("Enter")
        assert focus(browser) == "599-0: 599 "
        assert len(entries(browser)) == 601
        assert entries(browser)[-1] == "Show more: 300 left"


class TestSearch:
    def look(self, browser, text):
        browser.evaluate(
            "(() => { const one = document.getElementById('query'); "
            "one.focus(); one.value = ''; })()"
        )
        browser.type(text)
        browser.wait(
            "document.getElementById('hits').dataset.of === document.getElementById('query').value"
        )
        said = browser.evaluate("document.getElementById('found').textContent")
        hits = "[...document.querySelectorAll('#hits button')].map((one) => one.textContent)"
        return said, browser.evaluate(hits)

    @pytest.mark.parametrize("text", ["2-1", "2 1", "2, 1", "<a_2><b_1>", " 2-1 "])
    def test_a_prefix(self, grid, text):
        said, hits = self.look(grid, text)
        assert said.startswith("The prefix 2-1; ")
        assert hits[0] == "2-1: 4 items"
        grid.press("Enter")
        assert focus(grid) == "2-1: 4 items of 4"
        assert len(entries(grid, "2-1-")) == 4

    def test_a_key_and_a_word(self, grid):
        said, hits = self.look(grid, "k312")
        assert said == "1 item by key or text."
        assert hits == ["3-1-2: K312 <b>text 312</b>"]
        grid.click("#hits button")
        assert focus(grid) == "3-1-2: K312 <b>text 312</b>"
        said, hits = self.look(grid, "TEXT")
        assert said == "64 items by key or text, the first 50 shown."
        assert len(hits) == 50

    def test_nothing(self, grid):
        assert self.look(grid, "9-9") == (
            "No item with the prefix 9-9; 0 items by key or text.",
            [],
        )
        assert self.look(grid, "1-1-1-1") == ("0 items by key or text.", [])
        assert self.look(grid, "absent") == ("0 items by key or text.", [])

    def test_a_sid_of_a_conflict_group_leads_to_the_tree(self, show):
        levels = [[[0.0], [8.0]], [[0.0], [1.0]]]
        browser = show([[8.1], [8.2], [0.2]], levels)
        browser.click("#groups a[data-sid='1-1']")
        assert focus(browser) == "1-1: row 1 "


class TestLook:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", WIDTHS)
    def test_fits_its_width_in_both_schemes(self, grid, width, scheme):
        grid.screen(width, scheme)
        grid.click("#root > li:nth-child(3) > .node")
        grid.click("[aria-label^='2-1: '] > .node")
        assert grid.evaluate("document.documentElement.scrollWidth") == width
        outside = grid.evaluate(
            "[...document.querySelectorAll('main *')].filter((one) => !one.closest('.scroll, svg') "
            "&& one.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert outside == 0
        red = grid.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0]")
        assert (int(red) > 200) == (scheme == "light")

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_texts_can_be_told_from_the_ground(self, grid, scheme):
        grid.screen(1400, scheme)
        pairs = grid.evaluate(
            "[...document.querySelectorAll('p, th, td, span, a, dt, dd, summary, h2')]"
            ".map((one) => getComputedStyle(one).color + ';' + getComputedStyle("
            "one.closest('figure, .card') ?? document.body).backgroundColor)"
        )
        for pair in set(pairs):
            assert contrast(*pair.split(";")) >= 4.5, pair

    @pytest.mark.parametrize("largest", [3, 30, 105, 1000, 2389])
    def test_texts_of_the_plots_do_not_leave_them(self, show, largest):
        levels = [np.arange(4.0)[:, None], np.zeros((4096, 1)), np.zeros((2, 1))]
        rows = np.repeat([0.0, 1.0, 2.0], [largest, max(largest - 1, 1), 1])
        browser = show(rows[:, None], levels)
        outside = browser.evaluate(
            "[...document.querySelectorAll('svg text')].filter((one) => { "
            "const box = one.getBoundingClientRect(); "
            "const all = one.closest('svg').getBoundingClientRect(); "
            "return box.left < all.left - 1 || box.right > all.right + 1; })"
            ".map((one) => one.textContent)"
        )
        assert outside == []


def contrast(*colours):
    """Return the contrast ratio of WCAG 2."""
    light = []
    for colour in colours:
        parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


class TestCatalogues:
    def test_hostile_texts_run_nothing(self, show):
        hostile = "</script><img src=x onerror=console.error(1)><script>console.error(2)</script>"
        levels = [np.zeros((4, 1)), np.zeros((4, 1))]
        browser = show(np.zeros((5, 1)), levels, keys=[hostile] * 5, texts=[hostile] * 5)
        browser.click("#root .node")
        browser.evaluate("document.getElementById('query').focus()")
        browser.type("</script>")
        browser.wait("document.querySelectorAll('#hits button').length === 5")
        assert browser.evaluate("document.images.length + document.scripts.length") == 2
        assert browser.problems == []

    def test_100_000_items(self, show, tmp_path):
        rng = np.random.default_rng(0)
        centres = rng.standard_normal((400, 2)).astype(np.float32)
        vectors = centres[rng.integers(0, 400, 100_000)]
        vectors += rng.standard_normal(vectors.shape, np.float32) / 10
        levels = [rng.standard_normal((256, 2)).astype(np.float32) / 4**level for level in range(3)]
        texts = [f"item {row} of {row % 977} and {row % 1009}" for row in range(100_000)]
        browser = show(vectors, levels, texts=texts)
        assert (tmp_path / "report.html").stat().st_size < 5_000_000
        row = 54_321
        sid = "-".join(map(str, puresid.assign(vectors, levels).sids[row].tolist()))
        browser.evaluate("document.getElementById('query').focus()")
        browser.type(sid)
        browser.press("Enter")
        assert focus(browser) == f"{sid}: row {row} {texts[row]}"
        first = sid.split("-")[0]
        assert (
            browser.evaluate(
                f"document.querySelector(\"#root > [aria-label^='{first}:']\").ariaExpanded"
            )
            == "true"
        )
        assert browser.problems == []
        assert len(browser.requests) == 1

    def test_office(self, show, data_folder):
        vectors = np.load(data_folder / "office" / "minilm_384d.npy")
        items = json.loads((data_folder / "office" / "items.json").read_text(encoding="utf-8"))
        codebooks = puresid.RQKMeans(3, 32, n_iter=5).fit(vectors).codebooks
        titles = [item["title"] for item in items.values()]
        browser = show(vectors, codebooks, keys=items, texts=titles)
        browser.evaluate("document.getElementById('query').focus()")
        browser.type("ink cartridge")
        browser.wait("document.querySelectorAll('#hits button').length === 50")
        browser.press("Enter")
        assert "ink cartridge" in focus(browser).lower()
        assert browser.problems == []
