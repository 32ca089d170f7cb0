"""Tasks, the leave-last-out split and the masks of splits, against loops written out."""

import numpy as np
import pytest

from puresid.evaluation.splits import leave_last_out, split_masks
from puresid.evaluation.task import Catalogue, Queries, Task

FIVE = Catalogue(("a", "b", "c", "d", "e"))


def search_task(test: list[list[int]], train: list[list[int]]) -> Task:
    def queries(wanted: list[list[int]]) -> Queries:
        names = tuple(f"q{number}" for number in range(len(wanted)))
        return Queries(names, tuple(np.array(rows) for rows in wanted), texts=names)

    return Task("small", "search", FIVE, test=queries(test), train=queries(train))


def lists(parts) -> list[list[int]]:
    return [part.tolist() for part in parts]


# leave-last-out


def test_leave_last_out_by_hand():
    task = leave_last_out(
        {"ann": [0, 1, 2, 3], "bob": [4, 0, 1], "cid": [2, 3], "dan": [1], "eve": []},
        FIVE,
        name="hand",
        notes=["first"],
    )
    assert (task.kind, task.name, len(task.catalogue)) == ("recommendation", "hand", 5)
    assert task.test.ids == task.validation.ids == ("ann", "bob")
    assert lists(task.test.relevant) == [[3], [1]]
    assert lists(task.test.histories) == [[0, 1, 2], [4, 0]]
    assert lists(task.validation.relevant) == [[2], [0]]
    assert lists(task.validation.histories) == [[0, 1], [4]]
    assert lists(task.sequences) == [[0, 1], [2, 3]]  # of bob one item is left, which is no target
    assert task.target_counts().tolist() == [0, 1, 0, 1, 0]
    assert task.notes[0] == "first"
    assert "3 of 5 users have fewer than three items" in task.notes[1]
    assert "3 training sequences of fewer than two items are left out" in task.notes[2]


def test_max_history_cuts_queries_and_not_training():
    task = leave_last_out({"ann": [0, 1, 2, 3, 4, 0]}, FIVE, name="cut", max_history=2)
    assert lists(task.test.histories) == [[3, 4]]
    assert lists(task.validation.histories) == [[2, 3]]
    assert lists(task.sequences) == [[0, 1, 2, 3]]
    assert task.notes == ()


def test_what_is_tested_is_never_trained_on():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n_items = int(rng.integers(3, 30))
        histories = {
            f"u{user}": rng.integers(0, n_items, rng.integers(0, 9)).tolist() for user in range(12)
        }
        histories["long"] = [0, 1, 2]
        catalogue = Catalogue(tuple(map(str, range(n_items))))
        task = leave_last_out(histories, catalogue, name="random")
        long = {user: had for user, had in histories.items() if len(had) >= 3}
        assert task.test.ids == tuple(long)
        for query, had in enumerate(long.values()):
            assert [*task.test.histories[query], *task.test.relevant[query]] == had
            assert [*task.validation.histories[query], *task.validation.relevant[query]] == had[:-1]
        expected = [had[:-2] if len(had) >= 3 else had for had in histories.values()]
        assert lists(task.sequences) == [had for had in expected if len(had) >= 2]


def test_leave_last_out_refuses():
    with pytest.raises(ValueError, match="task 'x': no user has three items"):
        leave_last_out({"ann": [0, 1]}, FIVE, name="x")
    with pytest.raises(ValueError, match=r"test.relevant\[0\] has row 5; the catalogue has 5"):
        leave_last_out({"ann": [0, 1, 5]}, FIVE, name="x")
    with pytest.raises(ValueError, match=r"histories\[0\] has row -1; rows start at 0"):
        leave_last_out({"ann": [0, -1, 2]}, FIVE, name="x")
    with pytest.raises(TypeError, match=r"histories\[1\] has dtype float64"):
        leave_last_out({"ann": [0, 1, 2], "bob": [0.0, 1.5]}, FIVE, name="x")
    with pytest.raises(ValueError, match="max_history is 0; at least 1"):
        leave_last_out({"ann": [0, 1, 2]}, FIVE, name="x", max_history=0)


# splits


def test_masks_by_hand():
    task = search_task(test=[[0], [1], [2], [3, 0], [0, 4]], train=[[1], [2], [2], [3]])
    assert task.target_counts().tolist() == [0, 1, 2, 1, 0]
    sids = [[1, 1], [2, 0], [1, 1], [0, 3], [0, 4]]  # items 0 and 2 share a SID
    masks = split_masks(task, sids, moved=[False, False, True, False, True])
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "never": [True, False, False, False, True],
        "cold": [True, True, False, True, True],
        "conflict": [True, False, True, True, True],
        "non_conflict": [False, True, False, False, False],
        "moved": [False, False, True, False, True],
    }
    assert all(mask.dtype == np.bool_ for mask in masks.values())
    assert "moved" not in split_masks(task, sids)


