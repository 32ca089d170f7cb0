"""The trie against a look through all SIDs, vocabularies, files."""

import itertools

import numpy as np
import pytest

from puresid.decoding import SidTrie, SidVocabulary


def random_sids(rng: np.random.Generator, sizes: list[int], count: int) -> np.ndarray:
    return np.stack([rng.integers(0, size, count) for size in sizes], axis=1)


def random_trie(rng: np.random.Generator, least: int = 1) -> tuple[list[int], np.ndarray]:
    sizes = rng.integers(1, 8, rng.integers(1, 5)).tolist()
    return sizes, random_sids(rng, sizes, int(rng.integers(least, 60)))


def following(sids: np.ndarray, prefixes: np.ndarray, size: int) -> np.ndarray:
    """By looking at every SID for every prefix."""
    depth = prefixes.shape[1]
    mask = np.zeros((len(prefixes), size), dtype=bool)
    for row, prefix in enumerate(prefixes):
        mask[row, sids[(sids[:, :depth] == prefix).all(axis=1), depth]] = True
    return mask


def some_prefixes(rng: np.random.Generator, sizes: list[int], sids: np.ndarray) -> np.ndarray:
    """Half of them are of SIDs, half of them are any."""
    depth = int(rng.integers(0, len(sizes)))
    of_sids = sids[rng.integers(0, len(sids), 6)] if len(sids) else sids
    return np.concatenate([of_sids, random_sids(rng, sizes, 6)])[:, :depth]


def test_a_thousand_random_tries_equal_brute_force():
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        sizes, sids = random_trie(rng, least=0)
        trie = SidTrie(sids, sizes=sizes)
        kept = np.unique(sids, axis=0)
        if seed % 3 == 1:
            more = random_sids(rng, sizes, int(rng.integers(0, 30)))
            assert trie.add(more) == len(np.unique(np.concatenate([kept, more]), axis=0)) - len(
                kept
            )
            kept = np.unique(np.concatenate([kept, more]), axis=0)
        if seed % 3 == 2 and len(kept):
            gone = rng.random(len(kept)) < 0.5
            assert trie.remove(np.concatenate([kept[gone], kept[gone]])) == gone.sum()
            kept = kept[~gone]
        assert np.array_equal(trie.sids, kept)
        live, counted = None, kept
        if seed % 2 and len(kept):
            members = rng.random(len(kept)) < 0.6
            live, counted = trie.live(members=members), kept[members]
        prefixes = some_prefixes(rng, sizes, kept)
        expected = following(counted, prefixes, sizes[prefixes.shape[1]])
        assert np.array_equal(trie.allowed(prefixes, live=live), expected)
        offsets, tokens = trie.allowed_tokens(prefixes, live=live)
        rows = [tokens[a:b].tolist() for a, b in itertools.pairwise(offsets)]
        assert rows == [np.flatnonzero(row).tolist() for row in expected]


def test_find_and_contains():
    trie = SidTrie([[3, 1], [0, 2], [3, 0], [0, 2]])
    assert len(trie) == 3
    assert trie.sids.tolist() == [[0, 2], [3, 0], [3, 1]]
    assert trie.find([[3, 1], [1, 1], [0, 2]]).tolist() == [2, -1, 0]
    assert [3, 0] in trie
    assert [0, 0] not in trie
    assert repr(trie) == "SidTrie(3 SIDs, sizes=(4, 3))"


def test_live_sids_by_name():
    trie = SidTrie([[0, 0], [0, 1], [1, 1]])
    live = trie.live([[0, 1]])
    assert trie.allowed([[], []], live=live).tolist() == [[True, False]] * 2
    assert trie.allowed([[0]], live=live).tolist() == [[False, True]]


def test_rows_are_compressed():
    tokens, first_child, first_leaf = SidTrie([[0, 5], [1, 0], [1, 2]]).rows(1)
    assert tokens.tolist() == [5, 0, 2]
    assert first_child.tolist() == [0, 1, 3]
    assert first_leaf.tolist() == [0, 1, 3]


