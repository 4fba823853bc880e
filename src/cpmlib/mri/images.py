"""Reading and writing images: the one place that touches NIfTI files."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from cpmlib.study.errors import DatasetError, fault

CONTRASTS = ("T1w", "T1wGd", "FLAIR", "ADC")
"""Inputs of a cellularity prediction map, in the order in which a model sees them."""

MAX_VOXELS = 2**29
"""More voxels than any clinical series has; a header that claims more is corrupt."""

MIN_VOXEL_MM3 = 1e-6
"""Volume of a voxel below which an affine counts as singular, mm3."""

OTHER_UNITS = {1: "metres", 3: "micrometres"}
"""Codes of the units that a header may name instead of mm (2) or none (0)."""

ALIGNED = 2
"""Code of a header whose coordinates are those of another image, which may be the scanner's."""

OTHER_SPACES = {3: "Talairach's space", 4: "MNI152 space", 5: "a template's space"}
"""Codes of a header whose coordinates are those of no patient's scanner."""

_HEADER_BYTES = 352
_MAX_AFTER = 2**20
"""Bytes that may follow the last voxel."""
_TOO_LONG = "more data than the header says"
_COMPRESSION = 3
_NOT_NIFTI = (ImageFileError, HeaderDataError, WrapStructError, zlib.error, OSError, EOFError)
_UNREADABLE = (*_NOT_NIFTI, ValueError, OverflowError, MemoryError, TypeError, KeyError)


def read_image(path: str | os.PathLike[str], dimensions: int = 3) -> nib.Nifti1Image:
    """Read a NIfTI image, ``.nii`` or ``.nii.gz``, whole and check it.

    `dimensions` are 3 for a volume, 4 for a series; a series of one volume is read as a volume.
    Values are float32, scaled by the header's slope and intercept. Of the header only sform and
    qform are kept.

    Raises DatasetError for a file that is absent, truncated, corrupt or of another kind; a header
    with absurd or unexpected dimensions, without scanner coordinates, or in another unit than mm; a
    singular affine; infinities; an image without any value.

    Examples
    --------
    >>> import tempfile
    >>> image = nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder) / "ones.nii.gz", image)
    ...     read_image(Path(folder) / "ones.nii.gz").shape
    (2, 2, 2)
    """
    path = Path(path)
    image = _open(path)
    shape = _check_header(image, path.name, dimensions)
    try:
        if path.suffix.lower() == ".gz":
            image = type(image).from_bytes(_decompressed(path, image))
        elif path.stat().st_size > _bytes_of(image) + _MAX_AFTER:
            raise ValueError(_TOO_LONG)
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    except _UNREADABLE as error:
        raise _fault(path.name, f"a file that cannot be read to its end ({_said(error)})") from None
    infinite = np.isinf(values)
    if infinite.any():
        voxel = tuple(int(i) for i in np.argwhere(infinite)[0])
        found = f"{int(infinite.sum())} infinite values, the first at voxel {voxel}"
        raise _fault(path.name, found, "finite values", "write the image again")
    if np.isnan(values).all():
        raise _fault(path.name, "no finite value", "an image", "replace the file")
    read = nib.Nifti1Image(values, image.affine)
    _keep_qform(read, image)
    return read


def check_file(path: str | os.PathLike[str], dimensions: int = 3) -> tuple[tuple[int, ...], int]:
    """Check a file's header as `read_image` does; return the shape and the code of its space."""
    image = _open(Path(path))
    return _check_header(image, Path(path).name, dimensions), _space_code(image)


def _check_header(image: nib.Nifti1Image, file: str, dimensions: int) -> tuple[int, ...]:
    shape = tuple(int(n) for n in image.shape)
    if len(shape) > dimensions and set(shape[dimensions:]) == {1}:
        shape = shape[:dimensions]
    text = " x ".join(str(n) for n in shape)
    if len(shape) != dimensions:
        kind = {3: "one volume (3 dimensions)", 4: "a series (4 dimensions)"}[dimensions]
        remedy = "name the file that holds it, or split the series"
        raise _fault(file, f"{len(shape)} dimensions ({text})", kind, remedy)
    if min(shape) < 1 or int(np.prod(shape, dtype=object)) > MAX_VOXELS:
        raise _fault(file, f"a header that claims {text} voxels")
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf":
        raise _fault(file, f"values of type {dtype}", "whole or real numbers")
    affine = image.affine
    if affine is None or not np.isfinite(affine).all():
        raise _fault(file, "an affine with values that are not finite", "a finite affine")
    unit = OTHER_UNITS.get(int(image.header["xyzt_units"]) & 7)
    if unit is not None:
        remedy = "convert it again, or write the affine in mm and the unit with it"
        raise _fault(file, f"coordinates in {unit}", "coordinates in mm", remedy)
    volume = abs(float(np.linalg.det(affine[:3, :3])))
    if volume < MIN_VOXEL_MM3:
        raise _fault(file, f"a singular affine (a voxel of {volume:g} mm3)", "an invertible affine")
    code = _space_code(image)
    if code == 0:
        found = "no scanner coordinates (sform and qform codes are 0)"
        raise _fault(file, found, "an affine to scanner space", "convert it again from DICOM")
    if code in OTHER_SPACES:
        found = f"coordinates in {OTHER_SPACES[code]} (code {code} in the header)"
        remedy = "bring it to scanner space, or correct the code (1) if its coordinates are those"
        raise _fault(file, found, "coordinates of the scanner, where the targets are", remedy)
    return shape


