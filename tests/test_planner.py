"""The planner: the occupancy curve, predictions against measurements, the recommendation."""

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import puresid
from puresid import RQKMeans, cli, plan
from puresid.judging.occupancy import (
    Measurement,
    Occupancy,
    conflict_rate,
    crowding_of,
    usable,
)

# The occupancy curve ------------------------------------------------------------------------------


def test_even_use_is_the_classical_occupancy():
    """As many distinct SIDs as n balls fill of C boxes: C (1 - (1 - 1/C)^n), for many boxes."""
    for items, capacity in ((10_000, 10**5), (10**5, 10**5), (500_000, 10**5)):
        distinct = capacity * (1 - (1 - 1 / capacity) ** items)
        found = conflict_rate(np.array([items / capacity]), np.array([0.0]))[0]
        assert found == pytest.approx(1 - distinct / items, rel=2e-4)


def test_crowded_use_is_what_gamma_weights_give():
    rng = np.random.default_rng(0)
    items, capacity, spread = 20_000, 50_000, 3.0
    weights = rng.gamma(1 / spread, size=capacity)
    drawn = rng.choice(capacity, items, p=weights / weights.sum())
    found = conflict_rate(np.array([items / capacity]), np.array([np.log1p(spread)]))[0]
    assert found == pytest.approx(1 - len(np.unique(drawn)) / items, rel=0.03)


@given(st.floats(-12, 8), st.floats(0, 14))
def test_crowding_is_what_was_put_in(log_load, crowding):
    load = np.array([np.exp(log_load)])
    rate = conflict_rate(load, np.array([crowding]))
    assert 0 <= rate[0] <= 1
    again = conflict_rate(load, crowding_of(rate, load))
    np.testing.assert_allclose(again, rate, rtol=1e-6, atol=1e-12)


@given(st.floats(-12, 8), st.floats(0, 14), st.floats(0.01, 3))
def test_conflicts_grow_with_crowding_and_load(log_load, crowding, more):
    load, high = np.array([np.exp(log_load)]), np.array([crowding + more])
    rate = conflict_rate(load, np.array([crowding]))[0]
    assert conflict_rate(load, high)[0] >= rate
    assert conflict_rate(load * np.exp(more), np.array([crowding]))[0] >= rate


def exact(items, size, levels, spread):
    """Measurements of a catalogue whose crowding is the same at every size."""
    load = np.array([items / size**levels])
    return Measurement(items, size, float(conflict_rate(load, np.array([spread]))[0]), 4)


def test_a_constant_crowding_is_carried_over():
    measured = [exact(n, k, 2, 0.6) for n in (500, 1000, 2000) for k in (16, 32, 64, 128, 256)]
    model = Occupancy(measured, 2)
    for items, size in ((10_000, 64), (10_000, 256), (50_000, 256)):
        truth = exact(items, size, 2, 0.6).rate
        found = model.predict(items, size)
        assert found.value == pytest.approx(truth, rel=0.15)
        assert found.low <= truth <= found.high


def test_without_measurements_little_is_claimed():
    found = Occupancy([], 2).predict(10_000, 256)
    assert 0 < found.low < found.value < found.high < 1
    assert found.high > 5 * found.low


def test_no_conflicts_bound_the_rate():
    none = [Measurement(2000, size, 0.0, 1) for size in (64, 128, 256)]
    some = [Measurement(2000, size, 12.8 / size, 1) for size in (64, 128, 256)]
    assert Occupancy(none, 3).predict(10_000, 256).high < Occupancy(some, 3).predict(10**4, 256).low


def test_what_is_left_out():
    few_rows = Measurement(100, 20, 0.5, 1)
    kept = [Measurement(800, 20, 0.5, 1), Measurement(800, 40, 0.3, 1)]
    grows = [Measurement(800, 50, 0.4, 1), Measurement(800, 60, 0.2, 1)]
    full = Measurement(1600, 4, 0.99, 1)
    assert usable([few_rows, full, *grows, *kept]) == kept


