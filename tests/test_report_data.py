"""The items in a page: they come back, stay texts whatever they say, and fit into 5 MB."""

import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import puresid
from puresid.report.collect import in_order
from puresid.report.pack import cut, one_line, pack_distances
from report_page import Page, distances, items_of, small_catalogue

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "\"'><svg onload=alert(1)>",
    "{{data}} {{title}} \\1 \\g<0>",
    "]]> &lt;b&gt; &amp; &#60;",
    "one\u2028two\u2029three\nfour\tfive\x00six\x85seven",
    "lone \ud800 surrogate",
    "\u202eright to left",
    "",
)


@pytest.fixture(scope="module")
def vectors():
    return small_catalogue()[0]


@pytest.fixture(scope="module")
def codebooks():
    return small_catalogue()[1]


@pytest.fixture
def make(tmp_path, vectors, codebooks):
    """Write a report and read it back."""

    def make(given=vectors, books=codebooks, **options):
        path = tmp_path / "report.html"
        puresid.report(given, books, path, **options)
        return Page(path)

    return make


class TestItems:
    @pytest.mark.parametrize("method", ["ecm", "suffix", "nearest"])
    def test_come_back_out_of_the_page(self, make, vectors, codebooks, method):
        keys = [f"B{row:05d}" for row in range(200)]
        texts = [None if row == 7 else f"Über {row} “quoted” <b>" for row in range(200)]
        page = make(methods=(method,), keys=np.array(keys), texts=texts)
        result = puresid.assign(vectors, codebooks, method)
        nearest = puresid.assign(vectors, codebooks, "nearest")
        found = items_of(page)
        np.testing.assert_array_equal(found["sids"], result.sids)
        assert found["stages"] == result.stages.tolist()
        np.testing.assert_allclose(found["distortion"], result.distortion, rtol=2e-4)
        assert found["keys"] == keys
        assert found["texts"] == [text or "" for text in texts]
        moved = np.flatnonzero(result.stages > 0).tolist()
        assert found["nearest"] == {row: nearest.sids[row].tolist() for row in moved}
        assert (method == "ecm") == bool(moved)
        order = [tuple(result.sids[row].tolist()) for row in found["rows"]]
        assert order == sorted(order)

    def test_without_keys_and_texts(self, make):
        data = make().data()["items"]
        assert data["keys"] is None
        assert data["texts"] is None
        assert data["listed"] == data["items"] == 200

    def test_large_tokens(self, make):
        first = np.random.default_rng(0).standard_normal((70_000, 8))
        books = [first, np.array([np.zeros(8), np.full(8, 1e-3)])]
        page = make(first[[69_999, 300, 299, 2, 2]], books)
        assert np.array(items_of(page)["sids"]).tolist() == [
            *([69_999, 0], [300, 0], [299, 0], [2, 0], [2, 1])
        ]

    @given(
        st.lists(st.floats(0, 2.0**99, width=32).filter(lambda x: x == 0 or x > 1e-30), min_size=1)
    )
    def test_distances_keep_four_digits(self, values):
        found = distances(pack_distances(np.array(values, np.float32)))
        np.testing.assert_allclose(found, values, rtol=2e-3)

    @given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1))
    def test_order_and_prefixes(self, rows):
        ordered = in_order(np.array(rows, np.uint16))
        expected = sorted(range(len(rows)), key=lambda row: (rows[row], row))
        assert ordered.order.tolist() == expected
        for length in (1, 2, 3):
            prefixes = Counter(tuple(row[:length]) for row in rows)
            assert ordered.counts(length).tolist() == [prefixes[key] for key in sorted(prefixes)]


