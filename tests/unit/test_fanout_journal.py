import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snakefold.errors import UserError
from snakefold.fanout.journal import Journal


def arrays_of(i):
    return {"x": np.arange(i, dtype=np.float32), "codes/deep": np.full((i, 2), i, np.uint64), "none": np.empty(0, "u1")}


def written(folder, n=3, digest="d"):
    with Journal(folder, digest, every_s=0) as book:
        for i in range(n):
            book.append(f"chunk {i}", arrays_of(i))


def keys(folder, digest="d"):
    return [key for key, _ in Journal(folder, digest).read()]


def same(one, other):
    return one.keys() == other.keys() and all(
        one[k].dtype == other[k].dtype and one[k].shape == other[k].shape and (one[k] == other[k]).all() for k in one
    )


def test_what_was_committed_is_read_back_in_order(tmp_path):
    written(tmp_path)
    for i, (key, arrays) in enumerate(Journal(tmp_path, "d").read()):
        assert key == f"chunk {i}"
        assert same(arrays, arrays_of(i))


kinds = st.sampled_from(["f4", "f8", "u4", "u8", "i8", "?"])


@given(
    st.dictionaries(
        st.text(max_size=8),
        kinds.flatmap(
            lambda d: hnp.arrays(
                d,
                hnp.array_shapes(max_dims=3, min_side=0, max_side=4),
                elements={"allow_nan": False} if d[0] == "f" else None,
            )
        ),
        max_size=4,
    ),
    st.text(max_size=20),
)
def test_any_arrays_under_any_key_come_back(tmp_path_factory, arrays, key):
    folder = tmp_path_factory.mktemp("journal")
    with Journal(folder, "d") as book:
        book.append(key, arrays)
    ((got_key, got),) = Journal(folder, "d").read()
    assert got_key == key
    assert same(got, arrays)


def test_a_tail_torn_at_any_byte_loses_only_the_torn_record(tmp_path):
    written(tmp_path)
    (path,) = (tmp_path / "d").glob("*.journal")
    whole = path.read_bytes()
    ends = []
    at = 0
    while at < len(whole):
        n_header, n_payload = struct.unpack_from("<4xQQ", whole, at)
        at += 36 + n_header + n_payload
        ends.append(at)
    assert ends[-1] == len(whole)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        assert len(keys(tmp_path)) == sum(end <= cut for end in ends), cut


def test_a_damaged_byte_anywhere_never_gives_a_wrong_record(tmp_path):
    written(tmp_path)
    (path,) = (tmp_path / "d").glob("*.journal")
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        found = list(Journal(tmp_path, "d").read())
        assert len(found) < 3
        assert all(key == f"chunk {i}" and same(a, arrays_of(i)) for i, (key, a) in enumerate(found)), at


def test_after_a_torn_tail_another_attempt_adds_a_file_and_both_count(tmp_path):
    written(tmp_path, 2)
    (path,) = (tmp_path / "d").glob("*.journal")
    path.write_bytes(path.read_bytes()[:-1])
    with Journal(tmp_path, "d", every_s=0) as book:
        book.append("new", arrays_of(1))
    assert sorted(keys(tmp_path)) == ["chunk 0", "new"]


def test_a_journal_of_another_digest_is_never_read_and_is_removed(tmp_path):
    written(tmp_path, digest="old")
    book = Journal(tmp_path, "d")
    assert list(book.read()) == []
    written(tmp_path, 1)
    book.discard_others()
    assert [p.name for p in tmp_path.iterdir()] == ["d"]
    assert len(keys(tmp_path)) == 1


def test_records_of_short_jobs_are_not_written_until_asked(tmp_path):
    book = Journal(tmp_path, "d", every_s=1000)
    book.append("a", arrays_of(1))
    assert not (tmp_path / "d").exists()
    book.commit()
    assert keys(tmp_path) == ["a"]
    book.commit()
    book.close()
    assert keys(tmp_path) == ["a"]


def test_two_writers_never_share_a_file(tmp_path):
    books = [Journal(tmp_path, "d", every_s=0) for _ in range(2)]
    for i, book in enumerate(books * 2):
        book.append(str(i), arrays_of(i))
    for book in books:
        book.close()
    assert sorted(keys(tmp_path)) == ["0", "1", "2", "3"]
    assert len(list((tmp_path / "d").iterdir())) == 2


def test_removing_leaves_nothing(tmp_path):
    written(tmp_path / "job", digest="old")
    book = Journal(tmp_path / "job", "d", every_s=0)
    book.append("a", arrays_of(1))
    book.append("pending", arrays_of(1))
    book.remove()
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_a_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    book = Journal(tmp_path / "file", "d", every_s=0)
    with pytest.raises(UserError, match="the journal cannot be written"):
        book.append("a", arrays_of(1))


def test_a_full_disk_is_a_users_mistake_and_what_was_committed_stays(small_disk):
    book = Journal(small_disk, "d", every_s=0)
    noise = np.random.default_rng(1).integers(0, 256, 300_000).astype(np.uint8)
    n = 0
    with pytest.raises(UserError, match="the journal cannot be written") as caught:
        for _ in range(20):
            book.append(str(n), {"x": noise})
            n += 1
    assert str(small_disk) in str(caught.value)
    assert n >= 2
    assert keys(small_disk) == [str(i) for i in range(n)]
    with pytest.raises(UserError):
        book.close()
    assert keys(small_disk) == [str(i) for i in range(n)]


def test_when_there_is_room_again_the_journal_is_whole(small_disk):
    (small_disk / "ballast").write_bytes(b"x" * 800_000)
    book = Journal(small_disk, "d", every_s=0)
    record = {"x": np.arange(50_000)}
    with pytest.raises(UserError):
        book.append("a", record)
    (small_disk / "ballast").unlink()
    book.append("b", record)
    book.close()
    assert set(keys(small_disk)) == {"a", "b"}


def test_the_format_is_pinned(tmp_path):
    """A change here makes journals of earlier versions unreadable: give the record another magic word."""
    with Journal(tmp_path, "d") as book:
        book.append("k", {"x": np.arange(3, dtype="<u2")})
    (path,) = (tmp_path / "d").glob("*.journal")
    header, payload = b'["k", {"x": ["<u2", [3]]}]', b"\0\0\1\0\2\0"
    checksum = hashlib.blake2b(header + payload, digest_size=16).digest()
    assert path.read_bytes() == struct.pack("<4sQQ16s", b"SNKF", len(header), 6, checksum) + header + payload
