"""What the trained models are for: the few lines before and after the network.

Text recognition, kinds of files, notes; each as its authors describe it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from . import packages

# ---- PP-OCRv4: text from an image of one line -------------------------------------------------

LINE_HEIGHT = 48


def draw_line(text: str, size: int = 36) -> Image.Image:
    """An image of one line of black text on white, in the font that Pillow carries."""
    font = ImageFont.load_default(size)
    width = int(font.getlength(text)) + 24
    image = Image.new("RGB", (width, LINE_HEIGHT), "white")
    ImageDraw.Draw(image).text((12, LINE_HEIGHT // 2), text, "black", font, anchor="lm")
    return image


def line_pixels(image: Image.Image, width: int) -> np.ndarray:
    """[1, 3, 48, width] f32 in -1 … 1 and BGR; the line keeps its proportions, the rest is zero."""
    w = min(width, round(image.width * LINE_HEIGHT / image.height))
    data = np.asarray(image.resize((w, LINE_HEIGHT), Image.Resampling.BILINEAR), np.float32)
    x = np.zeros((1, 3, LINE_HEIGHT, width), np.float32)
    x[0, :, :, :w] = (data[:, :, ::-1] / 127.5 - 1).transpose(2, 0, 1)
    return x


def alphabet(model: Any) -> list[str]:
    """The signs of the recogniser by class: a blank, the dictionary in the metadata, a space."""
    signs = next(p.value for p in model.metadata_props if p.key == "character")
    return ["", *signs.splitlines(), " "]


def read_line(probabilities: np.ndarray, signs: list[str]) -> str:
    """The greedy CTC decoding of [1, steps, signs]: repeats merge, blanks vanish."""
    best = probabilities[0].argmax(-1)
    keep = np.concatenate([[True], best[1:] != best[:-1]])
    return "".join(signs[k] for k in best[keep])


def text_box(probability: np.ndarray, threshold: float = 0.3) -> tuple[int, int, int, int]:
    """Left, top, right, bottom (exclusive) of what the detector [1, 1, H, W] takes for text."""
    rows, columns = np.nonzero(probability[0, 0] > threshold)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


# ---- Magika: the kind of a file ---------------------------------------------------------------


def file_features(data: bytes) -> np.ndarray:
    """int32 [1, 2048]: the first 1024 bytes and the last 1024 of a file.

    Of the first and the last 4096 bytes, white space is cut off at the outer end; 256 fills up.
    """
    config = json.loads(packages.path("config.min.json").read_text())
    block, fill = config["block_size"], config["padding_token"]
    head = list(data[:block].lstrip()[: config["beg_size"]])
    tail = list(data[-block:].rstrip()[-config["end_size"] :])
    head += [fill] * (config["beg_size"] - len(head))
    tail = [fill] * (config["end_size"] - len(tail)) + tail
    return np.array([head + tail], np.int32)


def file_kind(scores: np.ndarray) -> str:
    """The label of the highest score."""
    config = json.loads(packages.path("config.min.json").read_text())
    return config["target_labels_space"][int(scores.reshape(-1).argmax())]


# ---- Basic Pitch: notes from audio ------------------------------------------------------------

SAMPLE_RATE, SAMPLES, LOWEST_MIDI = 22050, 43844, 21


def tone(midi: Iterable[int]) -> np.ndarray:
    """f32 [1, 43844, 1]: two seconds of a chord, each note with five fading overtones."""
    time = np.arange(SAMPLES) / SAMPLE_RATE
    wave = np.zeros(SAMPLES)
    for note in midi:
        hertz = 440.0 * 2 ** ((note - 69) / 12)
        for k in range(1, 7):
            wave += np.sin(2 * np.pi * k * hertz * time) * 0.5**k
    wave *= np.minimum(1, time / 0.02) * np.exp(-time / 2)
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)[None, :, None]


def recording(midi: Iterable[int], floor_db: float = -50) -> np.ndarray:
    """:func:`tone` as the microphone of a laptop has it: over noise of ``floor_db`` full scale.

    The network takes logarithms of the power in every band. Where a band is silent to the last bit,
    they are of rounding errors: there ONNX Runtime is 4e-4 from exact arithmetic itself.
    """
    clean = tone(midi)
    noise = np.random.default_rng(0).standard_normal(clean.shape)
    return clean + (10 ** (floor_db / 20) * noise).astype(np.float32)


def notes_heard(frames: np.ndarray, threshold: float = 0.5) -> list[int]:
    """MIDI numbers of the notes whose mean activation over the middle of [1, 172, 88] is high."""
    level = frames[0, 40:130].mean(0)
    return [LOWEST_MIDI + int(k) for k in np.flatnonzero(level > threshold)]