class TestHostileTexts:
    @pytest.mark.parametrize("where", ["texts", "keys", "title"])
    def test_stay_texts(self, make, where):
        # All items in one conflict, so that each hostile text stands in the HTML and in the data.
        given, books = np.zeros((len(HOSTILE), 1)), [np.zeros((4, 1)), np.zeros((4, 1))]
        plain = make(given, books, **{where: "plain" if where == "title" else ["plain"] * 9})
        tags = Counter(tag for tag, _, _ in plain.elements)
        for text in HOSTILE if where == "title" else [None]:
            page = make(given, books, **{where: HOSTILE if text is None else text})
            assert Counter(tag for tag, _, _ in page.elements) == tags
            assert "<img" not in page.source
            assert page.source.count("<script") == page.source.count("</script") == 2
            assert page.source.isprintable() or set(page.source) - {"\n"} == {
                char for char in page.source if char.isprintable()
            }
            if text is None:
                assert items_of(page)[where] == [one_line(one) for one in HOSTILE]
                for one in HOSTILE:
                    assert one_line(one) in page.text()
            else:
                assert page.data()["title"] == one_line(text)
                assert page.all("h1")[0][2] == one_line(text)

    def test_become_one_printable_line(self):
        assert one_line(" a\n\tb \u2028c ") == "a b c"
        assert one_line("a\x00b\ud800") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
        assert one_line(12) == "12"

    @given(st.text(), st.integers(2, 10))
    def test_are_cut_to_a_width(self, text, width):
        short_text = cut(text, width)
        assert len(short_text) <= width
        assert short_text == text or short_text == text[: width - 1] + "…"


class TestSize:
    @pytest.fixture
    def many(self):
        """100,000 items of 2 dimensions in clusters, and texts that hardly compress."""
        rng = np.random.default_rng(0)
        centres = rng.standard_normal((300, 2)).astype(np.float32)
        vectors = centres[rng.integers(0, 300, 100_000)]
        vectors += rng.standard_normal(vectors.shape, np.float32) / 10
        levels = [rng.standard_normal((256, 2)).astype(np.float32) / 4**level for level in range(3)]
        letters = rng.integers(0x61, 0x7B, (100_000, 200), np.uint8)
        return vectors, levels, [line.tobytes().decode() for line in letters]

    def test_100_000_items_with_texts_stay_below_5_mb(self, make, many, tmp_path):
        vectors, levels, texts = many
        keys = [text[:12] for text in texts]
        page = make(vectors, levels, keys=keys, texts=texts)
        assert (tmp_path / "report.html").stat().st_size < 5_000_000
        data = page.data()["items"]
        assert data["listed"] == data["items"] == 100_000
        found = items_of(page)
        assert found["keys"] == keys
        width = len(found["texts"][0])
        assert width in (24, 40)
        assert found["texts"] == [cut(text, width) for text in texts]
        assert f"100,000 of 100,000 texts are cut to {width} characters" in page.text()

    def test_what_does_not_fit_is_left_out_and_said(
        self, make, monkeypatch, tmp_path, vectors, codebooks
    ):
        keys = [f"{row:0100d}" if row < 3 else str(row) for row in range(200)]
        texts = [" ".join(str(row * place % 1009) for place in range(99)) for row in range(200)]
        whole = make(keys=keys, texts=texts)
        assert "3 keys are cut to 64 characters" in whole.text()
        assert "200 of 200 texts are cut to 160 characters" in whole.text()
        module = sys.modules["puresid.report"]  # puresid.report is the function
        monkeypatch.setattr(module, "MOST_BYTES", 1_000)
        most = len(make(keys=keys, texts=texts).source.encode()) + 5_000
        monkeypatch.setattr(module, "MOST_BYTES", most)
        page = make(keys=keys, texts=texts)
        assert (tmp_path / "report.html").stat().st_size <= most
        data = page.data()
        listed = data["items"]["listed"]
        assert listed in (50, 100)
        assert data["figures"] == whole.data()["figures"]
        assert f"The list holds {listed} of the 200 items, chosen at random" in page.text()
        found = items_of(page)
        sids = puresid.assign(vectors, codebooks).sids[found["rows"]].tolist()
        assert len(found["rows"]) == listed
        assert sids == sorted(sids)
        assert found["texts"][0] == cut(texts[min(found["rows"])], len(found["texts"][0]))
        assert items_of(page)["rows"] != items_of(make(random_state=1))["rows"]

    def test_a_page_without_room_for_an_item(self, make, monkeypatch):
        monkeypatch.setattr(sys.modules["puresid.report"], "MOST_BYTES", 1_000)
        page = make()
        assert page.data()["items"] == {}
        assert "No item is listed" in page.text()
