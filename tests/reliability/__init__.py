"""What must hold whatever happens: the parts of ``python -m tests.reliability``, the long form.

Faults below Python, and damaged files: what is left must be old, new, or refused. `faults.c`
disturbs system calls; `harness.py` runs victims under it, one process per fault; `sweep.py` tries
every fault at every call; `journal.py` says what a power cut would take; `damage.py` cuts and flips
files of each kind that is read. The victims and kinds are in `victims.py` and `kinds.py`; those of
catalogues in `catalog_victims.py` and `catalog_kinds.py`. Catalogues are also killed at random
(`catalog_kills.py`), raced for (`races.py`), and taken through random histories (`histories.py`)
beside a model in plain Python (`catalog_model.py`).

`fuzz.py` runs the core's fuzz targets, and mutants of every file (`loaders.py`) that keep its form
(`mutations.py`); `memory.py` counts what headers that announce too much (`announce.py`) make a
reader ask for, by `asked.c`; `oracle.py`, `determinism.py`, `hostile.py` and `processes.py` repeat
what the tests show a few times, many times.
"""
