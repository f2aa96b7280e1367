"""PyTorch: exported programs (``.pt2``), TorchScript archives, and modules in memory.

``recognise.py`` tells what a source is; ``load.py`` goes by that. ``archive.py`` and ``pickles.py``
read members and tensors, ``program.py`` the description of an exported program, ``mutation.py``
makes it free of side effects. ``context.py`` is what converters see, ``ops_*.py`` are the
converters, named and with parameters as in ATen's schemas. ``objects.py`` is the one module that
imports torch, and only to export what is in memory.
"""