def test_a_trie_survives_a_file(tmp_path):
    rng = np.random.default_rng(0)
    trie = SidTrie(random_sids(rng, [300, 70000, 2], 500), sizes=[300, 70000, 9])
    trie.save(tmp_path / "t.safetensors")
    again = SidTrie.load(tmp_path / "t.safetensors")
    assert np.array_equal(again.sids, trie.sids)
    assert again.sizes == trie.sizes
    data = (tmp_path / "t.safetensors").read_bytes()
    for damaged, message in (
        (data[:-3], "not an intact safetensors file"),
        (b"", "not an intact safetensors file"),
        (data.replace(b"puresid.trie", b"puresid.tree"), "has the format 'puresid.tree'"),
        (data.replace(b"sizes", b"sises"), "holds no trie: KeyError"),
    ):
        (tmp_path / "d.safetensors").write_bytes(damaged)
        with pytest.raises(ValueError, match=message):
            SidTrie.load(tmp_path / "d.safetensors")


REFUSED = {
    "sids is empty; name the sizes": lambda: SidTrie(np.empty((0, 3), int)),
    r"sizes is \(2, 0\); at least one level": lambda: SidTrie([[0, 0]], sizes=[2, 0]),
    r"sids\[1\] has token 2 at level 1": lambda: SidTrie([[0, 0], [1, 2]], sizes=[2, 2]),
    r"sids has shape \(1, 3\)": lambda: SidTrie([[0, 0, 0]], sizes=[2, 2]),
    "integer": lambda: SidTrie([[0.5, 0.0]], sizes=[2, 2]),
    "prefixes have 2 tokens; at most 1": lambda: SidTrie([[0, 0]]).allowed([[0, 0]]),
    r"prefixes has shape \(1,\)": lambda: SidTrie([[0, 0]]).allowed([0]),
    "live needs either": lambda: SidTrie([[0, 0]]).live(),
    r"sids\[0\] is \[1, 1\], not in the trie": lambda: SidTrie([[0, 0]], sizes=[2, 2]).live(
        [[1, 1]]
    ),
    r"members has shape \(2,\)": lambda: SidTrie([[0, 0]]).live(members=[True, False]),
    "depth is 2; from 0 to 1": lambda: SidTrie([[0, 0]]).rows(2),
    "ids is empty": lambda: SidVocabulary([]),
    r"ids\[0\] has an id twice": lambda: SidVocabulary([[1, 1]]),
    r"ids\[0\] must be a list of numbers": lambda: SidVocabulary([[-1]]),
    r"sids\[0\] has token 2 at level 0; there are 2": lambda: SidVocabulary([[5, 6]]).encode([[2]]),
    r"ids has shape \(1, 2\)": lambda: SidVocabulary([[5, 6]]).decode([[5, 5]]),
}


@pytest.mark.parametrize(("message", "call"), REFUSED.items())
def test_what_does_not_fit_is_refused(message, call):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_live_sids_of_the_past_are_refused():
    trie = SidTrie([[0, 0], [1, 1]])
    live = trie.live([[0, 0]])
    assert trie.add([[0, 0]]) == 0
    trie.allowed([[0]], live=live)
    trie.add([[0, 1]])
    trie.remove([[1, 1]])
    with pytest.raises(ValueError, match="live belongs to another trie, or to the time before"):
        trie.allowed([[0]], live=live)
    with pytest.raises(ValueError, match="live belongs to another trie"):
        trie.allowed([[0]], live=SidTrie([[0, 0], [0, 1]]).live([[0, 0]]))


def test_vocabularies_go_both_ways():
    rng = np.random.default_rng(1)
    sids = random_sids(rng, [5, 300, 7], 50)
    scattered = [rng.permutation(1000)[:size] for size in (5, 300, 7)]
    for vocabulary in (
        SidVocabulary.from_offset([5, 300, 7], 32100),
        SidVocabulary(scattered, template="<{letter}_{token}>"),
    ):
        ids = vocabulary.encode(sids)
        assert np.array_equal(vocabulary.decode(ids), sids)
        assert np.array_equal(vocabulary.parse(vocabulary.text(sids)), sids)
    assert SidVocabulary.from_offset([5, 300, 7], 10).encode([[4, 0, 6]]).tolist() == [
        [14, 15, 321]
    ]
    assert SidVocabulary.from_offset([2, 2], 10).decode([[11, 11], [9, 13]]).tolist() == [
        [1, -1],
        [-1, 1],
    ]
    assert SidVocabulary.from_offset([2], 3).text([[1]]) == ["<id_0_1>"]
    assert "sizes=(2,)" in repr(SidVocabulary.from_offset([2], 3))
