"""Loaders of recommendation: files in the published layouts, and the real ones where they are."""

import ast
import csv
import json
from pathlib import Path

import numpy as np

from puresid.evaluation.loaders import load_interactions, load_minionerec, load_recbole
from puresid.evaluation.loaders._reading import plain_text


def lists(parts) -> list[list[int]]:
    return [part.tolist() for part in parts]


def write(path: Path, value: object) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


ITEMS = {
    "0": {"title": "Pen", "description": "['It writes.', 'Blue &amp; <b>bold</b>']"},
    "1": {"title": "Ink!", "description": "['For pens.']", "brand": "x", "categories": ""},
    "10": {"title": "", "description": ""},
    **{str(row): {"title": f"Thing {row}", "description": ["a", "b"]} for row in range(2, 10)},
}


# interactions.json


def test_interactions_by_row(tmp_path):
    path = write(tmp_path / "interactions.json", {"u": [0, 3, 1], "v": [1, 2, 3, 0]})
    task = load_interactions(path)
    assert task.name == tmp_path.name
    assert task.catalogue.keys == ("0", "1", "2", "3")
    assert task.catalogue.texts is None
    assert task.test.ids == ("u", "v")
    assert lists(task.test.histories) == [[0, 3], [1, 2, 3]]
    assert lists(task.test.relevant) == [[1], [0]]
    assert lists(task.sequences) == [[1, 2]]
    assert "no timestamps" in task.notes[0]


def test_interactions_with_texts(tmp_path):
    path = write(tmp_path / "interactions.json", {"u": [0, 3, 1, 0]})
    items = write(tmp_path / "items.json", ITEMS)
    task = load_interactions(path, items=items, name="given", max_history=1)
    assert task.name == "given"
    assert task.catalogue.keys == tuple(map(str, range(11)))  # by number, whatever the file's order
    assert task.catalogue.texts[:3] == (
        "Pen. It writes. Blue & bold",
        "Ink! For pens.",
        "Thing 2. a b",
    )
    assert task.catalogue.texts[10] == ""
    assert lists(task.test.histories) == [[1]]
    assert any("1 test items are in their own history" in note for note in task.notes)


def test_interactions_by_key(tmp_path):
    path = write(tmp_path / "interactions.json", {"u": ["B2", "B1", "B3"], "v": ["B1", "B9"]})
    task = load_interactions(path)
    assert task.catalogue.keys == ("B2", "B1", "B3", "B9")
    assert lists(task.test.histories) == [[0, 1]]
    assert lists(task.sequences) == [[1, 3]]
    items = write(tmp_path / "items.json", {"B9": "nine", "B3": "three", "B2": "two", "B1": "one"})
    task = load_interactions(path, items=items)
    assert task.catalogue.texts == ("nine", "three", "two", "one")
    assert lists(task.test.histories) == [[2, 3]]


def test_markup_goes_and_mathematics_stays():
    assert plain_text("a <!-- .x {color:#000} --> b<br/>c\n\n&lt;2 W; 3 < 4 > 1") == (
        "a b c <2 W; 3 < 4 > 1"
    )
    assert plain_text("cut off <!-- never closed") == "cut off"


def test_beauty(data_folder):
    path = data_folder / "beauty/interactions.json"
    task = load_interactions(path, max_history=20)
    vectors = np.load(data_folder / "beauty/s3rec_64d.npy")
    task = task.with_vectors(vectors)
    assert (len(task.catalogue), len(task.test), task.name) == (12_101, 22_363, "beauty")
    raw = json.loads(path.read_text(encoding="utf-8"))
    counts = np.zeros(12_101, dtype=np.int64)
    for had in raw.values():
        for item in had[1:-2]:
            counts[item] += 1
    np.testing.assert_array_equal(task.target_counts(), counts)
    for query, user in enumerate(task.test.ids):
        assert task.test.relevant[query].tolist() == raw[user][-1:]
        assert task.test.histories[query].tolist() == raw[user][:-1][-20:]
        assert task.validation.relevant[query].tolist() == raw[user][-2:-1]
        assert task.validation.histories[query].tolist() == raw[user][:-2][-20:]


