"""The model file: equal bytes, no code in it, and a clear refusal of everything else."""

from __future__ import annotations

import io
import json
import os
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy import trained

from cpmlib.cpm import model_file
from cpmlib.cpm.forest import Forest
from cpmlib.cpm.model_file import CpmModel, read_model, write_model
from cpmlib.study.errors import DatasetError

ANY_FOLDER = [HealthCheck.function_scoped_fixture]


def equal(a: CpmModel, b: CpmModel) -> bool:
    arrays = (np.array_equal(getattr(a.forest, n), getattr(b.forest, n)) for n in Forest.TYPES)
    return a.card == b.card and all(arrays)


@cache
def content() -> bytes:
    """The file of the toy model."""
    packed = io.BytesIO()
    arrays, text = parts()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", npy(array))
        archive.writestr("card.json", text)
    return packed.getvalue()


def parts() -> tuple[dict[str, np.ndarray], str]:
    model = trained()[0]
    return {n: getattr(model.forest, n) for n in Forest.TYPES}, model.card.to_json()


def npy(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def write(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def members(**changed: bytes | str) -> dict[str, bytes | str]:
    arrays, text = parts()
    whole: dict[str, bytes | str] = {f"{n}.npy": npy(a) for n, a in arrays.items()}
    whole["card.json"] = text
    return {**whole, **{n.replace("_", "."): data for n, data in changed.items()}}


def card_with(**entries: Any) -> str:
    return json.dumps({**json.loads(parts()[1]), **entries})


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    model = trained()[0]
    write_model(tmp_path / "new" / "a.npz", model)
    again = read_model(tmp_path / "new" / "a.npz")
    assert equal(model, again)
    write_model(tmp_path / "b.npz", again)
    assert (tmp_path / "new" / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.npz"]


def test_numpy_reads_it_without_pickle(tmp_path: Path) -> None:
    model = trained()[0]
    write_model(tmp_path / "a.npz", model)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["feature"], model.forest.feature)
        assert json.loads(archive["card.json"])["seed"] == model.card.seed


def test_reads_what_numpy_writes(tmp_path: Path) -> None:
    """An archive made with other tools, in another order."""
    shuffled = dict(sorted(members().items(), reverse=True))
    assert equal(read_model(write(tmp_path / "a.npz", shuffled)), trained()[0])


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_model(path, trained()[0])
    assert path.read_bytes() == b"old"


@settings(max_examples=150, deadline=None, suppress_health_check=ANY_FOLDER)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_seen_or_harmless(tmp_path: Path, place: float, bit: int) -> None:
    data = bytearray(content())
    data[int(place * len(data))] ^= 1 << bit
    path = tmp_path / "flipped.npz"
    path.write_bytes(data)
    try:
        found = read_model(path)
    except DatasetError:
        return
    assert equal(found, trained()[0])


@settings(max_examples=60, deadline=None, suppress_health_check=ANY_FOLDER)
@given(place=st.integers(0, 400), from_end=st.booleans(), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_archives_own_records(
    tmp_path: Path, place: int, from_end: bool, bit: int
) -> None:
    """Sizes, names, methods and flags stand at both ends."""
    data = bytearray(content())
    data[-1 - place if from_end else place] ^= 1 << bit
    path = tmp_path / "flipped.npz"
    path.write_bytes(data)
    try:
        found = read_model(path)
    except DatasetError:
        return
    assert equal(found, trained()[0])


@settings(max_examples=40, deadline=None, suppress_health_check=ANY_FOLDER)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "short.npz"
    path.write_bytes(content()[: int(share * len(content()))])
    with pytest.raises(DatasetError, match="cellularity prediction model"):
        read_model(path)


@settings(max_examples=60, deadline=None, suppress_health_check=ANY_FOLDER)
@given(name=st.sampled_from([*Forest.TYPES]), data=st.data())
def test_altered_arrays_are_refused_or_can_be_asked(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    """Altered behind the checksum, as a hand-made file would be."""
    array = parts()[0][name].copy()
    raw = array.view(np.uint8)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = write(tmp_path / "altered.npz", members(**{f"{name}_npy": npy(array)}))
    try:
        model = read_model(path)
    except DatasetError:
        return
    assert np.isfinite(model.forest.predict(np.full((9, 100), 500, np.float32))).all()


class Evil:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("name", [*Forest.TYPES])
def test_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    pickled = npy(np.array([Evil()], dtype=object), allow_pickle=True)
    path = write(tmp_path / "evil.npz", members(**{f"{name}_npy": pickled}))
    with pytest.raises(DatasetError, match=f"{name} is not"):
        read_model(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"value_npy": b""}, "value is no array"),
        ({"value_npy": b"\x93NUMPY\x01\x00"}, "no such model"),
        ({"value_npy": b"\x93NUMPY\x02\x00" + bytes(99)}, "no array of NumPy's format 1.0"),
        ({"value_npy": npy(np.zeros((3, 2), np.float32))}, "value is not float32"),
        ({"value_npy": npy(np.zeros(3, np.float64))}, "value is not float32"),
        ({"value_npy": npy(np.zeros(3, ">f4"))}, "value is not float32"),
        ({"value_npy": npy(np.zeros(3, np.float32))}, "nodes"),
        ({"value_npy": npy(np.zeros(9, np.float32))[:-4]}, "length"),
        ({"root_npy": npy(np.array([], np.int32))}, "0 trees"),
        ({"extra_npy": npy(np.zeros(1))}, "members"),
        ({"card_json": "{"}, "no such model"),
        ({"card_json": "[]"}, "no JSON object"),
        ({"card_json": "[" * 100_000}, "no such model"),
        ({"card_json": b"\xff\xfe"}, "no such model"),
        ({"card_json": "{}"}, "lacks"),
        ({"card_json": '{"seed": 1, "seed": 2}'}, "twice"),
        ({"card_json": '{"seed": NaN}'}, "NaN"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, changed: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_model(write(tmp_path / "bad.npz", members(**changed)))


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("format_version", 2, "format version 2; this library reads up to 1"),
        ("format_version", "1", "format_version"),
        ("format_version", True, "format_version"),
        ("inputs", ["T1w", "T1wGd", "FLAIR"], "inputs"),
        ("inputs", ["T1wGd", "T1w", "FLAIR", "ADC"], "inputs"),
        ("units", {"T1w": "arbitrary"}, "units"),
        (
            "units",
            {"T1w": "arbitrary", "T1wGd": "arbitrary", "FLAIR": "arbitrary", "ADC": "mm2/s"},
            "units",
        ),
        ("tile_size", 3, "tile_size"),
        ("density_unit", "cells/mm3", "density_unit"),
        ("input_scaling", "z-score", "input_scaling"),
        ("voxel_size", 0, "voxel_size"),
        ("voxel_size", "2", "voxel_size"),
        ("reference_sd", 0.0, "reference_sd"),
        ("reference_sd", 10**400, "reference_sd"),
        ("test_rmse", -1.0, "test_rmse"),
        ("training_range", {"ADC": [0, 1]}, "training_range"),
        ("training_range", [1], "training_range"),
        ("density_range", [2.0, 1.0], "density_range"),
        ("n_tiles", {"train": -1, "test": 1}, "n_tiles"),
        ("synthetic", 1, "synthetic"),
        ("label", 5, "label"),
        ("label", "x" * 2000, "label"),
        ("software", {"numpy": 2}, "software"),
        ("seed", 1.5, "seed"),
        ("note", "", "unknown entry 'note'"),
    ],
)
def test_a_card_that_does_not_fit(tmp_path: Path, entry: str, value: Any, message: str) -> None:
    path = write(tmp_path / "bad.npz", members(card_json=card_with(**{entry: value})))
    with pytest.raises(DatasetError, match=message):
        read_model(path)


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"not an archive", b"\x1f\x8b" + bytes(50), b"PK\x05\x06" + bytes(18)]
)
def test_other_files(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="no such model"):
        read_model(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that claims too much, and one that claims less than it holds."""
    monkeypatch.setattr(model_file, "MAX_MEMBER", 2**20)
    path = write(tmp_path / "bomb.npz", members(value_npy=bytes(2**21)))
    assert path.stat().st_size < 2**20
    with pytest.raises(DatasetError, match=r"value\.npy claims 2097152 bytes"):
        read_model(path)
    size = (2**21).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (2**10).to_bytes(4, "little")))
    with pytest.raises(DatasetError, match="no such model"):
        read_model(path)
    monkeypatch.setattr(model_file, "MAX_FILE", 100)
    with pytest.raises(DatasetError, match="more than 100 bytes"):
        read_model(path)


def test_a_member_twice_and_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "twice.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members().items():
            archive.writestr(name if name != "root.npy" else "value.npy", data) if (
                name != "value.npy"
            ) else None
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("value.npy", b"")
    with pytest.raises(DatasetError, match="members"):
        read_model(path)
    with pytest.raises(DatasetError, match="no such file"):
        read_model(tmp_path)
