"""Tests without a core, a network or a clock.

`call` runs one algorithm on inputs that the test makes up. A `Core` runs whole DAGs with their history: it is given
processors and then windows, in any order of event time, and runs every algorithm on the rows that a real core would
hand to it, one window after the other:

>>> core = Core(proc)
>>> for i in range(24 * 60):
...     outcome = core.emit(minute(i))
>>> outcome[trend]

With pytest, the fixture `orca_core` makes one: `core = orca_core(proc)`.
"""

from orca.testing._call import Given, call, given
from orca.testing._core import Core

__all__ = ["Core", "Given", "call", "given"]
