"""What decides the SIDs of an epoch: what is taken, what is refused, how it is written."""

import json
import math

import numpy as np
import pytest

from living_cases import books, tree
from puresid import Codebooks
from puresid.catalog.parameters import Parameters, with_slots
from puresid.encoder import Encoder, Linear


class TestChecked:
    @pytest.mark.parametrize(
        ("values", "error", "message"),
        [
            (
                {"method": "nearest"},
                ValueError,
                "method is 'nearest'; it must be one of 'ecm', 'rrs'",
            ),
            (
                {"method": "optimal"},
                ValueError,
                "method is 'optimal'; it must be one of 'ecm', 'rrs'",
            ),
            ({"method": None}, ValueError, "method is None"),
            (
                {"duplicates": "keep"},
                ValueError,
                "duplicates is 'keep'; it must be one of 'unique'",
            ),
            ({"order": "hash"}, ValueError, "order is 'hash'; it must be one of 'rows', 'keys'"),
            ({"capacity": 0}, ValueError, "capacity is 0; at least 1 is needed"),
            ({"capacity": 257}, ValueError, "capacity is 257; the most is 256"),
            ({"capacity": 2.0}, TypeError, r"capacity is 2\.0; an integer is needed"),
            ({"recycle_after": 0}, ValueError, "recycle_after is 0; at least 1 is needed"),
            ({"recycle_after": 10**8}, ValueError, "recycle_after is 100000000; the most is"),
            ({"max_distortion": "1"}, TypeError, "max_distortion is '1'; a number is needed"),
            ({"max_distortion": True}, TypeError, "max_distortion is True; a number is needed"),
            ({"max_distortion": -1}, ValueError, r"max_distortion is -1\.0; a finite number"),
            ({"max_distortion": math.nan}, ValueError, "max_distortion is nan; a finite number"),
            ({"max_distortion": math.inf}, ValueError, "max_distortion is inf; a finite number"),
            ({"tiers": 5}, TypeError, "tiers is 5"),
            ({"tiers": ((1, 0),)}, ValueError, r"tiers\[0\]\[1\] is 0; at least 1 is needed"),
            ({"tiers": ((1, 1.5),)}, TypeError, r"tiers\[0\]\[1\] is 1\.5; an integer is needed"),
            ({"capacity": 2, "duplicates": "share"}, ValueError, "and duplicates is 'share'"),
        ],
    )
    def test_refused(self, values, error, message):
        with pytest.raises(error, match=message):
            Parameters(**values)

    def test_positions_and_other_names_are_refused(self):
        with pytest.raises(TypeError, match="positional"):
            Parameters("ecm")
        with pytest.raises(TypeError, match="unexpected keyword argument 'levels'"):
            Parameters(levels=3)

    def test_what_numpy_has_becomes_plain(self):
        made = Parameters(
            capacity=np.int64(4),
            recycle_after=np.uint8(3),
            max_distortion=np.float32(0.5),
            tiers=np.array([[1, 2]]),
        )
        assert made == Parameters(capacity=4, recycle_after=3, max_distortion=0.5, tiers=((1, 2),))
        assert type(made.capacity) is int
        assert json.loads(json.dumps(made.to_dict())) == made.to_dict()


class TestForCodebooks:
    def test_tiers_are_written_out(self):
        made = Parameters().for_codebooks(books(sizes=(3, 30, 30)))
        assert made.tiers == ((1, 1, 10), (5, 5, 20))  # not cut: larger codebooks may come
        assert made.for_codebooks(books(sizes=(3, 30, 30))) == made
        assert Parameters(tiers=()).for_codebooks(books()).tiers == ()

    def test_tiers_of_another_number_of_levels(self):
        with pytest.raises(
            ValueError, match=r"tiers\[1\] has 2 integers; the codebooks have 3 lev"
        ):
            Parameters(tiers=((1, 1, 1), (1, 2))).for_codebooks(books())

    def test_slots_that_cannot_be(self):
        unit = [np.eye(3), np.eye(3)]
        product = Codebooks([np.eye(2), np.eye(2)], space="product")
        for codebooks, kind in ((Codebooks(unit, metric="cosine"), "cosine"), (product, "product")):
            with pytest.raises(ValueError, match=f"{kind} codebooks have only one item per SID"):
                Parameters(capacity=2).for_codebooks(codebooks)
            assert Parameters().for_codebooks(codebooks).capacity == 1
        wide = [np.random.default_rng(0).standard_normal((2**16, 1))] * 4  # 64 bits already
        with pytest.raises(ValueError, match="need 65 bits a SID"):
            Parameters(capacity=2).for_codebooks(Codebooks(wide))


class TestSlots:
    def test_they_change_no_vector(self):
        rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
        encoder = Encoder([Linear(np.eye(3))])
        for codebooks in (
            books(),
            tree(),
            books(rotation=rotation),
            books(encoder=encoder),
            books(normalize_residuals=True),
        ):
            slotted = with_slots(codebooks, 4)
            assert slotted.sizes == (*codebooks.sizes, 4)
            assert slotted.space == codebooks.space
            assert slotted.normalize_residuals == codebooks.normalize_residuals
            assert slotted.encoder == codebooks.encoder
            if codebooks.normalize_residuals:
                continue  # `decode` has no answer there
            sids = np.array([[3, 4, 5], [0, 0, 1]])
            for slot in range(4):
                decoded = slotted.decode(np.column_stack([sids, [slot, slot]]))
                assert decoded.tobytes() == codebooks.decode(sids).tobytes()

    def test_none_for_one_item(self):
        codebooks = books()
        assert with_slots(codebooks, 1) is codebooks


class TestWritten:
    def test_what_is_written_is_read(self):
        for made in (
            Parameters(),
            Parameters(method="rrs", tiers=((1, 2, 3),), max_distortion=2, capacity=5),
            Parameters(duplicates="share", order="keys", recycle_after=99_999_999, tiers=()),
        ):
            written = json.loads(json.dumps(made.to_dict()))
            assert Parameters.from_dict(written) == made

    def test_names(self):
        written = Parameters().to_dict()
        with pytest.raises(ValueError, match="parameters: 'pears' is missing or one too many"):
            Parameters.from_dict(written | {"pears": 1})
        del written["order"]
        with pytest.raises(ValueError, match="parameters: 'order' is missing or one too many"):
            Parameters.from_dict(written)
        with pytest.raises(ValueError, match="capacity is 0"):
            Parameters.from_dict(Parameters().to_dict() | {"capacity": 0})

    def test_checked(self):
        made = Parameters()
        assert Parameters.checked(made) is made
        with pytest.raises(
            TypeError, match="parameters is of type NoneType; Parameters are needed"
        ):
            Parameters.checked(None)
