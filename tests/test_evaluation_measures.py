"""Figures per query: by hand, by all orders of shared SIDs, and by a second library."""

import math

import numpy as np
import pytest

from evaluation_cases import expected_figure, figure, some_queries
from puresid.evaluation.measures import METRICS, SidGroups, measure

pytest.importorskip("ir_measures", reason="ir-measures is not installed")


def unique_groups(items):
    return SidGroups(np.arange(items + 1), np.arange(items))


def random_groups(rng, sizes):
    items = rng.permutation(sum(sizes))
    return SidGroups(np.concatenate([[0], np.cumsum(sizes)]), items)


def members_of(groups):
    return [part.tolist() for part in np.split(groups.items, groups.offsets[1:-1])]


def test_by_hand():
    queries = some_queries([[3], [4, 0], [5]])
    ranked = np.array([[1, 3, 2], [4, 1, 0], [0, 1, -1]])
    found = measure(queries, ranked, unique_groups(6), metrics=("R@1", "R@2", "nDCG@3", "RR"))
    assert list(found) == ["R@1", "R@2", "nDCG@3", "RR"]
    assert found["R@1"].tolist() == [0, 0.5, 0]
    assert found["R@2"].tolist() == [1, 0.5, 0]
    second, third = 1 / math.log2(3), 1 / math.log2(4)
    np.testing.assert_allclose(found["nDCG@3"], [second, (1 + third) / (1 + second), 0], rtol=1e-12)
    assert found["RR"].tolist() == [0.5, 1, 0]


def test_gains_by_hand():
    queries = some_queries([[0, 1, 2]], gains=[[1, 3, 2]])
    found = measure(queries, np.array([[0, 1, 3]]), unique_groups(4), metrics=("nDCG@3", "R@1"))
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    np.testing.assert_allclose(found["nDCG@3"], [(1 + 3 / math.log2(3)) / ideal], rtol=1e-12)
    np.testing.assert_allclose(found["R@1"], [1 / 3])


def test_the_ideal_is_of_all_wanted_items_and_not_of_those_found():
    """Sorting the list that was found gives its own ideal: 1.000 for one of five, at rank 1."""
    queries = some_queries([[0, 10, 11, 12, 13]])
    ranked = np.array([[0, 1, 2, 3, 4]])
    hits = [1.0, 0, 0, 0, 0]
    discounts = 1 / np.log2(np.arange(2, 7))
    of_the_list = (hits @ discounts) / (sorted(hits, reverse=True) @ discounts)
    assert of_the_list == 1
    found = measure(queries, ranked, unique_groups(14), metrics=("nDCG@5",))
    assert found["nDCG@5"].round(3).tolist() == [0.339]
    np.testing.assert_allclose(found["nDCG@5"], 1 / discounts.sum(), rtol=1e-12)


def test_a_query_without_results_keeps_its_place():
    queries = some_queries([[0], [1], [2]])
    ranked = np.array([[0, 1], [-1, -1], [2, -1]])
    for values in measure(queries, ranked, unique_groups(3)).values():
        assert values.tolist() == [1, 0, 1]
        assert values.mean() == pytest.approx(2 / 3)
    nothing = measure(queries, np.empty((3, 0), int), unique_groups(3))
    assert [values.tolist() for values in nothing.values()] == [[0, 0, 0]] * len(METRICS)


