"""weft beside TensorFlow.js and ONNX Runtime Web in one browser.

``python -m weft.benchmarks.web`` prints the tables. The peers come from npm at the versions of
``package.json`` and are served from ``node_modules``; the pages under ``page/`` hold one runtime
each.
"""
