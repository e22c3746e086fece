"""How the benchmarks measure: programs in turn, in one process, on a machine that is described."""

import os
import platform
import time
import tracemalloc

import numpy as np
import threadpoolctl

PAUSE = 0.03  # seconds; OpenBLAS's threads spin for some 26 ms after a product
DISTURBED = 0.05  # share of the cores used by others from which a measurement says so


def seconds_in_turn(programs, turns, rested=True):
    """Run programs in turn, A B A B, and give the median time of one call of each.

    Parameters
    ----------
    programs : dict of str to callable
        Called without arguments.
    turns : int
        Number of turns.
    rested : bool, default True
        Before each timed call, wait until the threads of the program before have gone to sleep,
        and make one call that is not timed. Otherwise each program starts at once where the one
        before has stopped, after a single call of each to warm up.

    Returns
    -------
    dict of str to float
        Seconds.
    """
    times = {name: [] for name in programs}
    for program in programs.values():
        program()
    for _ in range(turns):
        for name, program in programs.items():
            if rested:
                time.sleep(PAUSE)
                program()
            start = time.perf_counter()
            program()
            times[name].append(time.perf_counter() - start)
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


class Others:
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
            with open("/proc/stat") as file:
                user, nice, system, _idle, _waiting, *more = map(int, file.readline().split()[1:9])
        except (OSError, ValueError):
            return time.perf_counter(), 0
        ticks = user + nice + system + sum(more)  # interrupts, and what the host took away
        return time.perf_counter(), ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def threads():
    """Give the number of threads of NumPy's BLAS."""
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return max((pool["num_threads"] for pool in pools), default=1)


def describe_machine():
    """Write down the machine and the versions, one line each."""
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    kernels = [f"{p['internal_api']} {p['version']} ({p.get('architecture', '?')})" for p in pools]
    lines = [
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}",
        f"numpy {np.__version__}, {', '.join(kernels) or 'BLAS unknown'}, {threads()} threads",
    ]
    torch = import_torch()
    if torch:
        lines.append(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    return "\n".join(lines)


def import_torch():
    """Give PyTorch, set to as many threads as NumPy's BLAS has, or None where it is missing."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads())
    return torch


def _processor():
    """Name the processor, as far as the system tells."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
