"""What commands read out of files: images, .npy, .npz for the inputs of a model; labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.dtype import DType
from ...runtime.errors import InputError, WeftError
from ...runtime.files import read_file

MOST_LABELS = 64 << 20  # bytes
MOST_ARRAY = 16 << 30  # bytes: 2³¹ elements of eight


@dataclass(frozen=True)
class Wanted:
    """What is known of an input. ``dims`` has None for a size not known yet."""

    dtype: DType
    dims: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join('?' if d is None else str(d) for d in self.dims)}]"


@dataclass(frozen=True)
class ImageOptions:
    """How an image becomes an array; None: seen from the input, else the default."""

    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    size: tuple[int, int] | None = None
    layout: str | None = None


def read_inputs(
    texts: Sequence[str], wanted: Mapping[str, Wanted], images: ImageOptions
) -> dict[str, np.ndarray]:
    """Arrays by input name from ``[NAME=]FILE`` words.

    Raises :class:`InputError` for files that cannot be read and names that the model lacks.
    """
    arrays: dict[str, np.ndarray] = {}
    for text in texts:
        for name, array in _read(text, wanted, images):
            if name in arrays:
                raise InputError(f"the input {name!r} was given twice.", where=text)
            arrays[name] = array
    return arrays


def _read(
    text: str, wanted: Mapping[str, Wanted], images: ImageOptions
) -> list[tuple[str, np.ndarray]]:
    name, eq, file = text.partition("=")
    if not eq or (Path(text).exists() and name not in wanted):
        name, file = "", text
    path = Path(file)
    if not path.is_file():
        raise InputError(f"there is no file {file!r}.", where=f"--input {text}")
    if path.suffix.lower() == ".npz":
        if name:
            raise InputError(
                "an .npz holds arrays by input name.", where=f"--input {text}",
                hint=f"leave {name}= out",
            )  # fmt: skip
        with _archive(path) as data:
            return [
                (k, _fit(_member(data, k, path), _known(k, wanted, text), text)) for k in data.files
            ]
    if not name:
        if len(wanted) != 1:
            raise InputError(
                f"the model has {len(wanted)} inputs, and this file says none of them.",
                where=f"--input {text}",
                hint="write NAME=FILE; inputs: "
                + "; ".join(f"{k}: {w}" for k, w in wanted.items()),
            )
        (name,) = wanted
    want = _known(name, wanted, text)
    if path.suffix.lower() == ".npy":
        return [(name, _fit(_array(path), want, text))]
    return [(name, read_image(path, want, images))]


def _list(wanted: Mapping[str, Wanted]) -> str:
    return "inputs: " + "; ".join(f"{k}: {w}" for k, w in wanted.items())


def _known(name: str, wanted: Mapping[str, Wanted], text: str) -> Wanted:
    if name not in wanted:
        raise InputError(
            f"the model has no input {name!r}.", where=f"--input {text}",
            hint=_list(wanted),
        )  # fmt: skip
    return wanted[name]


def _array(path: Path) -> np.ndarray:
    """The array of an .npy file. What its header announces must be there before memory is taken."""
    with _readable(path), path.open("rb") as file:
        _check_header(file, path.stat().st_size)
        return np.load(file, allow_pickle=False)


def _archive(path: Path) -> Any:
    with _readable(path):
        data = np.load(path, allow_pickle=False)
        if not isinstance(data, np.lib.npyio.NpzFile):
            raise ValueError("it is no archive")
        return data


def _member(data: Any, name: str, path: Path) -> np.ndarray:
    """One array of an archive, of the size that the archive says."""
    with _readable(path):
        part = next(i for i in data.zip.infolist() if i.filename in (name, f"{name}.npy"))
        if part.file_size > MOST_ARRAY:
            raise ValueError(f"{name} has {part.file_size} bytes")
        with data.zip.open(part) as file:
            _check_header(file, part.file_size)
        return data[name]


def _check_header(file: Any, size: int) -> None:
    """Raise ``ValueError`` where a header announces more than the ``size`` bytes of its file."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):  # 3.0 is 2.0 with names of fields in UTF-8
        read = np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    need = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or need > size:
        raise ValueError(f"{need} bytes are announced, and {size} are there")
    file.seek(0)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Errors of whoever decodes a foreign file: numpy has no class for them, and raises many."""
    try:
        yield
    except Exception as e:
        why = str(e) or type(e).__name__
        raise InputError(f"this is no readable array file: {why}.", where=str(path)) from None


def _fit(array: np.ndarray, want: Wanted, text: str) -> np.ndarray:
    """``array`` in the wanted dtype, if it is of the same kind and every integer fits."""
    dtype = want.dtype.numpy
    if array.dtype == dtype:
        return array
    same_kind = np.can_cast(array.dtype, dtype, "same_kind")
    if same_kind or (array.dtype.kind in "iu" and dtype.kind in "iu"):
        converted = array.astype(dtype)
        if dtype.kind not in "iu" or np.array_equal(converted, array):
            return converted
        raise InputError(f"there are numbers that no {want.dtype} holds.", where=f"--input {text}")
    raise InputError(
        f"the array has the dtype {array.dtype}, the input is {want}.", where=f"--input {text}"
    )


def read_image(path: Path, want: Wanted, options: ImageOptions) -> np.ndarray:
    """An image as an input [1, C, H, W] or [1, H, W, C] (or without the 1).

    Raises :class:`InputError` when the input is no image or the file is none, and
    :class:`WeftError` when Pillow is not installed.
    """
    from ..web.images import SIZE, check_pixels, layout_of, mean_std

    try:
        from PIL import Image
    except ImportError:
        raise WeftError(
            "reading images needs Pillow, which is not installed.",
            where=str(path), hint="pip install 'weft[images]', or give a .npy file",
        ) from None  # fmt: skip
    if len(want.dims) not in (3, 4) or want.dims[: len(want.dims) - 3] not in ((), (1,), (None,)):
        raise InputError(f"an image does not fit the input, which is {want}.", where=str(path))
    layout = options.layout or layout_of(want.dims[-3:]) or "NCHW"
    at = layout[1:]
    channels, height, width = (want.dims[-3:][at.index(axis)] for axis in "CHW")
    if channels not in (1, 3, None):
        raise InputError(
            f"the input {want} has {channels} channels as {layout}; an image has 1 or 3.",
            where=str(path), hint="give --layout",
        )  # fmt: skip
    high, wide = options.size or (SIZE, SIZE)
    size = (height or high, width or wide)
    if options.size not in (None, size):
        raise InputError(f"--size {high}x{wide} does not fit the input {want}.", where=str(path))
    check_pixels(want.dtype, options.mean, options.std, str(path))
    try:
        with Image.open(path) as opened:
            image = opened.convert("L" if channels == 1 else "RGB")
        pixels = _crop(image, size)
    except Exception as e:  # each of its formats has a decoder with errors of its own
        why = str(e) or type(e).__name__
        raise InputError(f"this is no readable image: {why}.", where=str(path)) from None
    data = np.asarray(pixels).reshape(*size, -1)
    if want.dtype.numpy != np.uint8:
        mean, std = mean_std(options.mean, options.std, data.shape[-1], str(path))
        normal = (data.astype(np.float32) / 255 - np.float32(mean)) / np.float32(std)
        data = normal.astype(want.dtype.numpy)
    if layout == "NCHW":
        data = data.transpose(2, 0, 1)
    return np.ascontiguousarray(data[None] if len(want.dims) == 4 else data)


def _crop(image: Any, size: tuple[int, int]) -> Any:
    """The middle of ``image``, scaled so that ``size`` / CROP (height, width) is covered."""
    from PIL import Image

    from ..web.images import CROP, covering

    height, width = size
    h, w = covering(size, (image.height, image.width), CROP)
    left, top = (w - width) // 2, (h - height) // 2
    scaled = image.resize((w, h), Image.Resampling.BICUBIC)
    return scaled.crop((left, top, left + width, top + height))


def read_labels(file: str | None) -> list[str]:
    """The lines of a file of labels; none where there is no file."""
    if file is None:
        return []
    data = read_file(file, MOST_LABELS, error=InputError, what="the labels")
    try:
        return data.decode("utf-8").splitlines()
    except UnicodeDecodeError as e:
        raise InputError(f"the labels cannot be read: {e}.", where=file) from None