# RecBole


def inter(*lines: str, header: str = "user_id:token\titem_id:token\ttimestamp:float") -> str:
    return "\n".join([header, *lines]) + "\n"


def test_recbole_sorts_by_time_and_keeps_ties_in_order(tmp_path):
    path = write(
        tmp_path / "x.inter",
        inter("u\tB\t86400", "v\tC\t5", "u\tA\t10", "u\tC\t86400.0", "v\tA\t4", "v\tB\t86399"),
    )
    task = load_recbole(path)
    assert task.catalogue.keys == ("B", "C", "A")
    assert task.test.ids == ("u", "v")
    assert lists(task.test.histories) == [[2, 0], [2, 1]]
    assert lists(task.test.relevant) == [[1], [0]]
    (note,) = (note for note in task.notes if "tested users" in note)
    assert note.startswith("of 2 tested users 1 (50.0%) have their last item at the same time")
    assert "2 (100.0%) on the same day" in note


def test_recbole_days_of_milliseconds(tmp_path):
    start = 1_600_000_000_000  # a Sunday at 12:26:40
    lines = [f"u\tA\t{start}", f"u\tB\t{start + 1}", f"u\tC\t{start + 13 * 3_600_000}"]
    task = load_recbole(write(tmp_path / "x.inter", inter(*lines)))
    assert any("0 (0.0%) on the same day" in note for note in task.notes)
    lines[2] = f"u\tC\t{start + 11 * 3_600_000}"
    task = load_recbole(write(tmp_path / "x.inter", inter(*lines)))
    assert any("1 (100.0%) on the same day" in note for note in task.notes)


def test_recbole_items(tmp_path):
    header = "user_id:token\titem_id:token\trating:float"
    path = write(tmp_path / "x.inter", inter("u\tB\t5", "u\tA\t1", "u\tB\t2", header=header))
    item = write(
        tmp_path / "x.item",
        "item_id:token\ttitle:token_seq\tprice:float\tbrand:token\n"
        'A\tA "good" thing\t2.5\tMe\nZ\t\t\tYou\nB\tBee\t1\t\n',
    )
    task = load_recbole(path, item=item)
    assert task.catalogue.keys == ("A", "Z", "B")
    assert task.catalogue.texts == ('A "good" thing. Me', "You", "Bee")
    assert lists(task.test.histories) == [[2, 0]]
    said = " / ".join(task.notes)
    assert "no timestamps" in said
    assert "ratings are not looked at" in said
    assert "1 of 3 items have no interaction" in said
    write(path, inter("u\tB\t5", "u\tN\t1", "u\tA\t1", "u\tM\t2", header=header))
    task = load_recbole(path, item=item)
    assert task.catalogue.keys == ("A", "Z", "B", "N", "M")
    assert task.catalogue.texts[3:] == ("", "")
    assert "2 items that the .item file lacks are put after the 3 that it has" in task.notes[0]
    write(path, inter("u\tB\t5", "u\tA\t1", "u\tB\t2", header=header))
    assert load_recbole(path, item=item, text_fields=["brand"]).catalogue.texts == ("Me", "You", "")


# MiniOneRec


HEADER = "user_id,history_item_id,item_id"