def test_masks_equal_loops():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        wanted = [
            rng.permutation(5)[: rng.integers(1, 4)].tolist() for _ in range(rng.integers(1, 9))
        ]
        train = [[int(rng.integers(5))] for _ in range(rng.integers(0, 9))]
        task = search_task(wanted, train)
        sids = rng.integers(0, 3, (5, 2))
        moved = rng.random(5) < 0.4
        masks = split_masks(task, sids, moved=moved)
        counts = [sum(rows == [item] for rows in train) for item in range(5)]
        named = [tuple(sid) for sid in sids.tolist()]
        shared = [named.count(sid) > 1 for sid in named]
        assert task.target_counts().tolist() == counts
        assert masks["never"].tolist() == [all(counts[i] == 0 for i in rows) for rows in wanted]
        assert masks["cold"].tolist() == [all(counts[i] <= 1 for i in rows) for rows in wanted]
        assert masks["conflict"].tolist() == [any(shared[i] for i in rows) for rows in wanted]
        assert (masks["non_conflict"] == ~masks["conflict"]).all()
        assert masks["moved"].tolist() == [any(moved[i] for i in rows) for rows in wanted]


def test_the_first_item_of_a_sequence_is_no_target():
    task = leave_last_out({"ann": [0, 1, 1, 2, 3, 4]}, FIVE, name="repeats")
    assert lists(task.sequences) == [[0, 1, 1, 2]]
    assert task.target_counts().tolist() == [0, 2, 1, 0, 0]


def test_masks_refuse():
    task = search_task([[0]], [[1]])
    good = [[0]] * 5
    with pytest.raises(ValueError, match=r"nearest_sids has shape \(4, 1\); \(5, levels\)"):
        split_masks(task, good[:4])
    with pytest.raises(TypeError, match="nearest_sids has dtype float64"):
        split_masks(task, np.zeros((5, 2)))
    with pytest.raises(TypeError, match="moved has dtype int64; one bool per item"):
        split_masks(task, good, moved=[0, 1, 0, 0, 0])
    with pytest.raises(ValueError, match=r"moved has shape \(2,\); \(5,\)"):
        split_masks(task, good, moved=[True, False])


# the data model


def test_clusters_are_users_in_order_of_appearance():
    wanted = ([0], [1], [2], [0])
    queries = Queries(("1", "2", "3", "4"), wanted, users=("z", "a", "z", "b"))
    assert queries.clusters.tolist() == [0, 1, 0, 2]
    assert queries.clusters.dtype == np.int64
    assert Queries(("1", "2"), wanted[:2]).clusters.tolist() == [0, 1]
    assert len(queries) == 4


def test_the_first_queries():
    queries = Queries(
        ("1", "2", "3"),
        ([0], [1, 2], [2]),
        texts=("x", "y", "z"),
        histories=([], [4], [4, 3]),
        gains=([1.0], [2.0, 1.0], [3.0]),
        users=("a", "b", "c"),
    )
    few = queries.first(2)
    assert (few.ids, few.texts, few.users) == (("1", "2"), ("x", "y"), ("a", "b"))
    assert lists(few.relevant) == [[0], [1, 2]]
    assert lists(few.histories) == [[], [4]]
    assert lists(few.gains) == [[1.0], [2.0, 1.0]]
    assert queries.first(9).ids == queries.ids
    assert Queries(("1",), ([0],)).first(1).texts is None


def test_vectors_come_with_a_task():
    task = search_task([[0]], [[1]])
    vectors = np.arange(10, dtype=np.float64).reshape(5, 2)
    found = task.with_vectors(vectors)
    assert task.catalogue.vectors is None
    assert found.catalogue.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.catalogue.vectors, vectors)
    assert found.test is task.test
    with pytest.raises(ValueError, match="vectors has 4 entries; there are 5 items"):
        task.with_vectors(vectors[:4])
    vectors[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"vectors\[3\] has NaN in column 1"):
        task.with_vectors(vectors)


def test_a_task_keeps_its_own_rows():
    mine = np.array([0, 1])
    queries = Queries(("q",), (mine,))
    mine[0] = 4
    assert queries.relevant[0].tolist() == [0, 1]
    with pytest.raises(ValueError, match="read-only"):
        queries.relevant[0][0] = 3


