"""The heap's size, in a process of its own."""

import subprocess
import sys

SPEND = """
import sys
from securecc.model import heap
def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
heap.tune_malloc()
held = [bytes(50_000) for _ in range(1000)]
kept = [bytearray(60) for _ in range(10)]
full = resident()
del held
heap.trim()
print(full - resident())
"""


def test_what_was_dropped_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", SPEND], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 40_000  # of some 50,000 KiB


ALONE = """
import gc, time
from securecc.model import heap
held = [[] for _ in range(200_000)]
def look():
    began = time.perf_counter()
    gc.collect()
    return time.perf_counter() - began
before = look()
heap.freeze_gc()
print(before / look())
"""


def test_what_stays_is_not_looked_at_any_more() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 5


CYCLES = """
import weakref
from securecc.model import heap
heap.freeze_gc()
class Held:
    pass
alive, held = weakref.WeakSet(), []
for _ in range(50):
    for each in held:
        each.itself = each
    held = [Held() for _ in range(20)]
    alive.update(held)
    heap.trim()
print(len(alive))
"""


def test_what_was_in_use_at_one_look_and_is_a_cycle_at_the_next_goes_too() -> None:
    """A daemon looks each second, and Python's own collector never has its turn."""
    done = subprocess.run([sys.executable, "-c", CYCLES], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300  # of 1,000
