"""What every layer must do: backward as by differences, dtype kept, arguments untouched."""

import numpy as np

from cnnlib.gradients import check_gradient


def check_backward_equals_differences(layer, x, rng):
    """Compare dx, dW and db with central differences of a weighted sum of the output."""
    dout = rng.standard_normal(layer.forward(x).shape)
    before = dout.copy()
    dx = layer.backward(dout)

    def weighted(_):
        return (layer.forward(x, train_flg=False) * dout).sum()

    reports = [check_gradient(weighted, x, dx, "dx")]
    if hasattr(layer, "W"):
        reports += [check_gradient(weighted, layer.W, layer.dW, "dW")]
        reports += [check_gradient(weighted, layer.b, layer.db, "db")]
    for report in reports:
        assert report.ok and report.error < 1e-6, f"{type(layer).__name__} {report}"
    np.testing.assert_array_equal(dout, before)


def check_dtype_is_kept_and_arguments_are_not_changed(layer, x):
    """Look at the dtypes and shapes of all results, and that no array is written into."""
    out = layer.forward(x)
    dout = np.random.default_rng(1).standard_normal(out.shape).astype(x.dtype)
    x_before, out_before, dout_before = x.copy(), out.copy(), dout.copy()
    x.flags.writeable = dout.flags.writeable = False  # writing would raise
    dx = layer.backward(dout)
    layer.forward(x + 1)
    assert out.dtype == dx.dtype == x.dtype and dx.shape == x.shape
    if hasattr(layer, "W"):
        assert layer.dW.dtype == layer.db.dtype == x.dtype
        assert layer.dW.shape == layer.W.shape and layer.db.shape == layer.b.shape
    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(out, out_before)  # a later call does not reach back
    np.testing.assert_array_equal(dout, dout_before)
    assert not np.shares_memory(dx, dout)
