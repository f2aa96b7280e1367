"""What the repository measures and shows itself with; not part of the installed package.

``zoo/`` builds and fetches the models that tests, tutorials, demo and benchmarks use; ``__main__``
times weft beside ONNX Runtime, OpenVINO and PyTorch (``make bench``); ``demo.py`` is ``make demo``.
"""
