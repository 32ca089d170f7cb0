"""If only one file is run: import, assign, unique, decode."""

import numpy as np

import puresid


def test_every_item_gets_a_sid_of_its_own():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((500, 8), dtype=np.float32)
    vectors[100:200] = vectors[0]
    codebooks = puresid.Codebooks(
        [rng.standard_normal((16, 8), dtype=np.float32) / (1 + level) for level in range(3)]
    )

    result = puresid.assign(vectors, codebooks)

    assert result.sids.shape == (500, 3)
    assert result.sids.dtype == np.uint16
    assert len(np.unique(result.sids, axis=0)) == 500
    assert result.sids.max() < 16
    assert np.count_nonzero(result.stages) >= 100
    rest = vectors.astype(np.float64) - codebooks.decode(result.sids)
    np.testing.assert_allclose(result.distortion, (rest**2).sum(1), rtol=1e-5)


def test_the_nearest_sid_by_hand():
    # On a line: 7 is nearest to 10 and the rest, -3, to -2; its twin has to step back to -4.
    codebooks = [np.array([[0.0], [10.0]]), np.array([[2.0], [-2.0], [-4.5]])]
    result = puresid.assign(np.array([[7.0], [7.0]]), codebooks)
    assert result.sids.tolist() == [[1, 1], [1, 2]]
    assert result.stages.tolist() == [0, 1]
    assert result.distortion.tolist() == [1.0, 2.25]
