"""Intervals and tests: by all sign patterns, by scipy, and where the answer is known."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from evaluation_cases import HEADER, some_results
from puresid.evaluation.resampling import bootstrap_interval, holm, paired_test
from puresid.evaluation.results import Cell, Results
from puresid.evaluation.statistics import analyse, compare, means

pytest.importorskip("statsmodels", reason="statsmodels is not installed")
scipy_stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")


def all_signs(sums):
    """Two-sided p over every sign pattern; sums are integers, so equal is equal."""
    reached = [
        abs(sum(sign * value for sign, value in zip(signs, sums, strict=True))) >= abs(sum(sums))
        for signs in itertools.product((1, -1), repeat=len(sums))
    ]
    return sum(reached) / len(reached)


def test_few_users_are_tested_exactly():
    rng = np.random.default_rng(0)
    for users in range(1, 9):
        sums = rng.integers(-3, 4, (users, 5))
        expected = [all_signs(column.tolist()) for column in sums.T]
        np.testing.assert_allclose(paired_test(sums, resamples=300), expected, rtol=1e-12)


def test_an_exact_test_equals_scipy():
    rng = np.random.default_rng(1)
    for _ in range(5):
        sums = rng.normal(0.3, 1, 9)
        expected = scipy_stats.permutation_test(
            (sums,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False
        ).pvalue
        assert paired_test(sums) == pytest.approx(expected, abs=1e-12)


def test_a_sampled_test_comes_near_scipy_and_counts_itself():
    rng = np.random.default_rng(2)
    sums = np.round(rng.normal(0.08, 1, (500, 2)), 1)
    found = paired_test(sums, resamples=4999)
    for column in range(2):
        expected = scipy_stats.permutation_test(
            (sums[:, column],), lambda x, axis: x.sum(axis=axis), permutation_type="samples",
            n_resamples=4999, vectorized=True, rng=np.random.default_rng(3), batch=500,
        ).pvalue  # fmt: skip
        assert 0.001 < expected < 0.999
        spread = math.sqrt(2 * expected * (1 - expected) / 4999)
        assert found[column] == pytest.approx(expected, abs=5 * spread)
    np.testing.assert_allclose(found * 5000, np.round(found * 5000), atol=1e-9)
    assert paired_test(np.ones(400), resamples=99) == 1 / 100


def test_sums_that_differ_by_rounding_are_equal():
    """0.1 + 0.2 is not 0.3 in floating point; a pattern that gives the same sum must count."""
    sums = [0.1, 0.2, 0.3, -0.3, 0.7, -0.7]
    assert paired_test(sums) == all_signs([1, 2, 3, -3, 7, -7])
    many = np.tile([0.1, 0.2, -0.3], 200)
    assert paired_test(many, resamples=200) == 1


def test_no_difference_at_all_is_no_evidence():
    assert paired_test(np.zeros(30)) == 1
    assert paired_test(np.zeros((30, 2)), resamples=9).tolist() == [1, 1]


def test_p_values_without_a_difference_are_uniform():
    rng = np.random.default_rng(4)
    p = paired_test(rng.normal(size=(60, 400)), resamples=999, seed=5)
    assert scipy_stats.kstest(p, "uniform").pvalue > 1e-3
    flipped = paired_test(rng.normal(0.5, 1, size=(60, 400)), resamples=999)
    assert np.mean(flipped < 0.05) > 0.9


def test_a_bootstrap_comes_near_scipy():
    rng = np.random.default_rng(6)
    values = rng.exponential(size=(200, 2))
    found = bootstrap_interval(values, resamples=4000)
    for column in range(2):
        expected = scipy_stats.bootstrap(
            (values[:, column],), np.mean, method="percentile", n_resamples=4000,
            rng=np.random.default_rng(7), batch=500,
        ).confidence_interval  # fmt: skip
        width = expected.high - expected.low
        np.testing.assert_allclose(found[:, column], expected, atol=0.06 * width)


def test_a_bootstrap_draws_users_with_all_their_queries():
    rng = np.random.default_rng(8)
    counts = rng.integers(1, 6, 150)
    level = rng.normal(3, 1, size=150)  # of a user: its queries are alike
    sums = level * counts
    found = bootstrap_interval(sums, counts, resamples=4000)
    expected = scipy_stats.bootstrap(
        (sums, counts), lambda s, c, axis: s.sum(axis=axis) / c.sum(axis=axis), paired=True,
        method="percentile", n_resamples=4000, rng=np.random.default_rng(9), vectorized=True,
    ).confidence_interval  # fmt: skip
    width = expected.high - expected.low
    np.testing.assert_allclose(found, expected, atol=0.06 * width)
    # Taking each query by itself would pretend to know much more.
    alone = bootstrap_interval(np.repeat(level, counts), resamples=1000)
    assert found[1] - found[0] > 1.3 * (alone[1] - alone[0])


def test_confidence_and_constants():
    values = np.random.default_rng(10).normal(size=300)
    wide, narrow = (bootstrap_interval(values, confidence=share) for share in (0.99, 0.5))
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]
    np.testing.assert_allclose(bootstrap_interval(np.full(20, 3.0)), [3, 3])


def test_blocks_do_not_change_an_exact_test_and_seeds_repeat(monkeypatch):
    rng = np.random.default_rng(11)
    sums = rng.normal(size=(7, 3))
    exact, interval = paired_test(sums), bootstrap_interval(sums, resamples=50, seed=3)
    assert np.array_equal(interval, bootstrap_interval(sums, resamples=50, seed=3))
    assert not np.array_equal(interval, bootstrap_interval(sums, resamples=50, seed=4))
    monkeypatch.setattr("puresid.evaluation.resampling._NUMBERS_AT_ONCE", 30)
    np.testing.assert_allclose(paired_test(sums), exact, rtol=1e-12)
    np.testing.assert_allclose(bootstrap_interval(sums, resamples=50, seed=3), interval)


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, np.nan, 0.02]), [0.5, np.nan, 0.04])
    assert np.isnan(holm([np.nan])).all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: bootstrap_interval([]), r"sums has shape \(0,\)"),
        (lambda: paired_test(np.zeros((2, 2, 2))), r"sums has shape \(2, 2, 2\)"),
        (lambda: paired_test([1.0, math.nan]), r"sums\[1\] is not finite"),
        (lambda: bootstrap_interval([1.0, 2], [1, 0]), "counts must be one number of at least 1"),
        (lambda: bootstrap_interval([1.0, 2], [1]), "for each of the 2 users"),
        (lambda: bootstrap_interval([1.0], confidence=1), "confidence is 1; a number between"),
        (lambda: bootstrap_interval([1.0], resamples=0), "resamples is 0; at least 1"),
        (lambda: paired_test([1.0], seed=-1), "seed is -1; at least 0"),
        (lambda: holm([1.5]), r"p is \[1.5\]; values from 0 to 1"),
        (lambda: compare(some_results(), against="best"), "no arm 'best'; there are suffix, ecm"),
        (lambda: means(some_results(), metrics=["MRR"]), "no metric 'MRR'; there are R@10"),
        (lambda: means(some_results(), splits=["warm"]), "no split 'warm'; there are all, confl"),
    ],
)
def test_what_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def by_hand(results, arm, metric, mask):
    seeds = sorted(set(results.seeds(arm)) & set(results.seeds("suffix")))
    mine, other = (
        np.mean([results.cell(name, seed).values[metric] for seed in seeds], axis=0)
        for name in (arm, "suffix")
    )
    sums = [
        (mine - other)[mask & (results.clusters == user)].sum()
        for user in np.unique(results.clusters[mask])
    ]
    return mine[mask].mean(), other[mask].mean(), np.array(sums)


def test_a_comparison_is_over_common_seeds_and_users():
    results = some_results()
    kept = tuple(cell for cell in results.cells if (cell.arm, cell.seed) != ("ecm", 1))
    results = dataclasses.replace(results, cells=kept)
    found = compare(results, against="suffix", resamples=2000, seed=3)
    order = [(one.split, one.arm, one.metric) for one in found]
    assert order == list(
        itertools.product(("all", "conflict", "never"), ("ecm", "rrs"), results.metrics)
    )
    for one in found:
        if one.split == "never":
            continue
        mask = results.mask(one.split)
        mean, mean_against, sums = by_hand(results, one.arm, one.metric, mask)
        assert one.seeds == ((0, 2) if one.arm == "ecm" else (0, 1, 2))
        assert (one.queries, one.users) == (mask.sum(), len(sums))
        assert one.users < one.queries
        assert one.mean == pytest.approx(mean)
        assert one.mean_against == pytest.approx(mean_against)
        assert one.difference.value == pytest.approx(mean - mean_against)
        assert one.p == pytest.approx(paired_test(sums, resamples=2000, seed=3), abs=0.05)
        assert one.difference.low < one.difference.value < one.difference.high
    for split, metric in itertools.product(("all", "conflict"), results.metrics):
        pair = [one for one in found if (one.split, one.metric) == (split, metric)]
        corrected = holm([one.p for one in pair])
        assert [one.p_holm for one in pair] == corrected.tolist()


def test_a_known_difference_is_found():
    queries = 3000
    rng = np.random.default_rng(12)
    base = rng.random(queries) < 0.2
    better = base | (rng.random(queries) < 0.02)
    cells = [
        Cell(arm, 0, {"R@10": values.astype(np.float32)}, {})
        for arm, values in (("suffix", base), ("ecm", better), ("same", base))
    ]
    results = Results(HEADER, ("R@10",), {}, np.arange(queries), tuple(cells))
    ecm, same = compare(results, against="suffix", resamples=999)
    assert ecm.p == 1 / 1000
    assert ecm.difference.low > 0
    assert (same.p, same.difference.value, same.difference.high) == (1, 0, 0)


def test_empty_splits_and_arms_without_common_seeds_are_not_numbers():
    results = some_results(seeds=(0,))
    lonely = Cell("lonely", 7, results.cells[0].values, {})
    results = dataclasses.replace(results, cells=(*results.cells, lonely))
    found = compare(results, against="suffix", resamples=99)
    for one in found:
        empty = one.split == "never" or one.arm == "lonely"
        assert math.isnan(one.p) == math.isnan(one.difference.value) == empty
        assert math.isnan(one.p_holm) == empty
    assert {one.seeds for one in found if one.arm == "lonely"} == {()}
    averaged = means(results, resamples=99)
    assert [math.isnan(one.value.value) for one in averaged] == [
        one.split == "never" for one in averaged
    ]


def test_one_arm_has_nothing_to_be_compared_with():
    results = some_results(arms=("suffix",))
    assert compare(results, against="suffix") == []
    assert analyse(results, resamples=9).comparisons == ()
    assert analyse(some_results(arms=("ecm", "rrs")), resamples=9).comparisons == ()


def test_means_are_over_queries_and_seeds():
    results = some_results()
    for one in means(results, splits=["conflict"], resamples=200):
        mask = results.mask("conflict")
        values = [results.cell(one.arm, seed).values[one.metric][mask] for seed in one.seeds]
        assert one.value.value == pytest.approx(np.mean(values))
        assert one.value.low < one.value.value < one.value.high
        assert (one.queries, one.split, one.seeds) == (mask.sum(), "conflict", (0, 1, 2))


def test_an_analysis_finds_what_it_has():
    analysis = analyse(some_results(), resamples=50)
    found = analysis.comparison("ecm", "R@10", "conflict")
    assert (found.arm, found.metric, found.split) == ("ecm", "R@10", "conflict")
    assert analysis.mean("suffix", "R@10").split == "all"
    assert analysis.comparison("suffix", "R@10") is None
    assert analysis.mean("suffix", "R@1") is None
    assert analysis.resamples == 50
