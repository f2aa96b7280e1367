"""The command line: ``main.py`` has the list of commands and calls the one that is asked for; a
module beside it declares the words of a command and does what it says.

``arguments.py`` has the options that several share, and which have an effect when; ``models.py``
what commands do with models, ``inputs.py`` with arrays, images and labels; ``progress.py`` what a
terminal shows meanwhile. The compiler is imported inside of functions: ``weft --help`` does not
wait for it.
"""