# The plan -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue():
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((200, 12)) * rng.gamma(2, 1, (200, 1))
    vectors = centres[rng.integers(0, 200, 4000)] + 1.5 * rng.standard_normal((4000, 12))
    return vectors.astype(np.float32)


@pytest.fixture(scope="module")
def planned(catalogue):
    return plan(catalogue, sizes=(16, 32, 64), levels=(2, 3), sample=0.2)


def measured_rate(vectors, levels, size, seed=0):
    books = RQKMeans(levels, size, random_state=seed).fit(vectors).codebooks
    summary = puresid.assign(vectors, books, "nearest").summary()
    return summary.conflicts / summary.items, summary.distortion


def test_predictions_of_a_made_catalogue(catalogue, planned):
    assert (planned.items, planned.sample) == (4000, 800)
    variance = np.var(catalogue, axis=0).sum()
    for one in planned.settings:
        rate, distortion = measured_rate(catalogue, one.levels, one.size)
        assert one.conflict_rate.low <= rate <= one.conflict_rate.high
        assert one.distortion_ratio == pytest.approx(distortion / variance, rel=0.1)
        if one.levels == 2:
            assert one.conflict_rate.value == pytest.approx(rate, rel=0.2)


def test_settings_say_what_they_are(planned):
    shapes = [(one.levels, one.size) for one in planned.settings]
    assert shapes == [(levels, size) for levels in (2, 3) for size in (16, 32, 64)]
    for one in planned.settings:
        assert one.capacity == one.size**one.levels
        assert one.load == 4000 / one.capacity
        assert one.tokens == one.levels
        assert one.vocabulary == one.size * one.levels
        assert 0 <= one.conflict_rate.low <= one.conflict_rate.value <= one.conflict_rate.high <= 1


def test_all_items_are_measured(catalogue):
    found = plan(catalogue[:600], sizes=(8, 16), levels=(1, 2), sample=1.0, random_state=3)
    assert found.sample == found.items == 600
    for one in found.settings:
        rate, distortion = measured_rate(catalogue[:600], one.levels, one.size, seed=3)
        assert one.conflict_rate == puresid.Interval(rate, rate, rate)
        variance = np.var(catalogue[:600].astype(float), axis=0).sum()
        assert one.distortion_ratio == pytest.approx(distortion / variance, rel=1e-5)
    assert "measured on all" in str(found)


def test_only_the_sample_is_read(catalogue):
    """Of a memory map the other rows may as well be anything."""
    spoilt = catalogue.copy()
    first = plan(catalogue, sizes=(16,), levels=(2,), sample=0.2)
    rows = np.random.default_rng([0, 2]).choice(4000, 800, replace=False)
    spoilt[np.setdiff1d(np.arange(4000), rows)] = np.nan
    assert plan(spoilt, sizes=(16,), levels=(2,), sample=0.2) == first
    spoilt[rows.min()] = np.inf
    with pytest.raises(ValueError, match=rf"vectors\[{rows.min()}\] has an infinity"):
        plan(spoilt, sizes=(16,), levels=(2,), sample=0.2)


def test_seed_threads_and_types_decide_nothing_else(catalogue, tmp_path):
    np.save(tmp_path / "v.npy", catalogue)
    words = {"sizes": (16, 32), "levels": (2,), "sample": 0.2}
    first = plan(catalogue, **words, threads=1)
    assert plan(np.load(tmp_path / "v.npy", mmap_mode="r"), **words, threads=2) == first
    assert plan(catalogue, sizes=(32, 16), levels=[2, 2], sample=800) == first
    assert plan(catalogue, **words, random_state=1) != first


class Halves:
    """A quantizer that is no RQKMeans: the sign of each of the first columns."""

    calls: Counter

    def __init__(self, n_levels, codebook_size, *, random_state, threads):
        self.shape = n_levels, codebook_size

    def fit(self, vectors):
        levels, size = self.shape
        type(self).calls[levels, size] += 1
        spread = np.linspace(-1, 1, size)[:, None] * np.eye(vectors.shape[1])[:1]
        self.codebooks = puresid.Codebooks([spread / 2**level for level in range(levels)])
        return self


