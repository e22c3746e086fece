"""How the benchmarks measure: programs in turn, in one process, on a machine that is described."""

import os
import platform
import time
import tracemalloc

import numpy as np
import threadpoolctl

import cnnlib.memory

PAUSE = 0.03  # seconds


def seconds_in_turn(programs, repeats, inner=1):
    """Run programs in turn, A B A B, and give the median time of one call of each.

    Before each timed turn there is a pause and a call that is not timed. Without them one program
    pays for another: OpenBLAS's threads go on spinning for some 25 ms after a product, and a
    PyTorch step that follows at once takes two to four times as long.

    Parameters
    ----------
    programs : dict of str to callable
        Called without arguments.
    repeats : int
        Number of turns.
    inner : int, default 1
        Calls in each timed turn, for what takes less than a millisecond.

    Returns
    -------
    dict of str to float
        Seconds.
    """
    times = {name: [] for name in programs}
    for _ in range(repeats):
        for name, program in programs.items():
            time.sleep(PAUSE)
            program()
            start = time.perf_counter()
            for _ in range(inner):
                program()
            times[name].append((time.perf_counter() - start) / inner)
    return {name: float(np.median(values)) for name, values in times.items()}


def peak_bytes(program):
    """Give the most memory that a call has at once, beyond what was there before, in bytes.

    The memory that cnnlib keeps for its next arrays counts in: what earlier programs left there is
    dropped first, for it was not seen being taken, and one call fills it anew.
    """
    cnnlib.memory._shelf.clear()
    tracemalloc.start()
    try:
        program()
        tracemalloc.reset_peak()
        program()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


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
