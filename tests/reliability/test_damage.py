"""Every cut and a change of every byte, of each kind of file; and that the reading can fail."""

from pathlib import Path

import pytest

from puresid.files import CorruptFileError, open_vectors, read_sids

from .damage import Damage, Readings, _verdict, damages, read_damaged
from .deadly import BROKEN, DEADLY
from .kinds import Kind, has_pyarrow, kinds

KINDS = {kind.name: kind for kind in kinds(parquet=True)}


def needs_pyarrow(name):
    if ("parquet" in name or "arrow" in name) and not has_pyarrow():
        pytest.skip("pyarrow, the extra 'parquet', is not installed")


@pytest.mark.parametrize("name", KINDS)
def test_damage_is_refused_or_harmless_and_never_fatal(name):
    needs_pyarrow(name)
    found = read_damaged(KINDS[name])
    assert not found.problems(), "\n".join(found.problems())
    assert len(found.verdicts) == 2 * found.size
    assert found.count(cuts=True)["refused"] >= found.size - 1  # JSON may lose its last line break
    assert found.count(cuts=False)["refused"] > 0


class TestTheReadingItself:
    """A careless reader must not pass: else the test above says nothing."""

    def kind(self, read, **more):
        return Kind("careless", "file.bin", lambda path: path.write_bytes(b"0123"), read, **more)

    def verdicts(self, kind, folder):
        golden = folder / kind.file
        kind.write(golden)
        whole = kind.read(golden)
        found = Readings(kind, 4)
        for damage in damages(4):
            golden.write_bytes(damage.apply(b"0123"))
            found.verdicts[damage], found.messages[damage] = _verdict(kind, golden, whole)
        return found

    def test_what_is_accepted_counts_where_there_is_a_checksum(self, tmp_path):
        def read(path):
            content = path.read_bytes()
            if len(content) != 4:
                raise ValueError(f"{path} is cut short")
            return content[:3]

        found = self.verdicts(self.kind(read), tmp_path)
        assert found.count(cuts=False) == {"different": 3, "equal": 1}
        assert found.undetected() == "0-2"
        assert found.problems() == []
        found = self.verdicts(self.kind(read, checksummed=True), tmp_path)
        assert len(found.problems()) == 4

    def test_a_cut_file_with_another_result(self, tmp_path):
        found = self.verdicts(self.kind(Path.read_bytes), tmp_path)
        assert found.problems()[0].startswith("careless, cut to 0 bytes: different")
        assert len(found.problems()) == 4

    @pytest.mark.parametrize("error", [KeyError("file.bin"), ValueError("bad"), MemoryError()])
    def test_an_unclear_error(self, tmp_path, error):
        def read(path):
            if path.read_bytes() != b"0123":
                raise error
            return b""

        found = self.verdicts(self.kind(read), tmp_path)
        assert found.count(cuts=True) == found.count(cuts=False) == {"unclear": 4}
        assert len(found.problems()) == 8

    def test_a_reader_that_dies_or_hangs(self):
        """The worker is a process of its own, so its reader comes from a file."""
        found = read_damaged(DEADLY, [Damage(place, 1) for place in range(4)])
        assert list(found.verdicts.values()) == ["refused", "crash", "hang", "refused"]
        assert "signal 11" in found.messages[Damage(1, 1)]
        assert [problem.split(": ")[1] for problem in found.problems()] == ["crash", "hang"]

    def test_a_reader_that_fails_on_the_intact_file_is_no_result(self):
        with pytest.raises(RuntimeError, match="a worker failed of itself"):
            read_damaged(BROKEN, [Damage(0)])


def test_damages():
    assert damages(2) == [Damage(0), Damage(1), Damage(0, 1), Damage(1, 32)]
    assert len(damages(3, masks=8)) == 3 + 24
    assert len(set(damages(3, masks=255))) == 3 + 765
    assert len(damages(30, masks=8, step=7)) == -(-270 // 7)
    assert Damage(1, 0x80).apply(b"abc") == b"a\xe2c"
    assert Damage(2).apply(b"abc") == b"ab"
    assert str(Damage(2)) == "cut to 2 bytes"
    assert str(Damage(1, 0x80)) == "byte 1 changed by 0x80"


class TestWhatWasFound:
    """Mistakes that damage has shown, each by itself."""

    def test_rows_that_the_row_groups_deny(self, tmp_path):
        needs_pyarrow("parquet")
        kind = KINDS["SIDs .parquet"]
        kind.write(tmp_path / kind.file)
        whole = (tmp_path / kind.file).read_bytes()
        messages = []
        # Parquet writes the number of rows, 8, as the byte 16.
        for place in (place for place, byte in enumerate(whole) if byte == 16):
            path = tmp_path / f"{place}.parquet"
            path.write_bytes(Damage(place, 4).apply(whole))
            try:
                read_sids(path)
            except CorruptFileError as error:
                messages.append(str(error))
        assert any("announces 10 rows, and its row groups 8" in message for message in messages)

    @pytest.mark.parametrize(
        ("name", "message"),
        [("vectors .parquet", "cannot be read as Parquet"), ("vectors .arrow", "as an Arrow file")],
    )
    def test_a_column_name_that_is_no_text(self, tmp_path, name, message):
        needs_pyarrow(name)
        path = tmp_path / KINDS[name].file
        KINDS[name].write(path)
        path.write_bytes(path.read_bytes().replace(b"vector", b"\xf6ector"))
        with pytest.raises(CorruptFileError, match=message):
            open_vectors(path)

    def test_lengths_beyond_the_buffers_of_an_arrow_file(self):
        needs_pyarrow("arrow")
        # Lengths with a flipped sign or a high bit ended the process before they were checked.
        high = [Damage(place, mask) for place in range(698) for mask in (0x40, 0x80)]
        assert not read_damaged(KINDS["vectors .arrow"], high).problems()
