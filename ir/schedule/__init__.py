"""Schedules: in which order, where and by what a computation is carried out.

``schedule.py`` holds the stages (``stage.py``); their loops are those of ``loops.py``, changed by
the primitives of ``transforms.py``. ``primitives.py`` is how a primitive is checked, recorded and
replayed, ``trace.py`` the record. ``bounds.py`` and ``reads.py`` say what region of a stage its
readers touch, ``intrinsics.py`` declares what ``tensorize`` may put in the place of loops.
"""
