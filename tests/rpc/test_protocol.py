"""The messages of ``runtime/rpc``: what is sent is what comes, whatever it is cut into."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from weft.runtime.rpc import protocol
from weft.runtime.rpc.protocol import ANSWERS, CONTROL, KINDS, PREFIX, QUESTIONS, ProtocolError

JS = Path(__file__).parents[2] / "runtime_js" / "rpc"
SIZES = (0, 1, 63, 64, 65, 1000)


def message(parts) -> bytes:
    fields = {"handle": 3, "arrays": [0], "into": [0]}
    return b"".join(bytes(c) for c in protocol.encode("run", 7, fields, parts))


def read(data: bytes):
    header, size = protocol.sizes(data[: PREFIX.size])
    at = PREFIX.size + header
    assert len(data) == at + size and at % protocol.ALIGNMENT == 0
    payload = np.frombuffer(data[at:], np.uint8)
    return protocol.decode(data[PREFIX.size : at], payload)


def test_a_message_is_what_was_sent():
    parts = [np.arange(n, dtype=np.uint8) for n in SIZES]
    fields, got = read(message([*parts, b"code", np.ones((2, 3), np.float16).T]))
    assert (fields["kind"], fields["id"], fields["handle"]) == ("run", 7, 3)
    for a, b in zip(parts, got):
        np.testing.assert_array_equal(a, b)
    assert got[-2].tobytes() == b"code" and got[-1].view(np.float16).tolist() == [1] * 6


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad",
        PREFIX.pack(b"WEFT", 1 << 31, 0),
        PREFIX.pack(b"WEFT", 64, 1 << 40),
    ],
)
def test_what_is_no_message_is_refused_before_memory_is_taken(data):
    with pytest.raises(ProtocolError):
        protocol.sizes(data[:16])


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"[]",
        b'{"kind": "dance", "parts": []}',
        b'{"kind": "results", "id": 1, "parts": [1]}',
        b'{"kind": "results", "id": 1, "parts": [-64, 64]}',
        b'{"kind": "loaded", "id": 1, "parts": []}',
    ],
)
def test_headers_that_do_not_fit(header):
    with pytest.raises(ProtocolError):
        protocol.decode(header, np.zeros(0, np.uint8))


def test_the_other_side_has_the_same_kinds():
    text = (JS / "answer.js").read_text()
    answers = set(re.findall(r"header: \{ kind: '(\w+)'", text))
    body = text[text.index("const kinds = {") : text.index("return async (message)")]
    questions = set(re.findall(r"^    (?:async )?(\w+)\(.*\) \{$", body, re.MULTILINE))
    assert questions == set(QUESTIONS) and answers == set(ANSWERS)
    assert {k.answer for k in QUESTIONS.values()} - {""} <= set(ANSWERS)
    assert len(KINDS) == len(QUESTIONS) + len(ANSWERS) + len(CONTROL)


def test_what_is_generated_for_the_other_side_is_current():
    """tools/protocol.py writes it."""
    assert (JS / "numbers.js").read_text() == protocol.numbers()


def test_the_other_side_reads_what_is_cut_anywhere(tmp_path):
    """And writes it again as it came."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    data = message([np.arange(n, dtype=np.uint8) for n in SIZES]) * 3 + message([])
    (tmp_path / "in").write_bytes(data)
    (tmp_path / "echo.mjs").write_text(
        f"""import {{ readFileSync }} from 'node:fs';
        import {{ FrameReader, encode }} from {json.dumps((JS / "frames.js").as_uri())};
        const data = new Uint8Array(readFileSync(process.argv[2]));
        for (const cut of [1, 7, 64, 1000, data.length]) {{
          const out = [];
          const reader = new FrameReader(({{ header: {{ parts: _, ...rest }}, parts }}) =>
            out.push(...encode(rest, parts)));
          for (let at = 0; at < data.length; at += cut) reader.push(data.subarray(at, at + cut));
          if (Buffer.compare(Buffer.concat(out), data)) throw new Error(`cut into ${{cut}}`);
        }}
        try {{ new FrameReader(() => {{}}).push(new Uint8Array(16)); }} catch (e) {{
          console.log(e.message);
        }}"""
    )
    command = [node, str(tmp_path / "echo.mjs"), str(tmp_path / "in")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "this is no message of weft\n"), done.stderr
