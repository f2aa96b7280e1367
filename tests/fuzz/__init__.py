"""Fuzzers: hostile and random input, and what must never happen to whoever gives it to weft.

    make fuzz ARGS="--minutes 10"                          all of them, for ten minutes
    make fuzz ARGS="--only packages --minutes 1"           one of them
    make fuzz ARGS="--only packages --seed 1234 --cases 1" one case again
    make fuzz ARGS="--case FILE"                           a case of the corpus, or of a finding

A *case* is a file: an ONNX model, a package, a zipped bundle, a line of JSON. A fuzzer
(``fuzzer.py``) makes one from a seed and judges one, whoever made it. A case ends in a
``WeftError``, or in right numbers; all else is a *finding*: wrong numbers, another exception, an
``InternalError``, a crash, a hang, memory beyond the limit. Cases run in child processes
(``child.py``), which ``worker.py`` starts and watches; ``driver.py`` deals out the time, and
``report.py`` keeps what was found. ``corpus/`` has the cases of all faults that were found;
``test_corpus.py`` judges them again. To add a fuzzer, write a module with a ``FUZZERS`` tuple and
name it in ``table.py``.
"""
