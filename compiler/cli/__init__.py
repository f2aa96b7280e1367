"""The command line: ``main.py`` declares the commands, a module beside it is what each does.

``arguments.py`` has the options that several share, and which have an effect when; ``models.py``
what commands do with models, ``inputs.py`` with arrays and images.
"""
