"""Tuning: search for the best schedule of each kernel of a model, where it will run.

task.py      the distinct kernels of a model, as plain data
search.py    configurations of a task: neighbours, crossings, random ones
features.py  a loop nest as numbers; model.py learns from them which candidate is fast
executor.py  where candidates are built and measured; slots.py: several batches at once
cluster.py   a Dask cluster as one; on_worker.py is what its workers do
remote.py    devices of a hub as one; programs.py times candidates wherever a runner is
worker.py    a process that compiles and times candidates; it may hang or crash
built.py     candidates as packages, for what measures elsewhere
records.py   what was measured, in SQLite; the compile driver looks the best one up
tuner.py     the loop around all of them
state.py     how far it is
view.py      its progress on a terminal, and as a plot
"""
