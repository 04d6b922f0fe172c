"""The heap's size, in a process of its own."""

import subprocess
import sys

SPEND = """
import sys
from securecc.channel import heap
def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
heap.keep_small()
held = [bytes(50_000) for _ in range(1000)]
kept = [bytearray(60) for _ in range(10)]
full = resident()
del held
heap.give_back()
print(full - resident())
"""


def test_what_was_dropped_goes_back_to_the_system():
    done = subprocess.run([sys.executable, "-c", SPEND], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 40_000  # of some 50,000 KiB
