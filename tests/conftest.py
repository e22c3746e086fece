"""Shared by all tests: random numbers with a fixed seed, and random settings that fit."""

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("cnnlib", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("cnnlib")


@pytest.fixture
def rng():
    return np.random.default_rng(0)
