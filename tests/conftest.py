"""Shared by all tests: random numbers with a fixed seed, what a chapter leaves, names of cases."""

import gc

import numpy as np
import pytest
from hypothesis import settings

from .chapters import once

settings.register_profile("cnnlib", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("cnnlib")
# Figures are cycles of many objects: to look for those to free took a quarter of the time.
gc.set_threshold(100_000, 20, 50)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def space(request):
    """What the module's CHAPTER has defined at its end."""
    return once(request.module.CHAPTER)[0]


@pytest.fixture
def values(request):
    """By cell id, what the cells of the module's CHAPTER end in."""
    return once(request.module.CHAPTER)[1]


def pytest_make_parametrize_id(config, val, argname):
    """Name a case by its values, `stride=2` or `Pooling(mode=max)`, where pytest would count."""
    if val is None or isinstance(val, str | type):
        return None  # pytest writes these out itself
    number = isinstance(val, int | float | np.number)
    return f"{argname}={val}" if number else in_words(val)[:60]


def in_words(value):
    """Write a value in a few words, which are the same in every process."""
    if isinstance(value, float):
        return f"{value:g}"
    if value is None or isinstance(value, str | int | np.number):
        return str(value)
    if isinstance(value, dict):
        return " ".join(f"{name}={in_words(one)}" for name, one in value.items()) or "nothing"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(in_words, value))})"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if getattr(value, "__name__", "") == "<lambda>":
        return ".".join(value.__code__.co_names) or "lambda"  # what it calls
    if hasattr(value, "__name__"):
        return value.__name__
    own = getattr(value, "__dict__", {}).items()
    plain = {k: one for k, one in own if isinstance(one, int | str) and k[0] != "_"}
    return type(value).__name__ + (f"({in_words(plain)})" if plain else "")