def test_distortion_is_at_most_the_variance():
    vectors = np.random.default_rng(4).integers(0, 2, (300, 4))
    found = plan(vectors, sizes=(2, 8), levels=(1, 2), sample=0.7)
    assert all(0 <= one.distortion_ratio <= 1 for one in found.settings)


def test_any_quantizer(catalogue):
    Halves.calls = Counter()
    found = plan(catalogue[:500], sizes=(2, 4), levels=(1, 3), sample=1.0, quantizer=Halves)
    assert Halves.calls == {(1, 2): 1, (1, 4): 1, (3, 2): 1, (3, 4): 1}
    assert [one.conflict_rate.value for one in found.settings[:2]] == [498 / 500, 496 / 500]
    assert plan(catalogue, sizes=(4,), levels=(1,), quantizer=Halves).settings[0].load == 1000


def test_equal_vectors():
    """Nothing tells them apart, whatever the codebooks."""
    found = plan(np.ones((2000, 3)), sizes=(8, 64), levels=(2,))
    for one in found.settings:
        assert one.conflict_rate.value > 0.99
        assert one.distortion_ratio == 0


# The recommendation -------------------------------------------------------------------------------


def test_fewest_tokens_then_smallest_codebooks(catalogue):
    words = {"sizes": (64, 128, 256), "levels": (2, 3), "sample": 1.0}
    easy = plan(catalogue, **words, max_conflict_rate=1.0)
    best = easy.settings[easy.recommended]
    assert (best.levels, best.size) == (2, 128)  # 64 x 64 is 0.98 full
    strict = plan(catalogue, **words, max_conflict_rate=0.04)
    best = strict.settings[strict.recommended]
    good = [s for s in strict.settings if s.conflict_rate.value <= 0.04 and s.load <= 0.5]
    assert best == min(good, key=lambda one: (one.levels, one.size))
    assert f"{best.levels} levels of {best.size}: the fewest tokens" in strict.reason
    assert strict.reason in str(strict)


def test_nothing_is_good_enough(catalogue):
    found = plan(catalogue, sizes=(16, 64), levels=(2, 3), sample=1.0, max_conflict_rate=0.0)
    best = found.settings[found.recommended]
    assert (best.levels, best.size) == (3, 64)
    assert "no setting has at most 0 of the items in conflict; this has the fewest" in found.reason


def test_nothing_has_room(catalogue):
    found = plan(catalogue, sizes=(8, 16, 64), levels=(1, 2), sample=1.0)
    best = found.settings[found.recommended]
    assert (best.levels, best.size) == (2, 64)
    assert "no setting leaves 50% of its SIDs free; this leaves the most" in found.reason


def test_sizes_above_the_items_are_left_out(catalogue):
    found = plan(catalogue[:300], sizes=(16, 301, 512), levels=(2,))
    assert [one.size for one in found.settings] == [16]
    assert found.reason.endswith("Left out for want of items: sizes 301, 512.")


# What one sees, and errors ------------------------------------------------------------------------