def test_catalogues_refuse():
    with pytest.raises(ValueError, match="keys is empty"):
        Catalogue(())
    with pytest.raises(ValueError, match=r"keys\[2\] is 'a', as is keys\[0\]"):
        Catalogue(("a", "b", "a"))
    with pytest.raises(TypeError, match=r"keys\[1\] is 7; a string is needed"):
        Catalogue(("a", 7))
    with pytest.raises(TypeError, match="keys is 'abc'; a sequence of strings"):
        Catalogue("abc")
    with pytest.raises(ValueError, match="texts has 1 entries; there are 2 items"):
        Catalogue(("a", "b"), ("x",))


REFUSED = {
    "twice": (dict(ids=("q", "q"), relevant=([0], [1])), ValueError, r"ids\[1\] is 'q', as is"),
    "nothing": (dict(relevant=([],)), ValueError, r"relevant\[0\] is empty; query 'q' must want"),
    "same": (dict(relevant=([2, 1, 2],)), ValueError, r"relevant\[0\] has the same row twice"),
    "many": (dict(relevant=([0], [1])), ValueError, "relevant has 2 entries; there are 1 ids"),
    "matrix": (dict(relevant=([[0]],)), ValueError, r"relevant\[0\] has 2 dimensions; 1 is"),
    "float": (dict(relevant=([0.5],)), TypeError, r"relevant\[0\] has dtype float64; integer rows"),
    "texts": (dict(texts=()), ValueError, "texts has 0 entries; there are 1 ids"),
    "user": (dict(users=(3,)), TypeError, r"users\[0\] is 3; a string is needed"),
    "gains": (dict(gains=([1.0, 2.0],)), ValueError, r"gains\[0\] has shape \(2,\); relevant\[0\]"),
    "zero": (dict(gains=([0.0],)), ValueError, r"gains\[0\] is \[0.0\]; finite numbers above 0"),
    "inf": (dict(gains=([np.inf],)), ValueError, r"gains\[0\] is \[inf\]; finite numbers above 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_queries_refuse(case):
    given, error, match = REFUSED[case]
    with pytest.raises(error, match=match):
        Queries(**{"ids": ("q",), "relevant": ([0],), **given})


def test_tasks_refuse():
    asked = Queries(("q",), ([0],), texts=("x",), histories=([1],))
    sequences = (np.array([0, 1]),)
    with pytest.raises(ValueError, match="kind is 'ads'; one of recommendation, search, retrieval"):
        Task("t", "ads", FIVE, test=asked)
    with pytest.raises(ValueError, match="a recommendation task has sequences and no train"):
        Task("t", "recommendation", FIVE, test=asked)
    with pytest.raises(ValueError, match="a recommendation task has sequences and no train"):
        Task("t", "recommendation", FIVE, test=asked, sequences=sequences, train=asked)
    with pytest.raises(ValueError, match="a search task has train and no sequences"):
        Task("t", "search", FIVE, test=asked, sequences=sequences, train=asked)
    with pytest.raises(ValueError, match="task 't' has no test query"):
        Task("t", "search", FIVE, test=Queries((), ()), train=asked)
    with pytest.raises(ValueError, match="test has no texts; a retrieval task reads them"):
        Task("t", "retrieval", FIVE, test=Queries(("q",), ([0],)), train=asked)
    with pytest.raises(ValueError, match="validation has no histories; a recommendation task"):
        Task(
            "t",
            "recommendation",
            FIVE,
            test=asked,
            validation=Queries(("q",), ([0],)),
            sequences=sequences,
        )
    with pytest.raises(ValueError, match=r"train.relevant\[0\] has row 9; the catalogue has 5"):
        Task("t", "search", FIVE, test=asked, train=Queries(("q",), ([9],), texts=("x",)))
    with pytest.raises(ValueError, match=r"sequences\[1\] has 1 items; at least 2 are needed"):
        Task("t", "recommendation", FIVE, test=asked, sequences=(*sequences, np.array([0])))
    with pytest.raises(ValueError, match=r"sequences\[0\] has row 6; the catalogue has 5 items"):
        Task("t", "recommendation", FIVE, test=asked, sequences=(np.array([0, 6]),))
    with pytest.raises(TypeError, match=r"notes\[0\] is 3; a string is needed"):
        Task("t", "search", FIVE, test=asked, train=asked, notes=(3,))


def test_an_import_is_light(run_python):
    script = """
import sys
import puresid.evaluation.loaders, puresid.evaluation.splits
heavy = "torch transformers pyarrow sklearn scipy pandas statsmodels ir_measures matplotlib".split()
print(*[name for name in heavy if name in sys.modules])
"""
    assert run_python(script).split() == []
