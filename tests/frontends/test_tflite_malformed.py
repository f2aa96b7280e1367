"""Damaged and hostile ``.tflite`` files: a WeftError in bounded time, and nothing else."""

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from support.lite_models import DATA, packed
from weft.compiler.frontends import inspect, load
from weft.compiler.frontends.tflite.flatbuffer import Flat, Table, declare
from weft.runtime.errors import ModelError, WeftError

pytestmark = pytest.mark.timeout(120)
ANSWERS = Path(__file__).parent / "answers" / "litert"
SOUND = (DATA / "mlcommons-tiny" / "kws_ref_model.tflite").read_bytes()


def refused(data) -> bool:
    """Whether a file is refused as one should be; anything but a WeftError is a failure."""
    try:
        load(data, format="tflite")
        inspect(data)
    except WeftError as e:
        assert str(e)
        return True
    return False


def test_sound():
    assert not refused(SOUND)


def structure() -> list[int]:
    """The bytes that are not in a large buffer: offsets, sizes, shapes, options."""
    weights = max(SOUND.split(b"\0\0\0\0"), key=len)
    at = SOUND.index(weights)
    return [k for k in range(len(SOUND)) if not at <= k < at + len(weights)]


def damaged(rng: random.Random, sound: bytes, places: list[int]) -> bytes:
    """A file with a few bytes changed at one of the places, or left out."""
    data = bytearray(sound)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.choice(places)
        how = rng.randrange(5)
        if how == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            data[at : at + 4] = struct.pack("<i", rng.randrange(-9, 40))
        elif how == 2:
            value = rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, len(data)))
            data[at : at + 4] = struct.pack("<I", value)
        elif how == 3:
            data[at : at + 1] = bytes([sound[at] ^ 1 << rng.randrange(8)])
        else:
            del data[at : at + rng.randrange(1, 9)]
    return bytes(data)


def test_mutations_of_a_network():
    rng, places = random.Random(1), structure()
    ends = places[-12000:]
    files = [damaged(rng, SOUND, ends if k % 3 else places) for k in range(400)]
    found = sum(map(refused, files))
    assert 40 < found < 400  # what is changed is read, and not only what is refused at once


def test_mutations_of_every_operator():
    """Loops, states and sparse or quantised tensors among them."""
    kept = packed(ANSWERS / "ops.npz")
    models = [v.tobytes() for k, v in kept.items() if k.endswith("/model")]
    rng, found = random.Random(2), 0
    for k in range(800):
        sound = models[k % len(models)]
        found += refused(damaged(rng, sound, list(range(len(sound)))))
    assert 80 < found < 800


@pytest.mark.parametrize("size", [8, 9, 100, 1000, len(SOUND) // 2, len(SOUND) - 40])
def test_cut_short(size):
    assert refused(SOUND[:size])


# --- the reader of flatbuffers by itself

FIELDS = declare("T 0:a:i32=7 1:b:table* 2:c:u8* 3:d:string")["T"]


def table(fields: bytes, vtable: tuple[int, ...], tail: bytes = b"") -> Table:
    """A file of one table: root, vtable, the table, what lies behind."""
    v = struct.pack(f"<{len(vtable) + 2}H", 4 + 2 * len(vtable), 4 + len(fields), *vtable)
    at = 8 + len(v)
    body = struct.pack("<I", at) + b"TFL3" + v + struct.pack("<i", len(v)) + fields + tail
    return Flat(body, "f").root(FIELDS)


def test_fields_and_defaults():
    t = table(struct.pack("<i", -3), (4,))
    assert t.get("a") == -3 and t.has("a") and not t.has("d")
    assert t.text("d") == "" and t.numbers("c") == [] and t.tables("b", FIELDS) == []
    assert table(b"", (0,)).get("a") == 7


def test_offsets_stay_inside():
    for value in (0xFFFFFFFF, 0x7FFFFFFF, 1000):
        with pytest.raises(ModelError, match="damaged"):
            table(struct.pack("<I", value), (0, 0, 4)).numbers("c")
    long = table(struct.pack("<I", 4), (0, 0, 4), struct.pack("<I", 1 << 31))
    with pytest.raises(ModelError, match="behind its end"):
        long.numbers("c")
    with pytest.raises(ModelError, match="leads out"):
        Flat(struct.pack("<I", 4) + struct.pack("<i", 0x7FFFFFFF), "f").root(FIELDS)


def test_text_is_utf8():
    bad = table(struct.pack("<I", 4), (0, 0, 0, 4), struct.pack("<I", 2) + b"\xff\xfe")
    with pytest.raises(ModelError, match="UTF-8"):
        bad.text("d")


def test_shared_parts_do_not_keep_the_reader_busy():
    """Every entry of a vector is one table, which may have such a vector again."""
    n = 200
    entries = b"".join(struct.pack("<I", 0) for _ in range(n))
    t = table(struct.pack("<I", 4), (0, 4), struct.pack("<I", n) + entries)
    flat, at = t.flat, t.at
    data = bytearray(flat.data)
    first = at + 12
    for k in range(n):  # an offset that wraps would lead back; it is read as one that leads out
        struct.pack_into("<i", data, first + 4 * k, at - first - 4 * k)
    with pytest.raises(ModelError):
        Flat(bytes(data), "f").root(FIELDS).tables("b", FIELDS)
    forward = bytearray(flat.data) + flat.data[8:at] + struct.pack("<i", at - 8) + bytes(8)
    target = len(flat.data) + at - 8
    for k in range(n):
        struct.pack_into("<I", forward, first + 4 * k, target - first - 4 * k)
    root = Flat(bytes(forward), "f").root(FIELDS)
    with pytest.raises(ModelError, match="share"):
        for _ in range(100):
            root.tables("b", FIELDS)


def test_sizes_are_checked_before_memory_is_taken():
    """A tensor that states a shape larger than its buffer."""
    shape = struct.pack("<4i", 64, 10, 4, 1)
    at = SOUND.find(shape)
    assert at > 0
    huge = bytearray(SOUND)
    huge[at : at + 16] = struct.pack("<4i", 2**30, 2**30, 1, 1)
    assert refused(bytes(huge))
    assert np.frombuffer(SOUND, np.uint8).size == len(SOUND)
