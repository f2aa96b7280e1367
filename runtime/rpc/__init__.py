"""Running programs where this process is not: under Node and in a page of a browser, today.

``protocol.py`` says what messages there are and how they travel, ``link.py`` what carries them
(``node.py``: a child's pipes; ``browser.py``: a Chromium and the WebSocket of ``server.py``),
``peer.py`` keeps the one other side that this process has, and ``program.py`` is the
:class:`~weft.runtime.runner.Runner` on top. The other side is ``runtime_js/rpc/``, which runs
programs with the executor that bundles use.
"""
