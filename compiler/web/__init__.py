"""Models for web pages: everything around ``weft.bundle``.

``bundle.py`` writes the folder, ``page.py`` its page and runtime, ``parameters.py`` and
``weights.py`` what the parameters are stored as, ``process.py`` what happens to images and scores
inside of the program. ``serve.py`` shows a bundle, ``remote.py`` runs programs from Python in a
browser or under Node.
"""
