"""How the benchmarks measure: programs in turn, in one process, on a machine that is described."""

import contextlib
import os
import platform
import re
import time
import tracemalloc
from pathlib import Path

import numpy as np
import threadpoolctl

from cnnlib import networks

PAUSE = 0.03  # seconds; OpenBLAS's threads spin for some 26 ms after a product
INTERFERENCE = 0.05  # share of the cores used by other programs from which a row says so


def times_in_turn(programs, turns, pause=True, calls=1):
    """Run the programs of a dict in turn, A B A B, and return the seconds of each call of each.

    With a pause: before each turn wait until the threads of the program before sleep, and make one
    call that is not timed. Otherwise the programs run back to back, after one call each. A turn may
    be several calls in a row, as in training.
    """
    times = {name: [] for name in programs}
    for program in programs.values():
        program()
    for _ in range(turns):
        for name, program in programs.items():
            if pause:
                time.sleep(PAUSE)
                program()
            for _ in range(calls):
                start = time.perf_counter()
                program()
                times[name].append(time.perf_counter() - start)
    return times


def seconds_in_turn(programs, turns, pause=True):
    """Give the median of `times_in_turn` for each program."""
    times = times_in_turn(programs, turns, pause)
    return {name: float(np.median(values)) for name, values in times.items()}


def peak_bytes(program):
    """Give the most memory that a call has at once, beyond what was there before, in bytes."""
    tracemalloc.start()
    try:
        program()
        tracemalloc.reset_peak()
        program()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Interference:
    """What share of the cores other programs have used since this was made."""

    def __init__(self):
        self.start = self._seconds()

    def share(self):
        """Give the share, 0 to 1; 0 also where the system does not tell (only Linux does)."""
        wall, others = (now - then for now, then in zip(self._seconds(), self.start, strict=True))
        return min(1.0, max(0.0, others / (wall * os.cpu_count())))

    @staticmethod
    def _seconds():
        """Give the time by the clock, and the processor time of all programs but this one."""
        try:
            with open("/proc/stat", encoding="utf-8") as file:
                user, nice, system, _idle, _waiting, *more = map(int, file.readline().split()[1:9])
        except (OSError, ValueError):
            return time.perf_counter(), 0
        ticks = user + nice + system + sum(more)  # interrupts, and what the host took away
        return time.perf_counter(), ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def set_threads(n):
    """Let NumPy's BLAS, PyTorch and the training step of cnnlib use n threads at most."""
    threadpoolctl.threadpool_limits(n)  # `import_torch` asks how many there are
    networks.CORES = n


def blas():
    """Describe NumPy's BLAS: a dict with the number of its threads and, where known, its name."""
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return max(pools, key=lambda pool: pool["num_threads"], default={"num_threads": 1})


def import_torch():
    """Give PyTorch, set to as many threads as NumPy's BLAS has, or None where it is missing."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(blas()["num_threads"])
    return torch


def describe_machine():
    """Write down the machine and the versions, one line each."""
    processor, flags = platform.processor() or platform.machine(), ""
    with contextlib.suppress(OSError, StopIteration):  # Linux tells more on most processors
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        processor = next(re.finditer("model name.*: (.*)", flags))[1]
    system = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    pool, torch = blas(), import_torch()
    name, version, kind = (pool.get(k, "?") for k in ("internal_api", "version", "architecture"))
    lines = [
        f"{processor}, {system}",
        f"numpy {np.__version__}, {name} {version} ({kind}), {pool['num_threads']} threads",
    ]
    if kind in ("Haswell", "Zen") and "avx512f" in flags:
        lines.append(f"These {kind} kernels leave AVX-512 unused: try OPENBLAS_CORETYPE=SkylakeX")
    if torch:
        lines.append(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    return "\n".join(lines)