def _space_code(image: nib.Nifti1Image) -> int:
    return int(image.header["sform_code"]) or int(image.header["qform_code"])


def write_image(
    path: str | os.PathLike[str],
    image: nib.Nifti1Image,
    slope: float | None = None,
    repetition_time: float = 0.0,
) -> None:
    """Write an image as a whole or not at all; equal images give equal bytes.

    With a slope, 16-bit whole numbers are stored, each worth this much (`quantised`), else float32.
    The repetition time is in seconds.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"{path.name}: expected a name ending in .nii or .nii.gz")
    values = np.asarray(image.dataobj, dtype=np.float32)
    header = nib.Nifti1Header()
    if slope is not None:
        values = quantised(values, slope)
        header.set_data_dtype(np.int16)
        header["scl_slope"], header["scl_inter"] = slope, 0
    else:
        header.set_data_dtype(np.float32)
    header.set_data_shape(values.shape)
    zooms = nib.affines.voxel_sizes(image.affine)
    header.set_zooms([*zooms, repetition_time][: values.ndim])
    header.set_xyzt_units("mm", "sec")
    header.set_sform(image.affine, code=1)
    header.set_qform(image.affine, code=1, strip_shears=True)
    header["vox_offset"] = _HEADER_BYTES
    header["magic"] = b"n+1"
    content = header.binaryblock + bytes(4) + values.tobytes(order="F")
    if path.name.endswith(".gz"):
        packed = io.BytesIO()
        with gzip.GzipFile("", "wb", _COMPRESSION, packed, mtime=0) as stream:
            stream.write(content)
        content = packed.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content)
    partial.replace(path)


def quantised(values: np.ndarray, slope: float) -> np.ndarray:
    """Return what 16-bit storage keeps of values: whole multiples of a slope, clipped.

    Examples
    --------
    >>> quantised(np.array([1.2, 4e9]), 0.5)
    array([    2, 32767], dtype=int16)
    """
    if np.isnan(values).any():
        raise ValueError("NaN cannot be stored as a whole number")
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(values / slope), limits.min, limits.max).astype(np.int16)


def _open(path: Path) -> nib.Nifti1Image:
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise _fault(path.name, "another kind of file", "a name ending in .nii or .nii.gz")
    if not path.is_file():
        raise _fault(path.name, "no such file", "an image", "add it or correct its name")
    try:
        image = nib.load(path)
    except _UNREADABLE as error:
        raise _fault(path.name, f"a file that is no NIfTI image ({_said(error)})") from None
    if not isinstance(image, nib.Nifti1Image):
        raise _fault(path.name, f"a {type(image).__name__}", "a NIfTI image")
    return image


def _keep_qform(read: nib.Nifti1Image, image: nib.Nifti1Image) -> None:
    """Keep the header's second description of where the image lies, which is compared later."""
    if int(image.header["sform_code"]) and int(image.header["qform_code"]):
        with contextlib.suppress(HeaderDataError, ValueError):  # numbers that are no rotation
            qform = image.header.get_qform()
            read.set_sform(image.affine, int(image.header["sform_code"]))
            read.set_qform(qform, int(image.header["qform_code"]), update_affine=False)


def _decompressed(path: Path, image: nib.Nifti1Image) -> bytes:
    """Read a compressed file to its end, where its checksum stands; nibabel stops before it."""
    with gzip.open(path, "rb") as stream:
        content = stream.read(_bytes_of(image))
        if stream.read(_MAX_AFTER + 1)[_MAX_AFTER:]:
            raise ValueError(_TOO_LONG)
    return content


def _bytes_of(image: nib.Nifti1Image) -> int:
    voxels = int(np.prod(image.shape, dtype=object))
    offset = image.dataobj.offset  # type: ignore[attr-defined]
    return int(offset) + voxels * image.get_data_dtype().itemsize


def _said(error: BaseException) -> str:
    """Return the first line of a library's message, without the paths that it may hold."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    words = [w for w in lines[0].split() if "/" not in w and "\\" not in w]
    return " ".join(words)[:120] or type(error).__name__


def _fault(
    file: str,
    found: str,
    expected: str = "a whole NIfTI image",
    remedy: str = "copy or convert the file again",
) -> DatasetError:
    return fault(file, found, expected, remedy)
