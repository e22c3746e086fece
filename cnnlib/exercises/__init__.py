"""Exercises that check themselves: one function for each, and a summary.

``check_im2col(my_im2col)`` tries what the reader wrote on inputs from the smallest on and answers
with a `Verdict`: not started yet, correct, or what is wrong first, as a tutor would say it. The
docstring of each checker says what is to be written. The package needs NumPy and the core alone.

Read ``running`` (calling code that may do anything), ``engine`` (comparing, recognising mistakes),
``verdict`` and ``solved``; then the exercises, chapter by chapter: ``structure`` (7.1),
``convolution`` (7.2), ``pooling`` (7.3), ``im2col`` (7.4), ``networks`` with ``broken`` (7.5),
``seeing`` (7.6) and ``history`` (7.7).
"""

from cnnlib.exercises.broken import broken_gradient
from cnnlib.exercises.convolution import check_convolution, check_output_size, check_padding
from cnnlib.exercises.history import check_dropout, check_lrn, check_subsampling
from cnnlib.exercises.im2col import (
    check_col2im,
    check_convolution_backward,
    check_convolution_by_im2col,
    check_im2col,
)
from cnnlib.exercises.networks import (
    check_learning_rate,
    check_network_gradient,
    check_parameter_count,
    check_three_bugs,
)
from cnnlib.exercises.pooling import (
    check_average_pooling,
    check_max_pooling,
    check_max_pooling_backward,
)
from cnnlib.exercises.seeing import check_occlusion_map, check_receptive_field, check_uphill
from cnnlib.exercises.solved import progress
from cnnlib.exercises.structure import check_affine
from cnnlib.exercises.verdict import Verdict

__all__ = [
    "Verdict", "broken_gradient", "check_affine", "check_average_pooling", "check_col2im",
    "check_convolution", "check_convolution_backward", "check_convolution_by_im2col",
    "check_dropout", "check_im2col", "check_learning_rate", "check_lrn", "check_max_pooling",
    "check_max_pooling_backward", "check_network_gradient", "check_occlusion_map",
    "check_output_size", "check_padding", "check_parameter_count", "check_receptive_field",
    "check_subsampling", "check_three_bugs", "check_uphill", "progress",
]  # fmt: skip
