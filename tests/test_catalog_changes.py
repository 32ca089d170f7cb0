"""Files of removals, updates and moves: what is written is read, anything else refused by name."""

import numpy as np
import pytest

from living_cases import vectors
from puresid.catalog import CorruptFileError
from puresid.catalog.changes import Moves, Removals, Updates
from puresid.catalog.digests import vector_digests
from puresid.catalog.keys import Keys

FILES, ROWS = np.array([0, 2, 0], dtype=np.uint32), np.array([5, 5, 6], dtype=np.uint32)
REMOVALS = Removals(FILES, ROWS)
UPDATES = Updates(FILES, ROWS, vector_digests(vectors(3)))
MOVES = Moves(
    Keys.of(["a", "", "🍐"]),
    np.array([[1, 2], [3, 4], [5, 6]], dtype=np.uint16),
    np.array([[1], [3], [2**31]], dtype=np.uint32),
)
EVERY = pytest.mark.parametrize("made", [REMOVALS, UPDATES, MOVES])


def read(made, **changes):
    tensors = {
        name: array for name, array in (made.to_tensors() | changes).items() if array is not None
    }
    return type(made).from_tensors(tensors, rows=3, where="it")


@EVERY
def test_what_is_written_is_read(made):
    again = read(made).to_tensors()
    assert again.keys() == made.to_tensors().keys()
    for name, array in made.to_tensors().items():
        assert again[name].dtype == array.dtype
        assert again[name].tolist() == array.tolist()
        assert not again[name].flags.writeable


@EVERY
def test_names_of_arrays(made):
    for name in made.to_tensors():
        with pytest.raises(CorruptFileError, match=f"it.*{name}.* is missing"):
            read(made, **{name: None})
    with pytest.raises(CorruptFileError, match="'pears' is missing or one too many"):
        read(made, pears=FILES)


@EVERY
def test_types_and_shapes(made):
    for name, array in made.to_tensors().items():
        if name.startswith("key"):
            continue
        for wrong in (
            array.astype(np.int64),
            array[:2],
            array[..., None],
            array.byteswap().view(array.dtype.newbyteorder()),
        ):
            with pytest.raises(CorruptFileError, match=f"it: {name} has shape .* needed"):
                read(made, **{name: wrong})


@EVERY
def test_another_number_of_rows(made):
    with pytest.raises(CorruptFileError, match=r"it has 3 keys, not 4|it: files has shape \(3,\)"):
        type(made).from_tensors(made.to_tensors(), rows=4, where="it")


@pytest.mark.parametrize("made", [REMOVALS, UPDATES])
def test_an_item_that_comes_twice(made):
    with pytest.raises(CorruptFileError, match="it names row 5 of file 0 twice"):
        read(made, files=np.array([0, 2, 0], np.uint32), rows=np.array([5, 5, 5], np.uint32))


@pytest.mark.parametrize("made", [REMOVALS, UPDATES])
def test_by_file(made):
    found = {number: at.tolist() for number, at in made.by_file(3, "it")}
    assert found == {0: [0, 2], 2: [1]}
    with pytest.raises(CorruptFileError, match="it names file 2; there are 2 before it"):
        list(made.by_file(2, "it"))
    nothing = np.empty(0, np.uint32)
    assert list(Removals(nothing, nothing).by_file(0, "it")) == []


def test_keys_that_are_no_text():
    broken = np.frombuffer(b"a\xff\xfe\xfd\xfc", dtype=np.uint8)
    with pytest.raises(CorruptFileError, match="it: key_bytes: row 2 is no text in UTF-8"):
        read(MOVES, key_bytes=broken, key_offsets=np.array([0, 1, 1, 5]))
