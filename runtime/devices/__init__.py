"""What runs programs: ``table.py`` has a row for each kind of target, its folder the driver, which
is imported when a program asks for it.

``program.py`` is what devices with a memory of their own share, ``memory.py`` the plan of it;
``probe.py`` asks what of this machine works, ``pages.py`` what runs pages.
"""
