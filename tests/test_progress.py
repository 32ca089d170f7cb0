"""Progress bars: one at a time, and a stage that comes again is shown again."""

from typing import Any

import numpy as np
import pytest
import tqdm

import puresid
from puresid.config import progress_bar


class Recorder:
    """Stands in for tqdm and keeps what it was told."""

    made: list["Recorder"]

    def __init__(self, *, total: int, desc: str, **_: Any) -> None:
        self.total, self.desc, self.n, self.closed = total, desc, 0, False
        assert all(other.closed for other in self.made), "two bars at once"
        self.made.append(self)

    def update(self, by: int) -> None:
        assert not self.closed
        assert by >= 0
        self.n += by

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bars(monkeypatch):
    Recorder.made = []
    monkeypatch.setattr(tqdm, "tqdm", Recorder)
    return Recorder.made


def test_a_stage_that_comes_again_gets_a_bar_again(bars):
    with progress_bar(True) as report:
        for stage, done in [("a", 1), ("a", 4), ("b", 4), ("a", 2), ("a", 4), ("a", 1)]:
            report(stage, done, 4)
    assert [(bar.desc, bar.n) for bar in bars] == [("a", 4), ("b", 4), ("a", 4), ("a", 1)]
    assert all(bar.closed for bar in bars)


def test_training_shows_its_levels_to_their_end(bars):
    vectors = np.random.default_rng(0).standard_normal((500, 4))
    puresid.RQKMeans(2, 8, n_iter=3, progress=True).fit(vectors)
    assert {bar.desc for bar in bars} == {"level 0", "level 1"}
    assert all(bar.closed and bar.n == bar.total for bar in bars)


def test_no_callback_without_a_bar(bars):
    with progress_bar(False) as report:
        assert report is None
    assert bars == []