def test_str_and_dict(planned):
    lines = str(planned).splitlines()
    assert lines[0] == "4,000 items, from 800 of them"
    assert len(lines) == 2 + 6 + 1
    assert [line.startswith("*") for line in lines[2:8]].index(True) == planned.recommended
    found = json.loads(json.dumps(planned.to_dict(), allow_nan=False))
    assert set(found) == {field.name for field in dataclasses.fields(planned)}
    assert found["settings"][0]["conflict_rate"]["low"] == planned.settings[0].conflict_rate.low
    with pytest.raises(dataclasses.FrozenInstanceError):
        planned.items = 3


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"sizes": ()}, ValueError, "sizes is empty; at least one is needed"),
        ({"sizes": 64}, TypeError, "sizes is 64; a sequence of integers is needed"),
        ({"sizes": "64"}, TypeError, "sizes is '64'; a sequence of integers is needed"),
        ({"sizes": (64, 2.5)}, TypeError, r"sizes\[1\] is 2\.5; an integer is needed"),
        ({"sizes": (1,)}, ValueError, r"sizes\[0\] is 1; at least 2 is needed"),
        ({"sizes": (5000,)}, ValueError, "vectors has 4000 rows; .* the smallest of sizes, 5000"),
        ({"levels": (0,)}, ValueError, r"levels\[0\] is 0; at least 1 is needed"),
        ({"levels": (True,)}, TypeError, r"levels\[0\] is True; an integer is needed"),
        ({"sample": "half"}, TypeError, "sample is 'half'; a share or a number of items"),
        ({"sample": 1.5}, ValueError, r"sample is 1\.5; a share is above 0 and at most 1"),
        ({"sample": 0.0}, ValueError, r"sample is 0\.0; a share is above 0 and at most 1"),
        ({"sample": 0.01}, ValueError, "sample is 40 of 4000 items; from 200 to all are needed"),
        ({"sample": 4001}, ValueError, "sample is 4001 of 4000 items; from 200 to all"),
        ({"max_conflict_rate": 2}, ValueError, "max_conflict_rate is 2; from 0 to 1 are possible"),
        ({"random_state": -1}, ValueError, "random_state is -1; from 0 to"),
        ({"random_state": 0.5}, TypeError, r"random_state is 0\.5; an integer is needed"),
        ({"threads": 0}, ValueError, "threads is 0"),
    ],
)
def test_errors(catalogue, options, error, match):
    with pytest.raises(error, match=match):
        plan(catalogue, **options)


def test_bad_vectors():
    with pytest.raises(ValueError, match="vectors has 1 dimension; 2 are needed"):
        plan(np.zeros(3))
    with pytest.raises(ValueError, match="vectors has 1 rows; at least 2 are needed"):
        plan(np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"vectors\[2\] has NaN in column 0"):
        plan([[0.0], [1.0], [np.nan]], sizes=(2,))


# The command line ---------------------------------------------------------------------------------


def command(*words, code=0):
    result = CliRunner().invoke(cli.main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_puresid_plan(catalogue, planned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", catalogue)
    words = ("plan", "v.npy", "--sizes", "16,32,64", "--levels", "2,3")
    assert command(*words).startswith("4,000 items, measured on all")
    assert command(*words, "--sample", "0.2").strip() == str(planned)
    found = json.loads(command(*words, "--json", "--sample", "0.2"))
    assert found == json.loads(json.dumps(planned.to_dict()))
    other = command(*words, "--sample", 400, "--random-state", 3, "--max-conflict-rate", 0.5)
    expected = plan(
        catalogue,
        sizes=(16, 32, 64),
        levels=(2, 3),
        sample=400,
        random_state=3,
        max_conflict_rate=0.5,
    )
    assert other.strip() == str(expected)
    assert "neither a share such as 0.2 nor" in command(*words, "--sample", "some", code=2)
    assert "sample is 3 of 4000 items" in command(*words, "--sample", "3", code=2)
    assert "not a list of numbers" in command("plan", "v.npy", "--levels", "two", code=2)


# Real catalogues ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("beauty/sasrec_32d.npy", {(2, 128), (2, 256)}),
        ("beauty/s3rec_64d.npy", {(2, 128), (3, 64)}),
        ("office/minilm_384d.npy", {(2, 64), (2, 128)}),
    ],
)
def test_within_a_fifth_of_what_is_measured(data_folder, name, settings):
    vectors = np.load(data_folder / name)
    found = plan(
        vectors,
        sizes=sorted({size for _, size in settings}),
        levels=sorted({levels for levels, _ in settings}),
        sample=0.2,
    )
    for one in found.settings:
        if (one.levels, one.size) not in settings:
            continue
        rate, _ = measured_rate(vectors, one.levels, one.size)
        print(f"{name} {one.levels} x {one.size}: {one.conflict_rate}, measured {rate:.4f}")
        assert one.conflict_rate.value == pytest.approx(rate, rel=0.2)
        assert one.conflict_rate.low <= rate <= one.conflict_rate.high
