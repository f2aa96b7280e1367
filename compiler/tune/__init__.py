"""Tuning: search for the best schedule of each kernel of a model on this machine.

task.py      the distinct kernels of a model, as plain data
search.py    configurations of a task: neighbours, crossings, random ones
features.py  a loop nest as numbers; model.py learns from them which candidate is fast
worker.py    a process that compiles and times candidates; it may hang or crash
records.py   what was measured, in SQLite; the compile driver looks the best one up
tuner.py     the loop around all of them
view.py      its progress on a terminal, and as a plot
"""