def test_a_shared_sid_is_no_hit_for_all_of_its_items():
    groups = SidGroups.from_sids([[0, 1], [2, 2], [0, 1], [0, 1], [0, 1]])
    assert groups.sizes.tolist() == [4, 1]
    assert groups.of_items.tolist() == [0, 1, 0, 0, 0]
    found = measure(
        some_queries([[2], [2], [1]]),
        np.array([[0, 1], [1, 0], [0, 1]]),
        groups,
        metrics=("R@1", "R@2", "R@5", "RR"),
    )
    assert found["R@1"].tolist() == [0.25, 0, 0]
    assert found["R@2"].tolist() == [0.5, 0.25, 0]
    assert found["R@5"].tolist() == [1, 1, 1]
    reciprocal = [(1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, (1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4, 1 / 5]
    np.testing.assert_allclose(found["RR"], reciprocal, rtol=1e-12)


def test_all_orders_of_shared_sids():
    metrics = ("R@1", "R@2", "R@3", "R@5", "nDCG@2", "nDCG@5")
    for seed in range(150):
        rng = np.random.default_rng(seed)
        sizes = rng.choice([1, 1, 2, 3, 4], 5)
        groups = random_groups(rng, sizes)
        members = members_of(groups)
        relevant = rng.choice(sizes.sum(), rng.integers(1, 4), replace=False).tolist()
        gains = rng.integers(1, 4, len(relevant)).tolist() if seed % 2 else None
        row = rng.permutation(5)[: 1 + seed % 3]
        queries = some_queries([relevant], None if gains is None else [gains])
        found = measure(queries, row[None], groups, metrics=metrics, seed=seed)
        for name in metrics:
            expected = expected_figure(name, row, members, relevant, gains, depth=5)
            assert found[name][0] == pytest.approx(expected, abs=1e-12), (seed, name)


def test_reciprocal_rank_of_one_wanted_item_per_group_is_exact():
    groups = SidGroups(np.array([0, 3, 4, 8]), np.arange(8))
    found = measure(some_queries([[1, 5]]), np.array([[0, 2]]), groups, metrics=("RR", "R@8"))
    expected = expected_figure("RR", [0, 2], members_of(groups), [1, 5], depth=8)
    assert found["RR"][0] == pytest.approx(expected, abs=1e-12)


def test_reciprocal_rank_of_two_wanted_items_in_a_group_is_unbiased():
    groups = SidGroups(np.array([0, 4, 5]), np.arange(5))
    queries, row = some_queries([[0, 2]]), np.array([[0, 1]])
    drawn = [measure(queries, row, groups, metrics=("RR",), seed=s)["RR"][0] for s in range(300)]
    assert len(set(drawn)) > 1
    # The list ends after B = 2 items.
    expected = expected_figure("RR", [0, 1], members_of(groups), [0, 2], depth=2)
    assert np.mean(drawn) == pytest.approx(expected, abs=5 * np.std(drawn) / np.sqrt(300))


def test_many_orders_are_sampled_by_a_seed():
    sizes = [7, 11, 13]  # 1001 rotations
    groups = SidGroups(np.concatenate([[0], np.cumsum(sizes)]), np.arange(31))
    queries, row = some_queries([[0, 7, 18]]), np.array([[0, 1, 2]])
    first, again, other = (
        measure(queries, row, groups, metrics=("R@25",), seed=seed)["R@25"][0] for seed in (1, 1, 2)
    )
    assert first == again != other
    # Two groups are inside the first 25 items, of the third 7 of 13 places are.
    assert first == pytest.approx((2 + 7 / 13) / 3, abs=5 * (0.25 / 720) ** 0.5 / 3)
    # The third group starts after 18 items: 77 rotations of the others do for a shorter list.
    found = measure(queries, row, groups, metrics=("R@12",))["R@12"][0]
    assert found == pytest.approx((1 + 5 / 11) / 3, abs=1e-12)


def test_lists_end_after_the_same_number_of_items_for_every_arm():
    shared = SidGroups(np.array([0, 6, 7]), np.arange(7))
    found = measure(some_queries([[6]]), np.array([[0, 1]]), shared, metrics=("R@3", "RR"))
    assert found["RR"].tolist() == [0]  # the seventh item; 3 count
    found = measure(some_queries([[6]]), np.array([[0, 1]]), shared, metrics=("R@7", "RR"))
    assert found["RR"].tolist() == [pytest.approx(1 / 7)]


def test_one_sid_for_everything():
    groups = SidGroups(np.array([0, 5000]), np.random.default_rng(0).permutation(5000))
    found = measure(some_queries([[17, 4]]), np.array([[0]]), groups, metrics=("R@10", "nDCG@10"))
    assert found["R@10"][0] == pytest.approx(10 / 5000)
    discounts = 1 / np.log2(np.arange(2, 12))
    expected = 2 / 5000 * discounts.sum() / discounts[:2].sum()
    assert found["nDCG@10"][0] == pytest.approx(expected)


def test_a_thousand_random_runs_equal_scikit_learn_and_sets():
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    rng = np.random.default_rng(5)
    relevant = [rng.choice(60, rng.integers(1, 6), replace=False).tolist() for _ in range(1000)]
    gains = [rng.integers(1, 5, len(rows)).tolist() for rows in relevant]
    ranked = np.stack([rng.permutation(60)[:20] for _ in range(1000)])
    found = measure(some_queries(relevant, gains), ranked, unique_groups(60))
    for query in range(1000):
        truth, scores = np.zeros(60), np.zeros(60)
        truth[relevant[query]] = gains[query]
        # What was not returned comes last, wanted items at the very end.
        scores[:] = -100 - 1000 * (truth > 0) + np.arange(60)
        scores[ranked[query]] = -np.arange(20)
        for cutoff in (5, 10, 20):
            expected = sklearn.ndcg_score(truth[None], scores[None], k=cutoff, ignore_ties=True)
            assert found[f"nDCG@{cutoff}"][query] == pytest.approx(expected, abs=1e-12)
        for cutoff in (1, 5, 10, 20):
            hits = set(ranked[query, :cutoff]) & set(relevant[query])
            assert found[f"R@{cutoff}"][query] == pytest.approx(len(hits) / len(relevant[query]))
        assert found["RR"][query] == pytest.approx(
            figure("RR", ranked[query].tolist(), relevant[query])
        )


def test_blocks_do_not_change_figures(monkeypatch):
    rng = np.random.default_rng(2)
    groups = random_groups(rng, [1, 2, 3, 1, 4, 5])
    queries = some_queries([rng.choice(16, 3, replace=False) for _ in range(50)])
    ranked = np.stack([rng.permutation(6)[:4] for _ in range(50)])
    whole = measure(queries, ranked, groups)
    monkeypatch.setattr("puresid.evaluation.measures._PAIRS_AT_ONCE", 20)
    monkeypatch.setattr("puresid.evaluation.measures._LISTS_AT_ONCE", 3)
    for name, values in measure(queries, ranked, groups).items():
        assert np.array_equal(values, whole[name])


@pytest.mark.parametrize(
    ("offsets", "items", "error", "says"),
    [
        ([0, 2], [0, 1, 2], ValueError, r"offsets run from \[0\] to \[2\].*number of items, 3"),
        ([0], [], ValueError, "for at least one SID"),
        ([1, 3], [0, 1, 2], ValueError, r"offsets run from \[1\]"),
        ([0, 2, 2, 3], [0, 1, 2], ValueError, "SID 1 has 0 items"),
        ([0, 3], [0, 2, 2], ValueError, "row 1 is missing or another comes twice"),
        ([0, 3], [0.0, 1, 2], TypeError, "items has dtype float64; integers are needed"),
        ([[0, 3]], [0, 1, 2], ValueError, "offsets has 2 dimensions; 1 needed"),
    ],
)
def test_groups_that_are_refused(offsets, items, error, says):
    with pytest.raises(error, match=says):
        SidGroups(np.array(offsets), np.array(items))


def test_no_sids_are_refused():
    with pytest.raises(ValueError, match="sids has no rows"):
        SidGroups.from_sids(np.empty((0, 2), int))


@pytest.mark.parametrize(
    ("ranked", "options", "error", "says"),
    [
        ([[0, 1]], {}, ValueError, "ranked has 1 rows; there are 2 queries"),
        ([[0, 1], [0, 4]], {}, ValueError, r"ranked\[1, 1\] is 4; SIDs run from 0 to 3"),
        ([[0, 1], [-2, 1]], {}, ValueError, r"ranked\[1, 0\] is -2"),
        ([[0, 1], [-1, 1]], {}, ValueError, r"ranked\[1\] has a SID after -1, in column 1"),
        ([[0, 1], [2, 2]], {}, ValueError, r"ranked\[1\] has SID 2 twice"),
        ([[0.5], [1]], {}, TypeError, "ranked has dtype float64"),
        ([0, 1], {}, ValueError, "ranked has 1 dimensions; 2 needed"),
        ([[0], [1]], {"metrics": ("R@0",)}, ValueError, r"metrics\[0\] is 'R@0'"),
        ([[0], [1]], {"metrics": ("RR@10",)}, ValueError, r"R@k, nDCG@k and RR are known"),
        ([[0], [1]], {"metrics": ("RR", "RR")}, ValueError, r"metrics\[1\] is 'RR', which comes"),
        ([[0], [1]], {"metrics": ()}, ValueError, "metrics is empty"),
        ([[0], [1]], {"metrics": "RR"}, TypeError, "a sequence of names is needed"),
        ([[0], [1]], {"seed": -1}, ValueError, "seed is -1; at least 0"),
    ],
)
def test_rankings_that_are_refused(ranked, options, error, says):
    with pytest.raises(error, match=says):
        measure(some_queries([[0], [1]]), np.array(ranked), unique_groups(4), **options)


def test_wanted_items_must_have_a_sid():
    with pytest.raises(ValueError, match=r"relevant\[1\] has row 4; groups have 4 items"):
        measure(some_queries([[0], [4]]), np.array([[0], [1]]), unique_groups(4))


def test_gains_must_be_whole():
    with pytest.raises(ValueError, match=r"gains\[0\] is \[0.5\]; whole numbers from 1"):
        measure(some_queries([[0]], [[0.5]]), np.array([[0]]), unique_groups(2))


def test_without_ir_measures_it_says_what_installs_it(run_python):
    script = """
import sys
sys.modules["ir_measures"] = None
import numpy as np
from puresid.evaluation.measures import SidGroups, measure
from puresid.evaluation.task import Queries
try:
    measure(Queries(("a",), (np.array([0]),)), np.array([[0]]), SidGroups.from_sids([[0]]))
except ImportError as error:
    print(error)
"""
    assert "evaluation needs ir_measures: pip install 'puresid[eval]'" in run_python(script)


def test_importing_an_evaluation_is_light(run_python):
    heavy = ("torch", "transformers", "pyarrow", "sklearn", "matplotlib", "scipy", "pandas")
    heavy += ("statsmodels", "ir_measures", "pytrec_eval")
    script = f"""
import sys
import puresid.evaluation.measures, puresid.evaluation.results, puresid.evaluation.statistics
import puresid.evaluation.tables, puresid.evaluation.plots, puresid.evaluation.page
import puresid.cli.evaluate
print(*[name for name in {heavy!r} if name in sys.modules])
"""
    assert run_python(script).split() == []