def test_minionerec_by_hand(tmp_path):
    items = write(tmp_path / "items.json", ITEMS)
    valid = write(
        tmp_path / "valid.csv",
        # columns of the published files that are not read, and lines within quotes
        "user_id,history_item_title,item_title,history_item_id,item_id\n"
        "A1,\"['x',\n'y']\",z,\"[0, 1, 2]\",3\n"
        "A1,'',z,\"[0, 1, 2, 3]\",4\n"
        "A2,\u2028,z,[5],6\r\n",
    )
    test = write(
        tmp_path / "test.csv",
        f'{HEADER}\nA1,"[0, 1, 2, 3, 4]",5\nA3,"[6, 7]",8\nA3,"[6, 7, 8]",6\nA4,[1],2\n',
    )
    task = load_minionerec(test, valid, items, max_history=3)
    assert task.test.ids == ("A1:0", "A3:0", "A3:1", "A4:0")
    assert task.test.users == ("A1", "A3", "A3", "A4")
    assert task.test.clusters.tolist() == [0, 1, 1, 2]
    assert lists(task.test.histories) == [[2, 3, 4], [6, 7], [6, 7, 8], [1]]
    assert lists(task.test.relevant) == [[5], [8], [6], [2]]
    assert task.validation.ids == ("A1:0", "A1:1", "A2:0")
    assert lists(task.validation.histories) == [[0, 1, 2], [1, 2, 3], [5]]
    # Before the first validation row, else the first test row; [5] and [1] have no target.
    assert lists(task.sequences) == [[0, 1, 2], [6, 7]]
    said = " / ".join(task.notes)
    assert "4 test queries of 3 users" in said
    assert "2 training sequences of fewer than two items" in said
    assert "1 test items are in their own history" in said


def test_minionerec_with_training_rows(tmp_path):
    items = write(tmp_path / "items.json", ITEMS)
    valid = write(tmp_path / "valid.csv", f'{HEADER}\nA1,"[1, 2, 3]",4\nA2,"[7, 8]",9\n')
    test = write(tmp_path / "test.csv", f'{HEADER}\nA1,"[2, 3, 4]",5\nA4,"[0, 1, 2]",3\n')
    train = write(
        tmp_path / "train.csv",
        f'{HEADER}\nA1,[0],1\nA1,"[0, 1]",2\nA1,"[1, 2]",3\n'  # histories cut to two
        'A3,"[4, 5]",6\nA3,"[9, 9]",8\n'
        'A4,"[0, 1]",2\nA4,"[0, 1, 2]",3\n',  # the last is asked in the test
    )
    task = load_minionerec(test, valid, items, train=train)
    assert lists(task.sequences) == [[0, 1, 2, 3], [9, 9, 8], [0, 1, 2], [7, 8]]
    assert any("1 users' training rows do not end where their" in note for note in task.notes)
    assert any("1 users' training rows do not continue each other" in note for note in task.notes)
    assert not any("as long as the files have them" in note for note in task.notes)
    assert not any("of 1 users do not continue each other" in note for note in task.notes)
    write(test, f'{HEADER}\nA4,"[0, 1, 2]",3\nA4,"[0, 1]",2\n')  # the later row first
    notes = load_minionerec(test, valid, items).notes
    assert any("test rows of 1 users do not continue each other" in note for note in notes)


def office_rows(path: Path) -> dict[str, list[tuple[list[int], int]]]:
    rows: dict[str, list[tuple[list[int], int]]] = {}
    with open(path, encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            history = ast.literal_eval(row["history_item_id"])
            rows.setdefault(row["user_id"], []).append((history, int(row["item_id"])))
    return rows


def test_office_leaks_nothing(data_folder):
    folder = data_folder / "office"
    task = load_minionerec(folder / "test.csv", folder / "valid.csv", folder / "items.json")
    assert (len(task.catalogue), len(task.test), len(task.validation)) == (3459, 4866, 4866)
    assert len(np.unique(task.test.clusters)) == len(set(task.test.users)) == 2024
    task.with_vectors(np.load(folder / "minilm_384d.npy"))

    valid, test = office_rows(folder / "valid.csv"), office_rows(folder / "test.csv")
    place = 0
    bought_again = 0
    for user in dict.fromkeys([*valid, *test]):
        asked = valid.get(user, []) + test.get(user, [])
        first = asked[0][0]
        if len(first) < 2:
            continue
        sequence = task.sequences[place].tolist()
        place += 1
        assert sequence == first
        for number, (history, target) in enumerate(asked):
            # What is asked comes after the whole of the training sequence ...
            had = (sequence + [before for _, before in asked[:number]])[-10:]
            assert had == history
            # ... so it can be in it only as something that the user had bought before.
            if target in sequence:
                assert target in history or len(history) == 10
                bought_again += 1
    assert place == len(task.sequences)
    assert 0 < bought_again < 0.05 * (len(task.test) + len(task.validation))
