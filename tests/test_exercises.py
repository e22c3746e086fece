"""Every checker: solutions and rewrites pass, mistakes are named, and no mutant survives."""

import ast
import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cnnlib import Convolution, Pooling, col2im, conv_output_size, exercises, im2col
from cnnlib.exercises import convolution as convolution_room
from cnnlib.exercises import history, networks, pooling, seeing, structure
from cnnlib.exercises import im2col as im2col_room
from cnnlib.exercises.engine import Exercise
from cnnlib.exercises.solved import forget
from cnnlib.networks import Network, Stack

ROOMS = (structure, convolution_room, pooling, im2col_room, networks, seeing, history)
EXERCISES = [e for room in ROOMS for e in vars(room).values() if isinstance(e, Exercise)]


@pytest.fixture(autouse=True)
def _nothing_is_solved_before():
    forget()


# The worked solutions, and the stubs, are read from the notebooks themselves.
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
CALL = re.compile(r"^check_(\w+)\((\w+)\)$")


@dataclass
class Written:
    """An exercise as it stands in a notebook."""

    notebook: str
    stub: str
    name: str  # of the function, class or array that the reader is to write
    solution: str
    space: dict  # the names that the notebook has imported


def imported(cells):
    """Return the names that the import statements of a notebook bind."""
    space = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            tree = ast.parse("".join(cell["source"]))
            found = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(found, []), "<imports>", "exec"), space)
    return space


def written():
    """Return the exercises of all notebooks, by the name of their checker."""
    found = {}
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        by_id = {cell["id"]: "".join(cell["source"]) for cell in cells}
        space = imported(cells)
        for id_, text in by_id.items():
            if call := CALL.match(text):
                base = id_.removesuffix("-check")
                for id_ in (f"{base}-stub", f"{base}-help", f"{base}-check"):
                    assert id_ in by_id, f"{path.name}: the cells of {call[1]} have ids, {id_} too"
                (solution,) = re.findall(r"```python\n(.*?)```", by_id[f"{base}-help"], re.DOTALL)
                assert call[1] not in found, f"{call[1]} is asked twice"
                found[call[1]] = Written(path.name, by_id[f"{base}-stub"], call[2], solution, space)
    return found


WRITTEN = written()
SOLUTIONS = list(WRITTEN)


def built(name, text):
    """Make a submission of its source text, with what the notebook has imported."""
    space = dict(WRITTEN[name].space)
    exec(compile(text, f"<{name}>", "exec"), space)
    made = ast.parse(text).body[-1]
    return space[made.targets[0].id if isinstance(made, ast.Assign) else made.name]


def source(name):
    return WRITTEN[name].solution


def worked(name):
    return built(name, source(name))


def check(name, submission):
    """Check a submission, and see that nothing is raised."""
    return getattr(exercises, f"check_{name}")(submission)


def test_every_checker_is_asked_in_one_notebook():
    checkers = {name for name in exercises.__all__ if name.startswith("check_")}
    assert checkers == {f"check_{name}" for name in SOLUTIONS}
    assert len(EXERCISES) == len(SOLUTIONS)


@pytest.mark.parametrize("name", SOLUTIONS)
def test_the_worked_solution_passes(name):
    verdict = check(name, worked(name))
    assert verdict.correct, verdict
    assert "correct" in repr(verdict) and "correct" in verdict._repr_html_()


@pytest.mark.parametrize("name", SOLUTIONS)
def test_the_stub_is_not_started_and_keeps_its_name(name):
    verdict = check(name, built(name, WRITTEN[name].stub))
    assert verdict.status == "not started", verdict
    made = [ast.parse(text).body[-1] for text in (WRITTEN[name].stub, source(name))]
    names = [m.targets[0].id if isinstance(m, ast.Assign) else m.name for m in made]
    assert f"Write {WRITTEN[name].name}" in repr(verdict) or name == "dropout", verdict
    assert names[0] == WRITTEN[name].name and names[1].lower().startswith("solution")


@pytest.mark.parametrize("name", SOLUTIONS)
def test_stub_and_solution_take_the_same_arguments(name):
    stub = built(name, WRITTEN[name].stub)
    assert inspect.signature(stub) == inspect.signature(worked(name))


def test_a_solution_without_a_checker_prints_what_it_says(capsys):
    (path,) = (path for path in NOTEBOOKS if path.name.startswith("7.7"))
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    (text,) = ("".join(c["source"]) for c in cells if c["id"] == "exercise-size-solution")
    code, printed = re.search(r"```python\n(.*?)```.*It prints `(.*?)`", text, re.DOTALL).groups()
    exec(code, imported(cells))
    assert capsys.readouterr().out.strip() == printed


def test_the_broken_network_is_the_one_of_the_package():
    package = ast.parse(inspect.getsource(exercises.broken_gradient)).body[0].body[1:]
    stub = ast.parse(WRITTEN["three_bugs"].stub).body[0].body
    assert [ast.dump(line) for line in stub] == [ast.dump(line) for line in package]


# Changes that make a mistake of the solution: (what, by what, a part of the message meant for it).
SLICES = "i : i + stride * OH : stride, j : j + stride * OW : stride"
BACK = "(N, OH, OW, C, FH, FW).transpose(0, 3, 4, 5, 1, 2)"
WRONG = {
    "affine": [
        (" + b", "", "the bias is not added"),
        ("x.reshape(len(x), -1)", "x", "not flattened"),
        ("x.reshape(len(x), -1)", "x.reshape(-1)", "the batch is flattened too"),
        ("x.reshape(len(x), -1)", "x.reshape(len(W), -1).T", "the images are mixed"),
        ("flat @ W + b", "flat @ W.T + b", "transposed"),
        ("flat @ W + b", "flat @ W - b", "subtracted"),
        (
            "x.reshape(len(x), -1)",
            "np.moveaxis(x, 1, -1).reshape(len(x), -1)",
            "the channels come last",
        ),
    ],
    "output_size": [
        (" + 1", "", "+ 1 is forgotten"),
        ("//", "/", "/ against //"),
        ("2 * pad", "pad", "counted once"),
        (" // stride", "", "the stride is forgotten"),
        (" + 2 * pad", "", "the padding is forgotten"),
        ("(H + 2 * pad - FH) // stride + 1", "-(-(H + 2*pad - FH) // stride) + 1", "rounded up"),
        ("(H + 2 * pad - FH)", "H + 2 * pad - FH", "brackets"),
        ("- FH) // stride + 1", "- FH + 1) // stride", "before the division"),
    ],
    "padding": [
        ("pad : pad + H, pad : pad + W", "pad:-pad, pad:-pad", "where pad is 0"),
        (", x.dtype", "", "np.zeros"),
        ("pad : pad + H", "0 : H", "first at"),
        ("pad : pad + H, pad : pad + W", "0 : H, 0 : W", "corner of the zeros"),
        ("W + 2 * pad", "W", "Wrong shape"),
        ("np.zeros(", "np.ones(", "the padding is ones"),
        ("return out", "return np.pad(x, pad)", "images and channels are padded too"),
        ("return out", "return out.tolist()", "list"),
        ("return out", "return np.pad(x, ((0, 0), (0, 0), (0, pad), (0, pad)))", "one side only"),
        (
            "return out",
            "return np.pad(x, ((0, 0), (0, 0), (pad, pad), (0, 0)))",
            "only the rows are padded",
        ),
    ],
    "convolution": [
        (" + b[f]", "", "the bias is not added"),
        ("+ b[f]", "+ b[0]", "the bias of the first"),
        ("* W[f])", "* W[f, :, ::-1, ::-1])", "turned by 180"),
        (".sum()", ".mean()", "mean over the window"),
        (
            "p * stride : p * stride + FH, q * stride : q * stride + FW",
            "p : p + FH, q : q + FW",
            "stride is forgotten inside",
        ),
        (", x.dtype", "", "np.zeros"),
        ("(window * W[f]).sum() + b[f]", "(window * W[f] + b[f]).sum()", "with every product"),
        ("window * W[f])", "window[-1] * W[f, -1])", "only one channel counts"),
        ("return out", "return out.transpose(0, 1, 3, 2)", "rows and columns of the output"),
        ("+ b[f]\n    return out", "\n    return out + b", "a bias per column"),
    ],
    "max_pooling": [
        (", constant_values=-np.inf", "", "padded with 0"),
        (".max(", ".min(", "minimum"),
        (".max(", ".mean(", "mean instead of the maximum"),
        ("p * stride, q * stride", "p, q", "stride is forgotten inside"),
        ("top + pool_h, left : left + pool_w", "top + pool_w, left : left + pool_h", "exchanged"),
        ("window.max(axis=(2, 3))", "x.max(axis=(2, 3))", "of all the map"),
        ("window.max(axis=(2, 3))", "window.max(axis=(1, 2, 3))[:, None]", "channels are mixed"),
        ("window.max(axis=(2, 3))", "np.maximum(0, window.max(axis=(2, 3)))", "starts at 0"),
        (", x.dtype", "", "np.zeros"),
    ],
    "average_pooling": [
        ("(pool_h * pool_w)", "stride**2", "stride*stride"),
        (" / (pool_h * pool_w)", "", "the sum instead of the mean"),
        ("/ (", "// (", "// against /"),
        (
            "window.sum(axis=(2, 3)) / (pool_h * pool_w)",
            "window.max(axis=(2, 3))",
            "the maximum instead of the mean",
        ),
        (
            "window.sum(axis=(2, 3)) / (pool_h * pool_w)",
            "window.mean(axis=(1, 2, 3))[:, None]",
            "channels are mixed",
        ),
        ("(pool_h * pool_w)", "pool_h", "a window has pool_h*pool_w places"),
        ("p * stride, q * stride", "p, q", "stride is forgotten inside"),
        ("(pad, pad)))", "(pad, pad)), constant_values=-np.inf)", "for a mean the padding is 0"),
    ],
    "max_pooling_backward": [
        ("+=", "=", "overwritten instead of added"),
        ("top + i, left + j] +", "top:top+pool_h, left:left+pool_w] +", "every place"),
        (", constant_values=-np.inf", "", "the padding is 0"),
        ("[:, :, pad : pad + H, pad : pad + W]", "", "padding is not cut off"),
        (
            "divmod(window.argmax(), pool_w)",
            "(window == window.max()).nonzero()",
            "all that are equally large",
        ),
        (
            "[:, :, pad : pad + H, pad : pad + W]",
            "[:, :, pad:-pad, pad:-pad]",
            "pad:-pad holds nothing",
        ),
        ("+= dout[n, c, p, q]", "+= window.max()", "maxima are sent back"),
        ("+= dout[n, c, p, q]", "+= 1", "dout is forgotten"),
        ("+= dout[n, c, p, q]", "+= dout[n, c, p, q] * window.max()", "multiplied by x"),
        (
            "window.argmax()",
            "window.size - 1 - window.ravel()[::-1].argmax()",
            "the last of equally large",
        ),
    ],
    "convolution_by_im2col": [
        ("reshape(N, OH, -1, FN).transpose(0, 3, 1, 2)", "reshape(N, FN, OH, -1)", "at once"),
        ("W.reshape(FN, -1).T", "W.reshape(-1, FN)", "filters are reshaped"),
        ("transpose(0, 3, 1, 2)", "transpose(0, 3, 2, 1)", "transposed the wrong way"),
        (".transpose(0, 3, 1, 2)", "", "still are the last axis"),
        (" + b", "", "the bias is not added"),
        ("return out.reshape(N, OH, -1, FN).transpose(0, 3, 1, 2)", "return out", "as it is"),
        (
            "reshape(N, OH, -1, FN).transpose(0, 3, 1, 2)",
            "reshape(N, -1, OH, FN).transpose(0, 3, 2, 1)",
            "OH and OW are exchanged",
        ),
    ],
    "im2col": [
        (".transpose(0, 4, 5, 1, 2, 3)", "", "not transposed"),
        ("0, 4, 5, 1, 2, 3", "0, 5, 4, 1, 2, 3", "columns of the output are exchanged"),
        ("0, 4, 5, 1, 2, 3", "0, 4, 5, 1, 3, 2", "columns of the window are exchanged"),
        ("0, 4, 5, 1, 2, 3", "0, 4, 5, 2, 3, 1", "the channels come last"),
        ("0, 4, 5, 1, 2, 3", "4, 5, 0, 1, 2, 3", "N stays the first"),
        (SLICES, "i : i + OH, j : j + OW", "stride is forgotten in the slices"),
        (SLICES, "i::stride, j::stride", "the slices have no end"),
        ("-1)\n", "-1).T\n", "stand in columns"),
        (", x.dtype", "", "np.zeros"),
        ("(pad, pad), (pad, pad)", "(0, 0), (0, 0)", "broadcast"),
    ],
    "col2im": [
        ("+=", "=", "overwritten instead of added"),
        (
            "reshape(N, OH, OW, C, FH, FW).transpose(0, 3, 4, 5, 1, 2)",
            "reshape(N, C, FH, FW, OH, OW)",
            "not transposed back",
        ),
        ("[:, :, pad : pad + H, pad : pad + W]", "", "padding is not cut off"),
        ("[:, :, pad : pad + H, pad : pad + W]", "[:, :, :H, :W]", "at one end only"),
        (
            "[:, :, pad : pad + H, pad : pad + W]",
            "[:, :, pad:-pad, pad:-pad]",
            "pad:-pad holds nothing",
        ),
        (SLICES, "i::stride, j::stride", "the slices have no end"),
        (BACK, BACK.replace("OH, OW", "OW, OH").replace("1, 2", "2, 1"), "OH and OW are exchanged"),
        (BACK, BACK.replace("FH, FW", "FW, FH").replace("4, 5", "5, 4"), "FH and FW are exchanged"),
        (SLICES, "i : i + OH, j : j + OW", "stride is forgotten in the slices"),
        (", col.dtype", "", "np.zeros"),
    ],
    "convolution_backward": [
        ("rows.sum(axis=0)", "rows.mean(axis=0)", "db is the mean"),
        ("rows.sum(axis=0)", "rows.sum(axis=0) / len(x)", "db is divided by the number of images"),
        ("im2col(x, FH, FW, stride", "im2col(x, FH, FW, 1", "forgotten in im2col"),
        ("x.shape, FH, FW, stride", "x.shape, FH, FW, 1", "forgotten in col2im"),
        ("rows.sum(axis=0)", "dout.sum(axis=0)", "bias per pixel"),
        ("rows.sum(axis=0)", "rows.sum()", "one number for all filters"),
        (".T.reshape(W.shape)", ".reshape(W.shape)", "transposed the wrong way"),
        ("dout.transpose(0, 2, 3, 1).reshape", "dout.reshape", "reshaped to rows at once"),
        ("rows @ W.reshape", "rows @ W[:, :, ::-1, ::-1].reshape", "the filter is turned for dx"),
        (".T.reshape(W.shape)", ".T.reshape(W.shape) / len(x)", "divided by the number of images"),
        ("pad), dW, db", "pad), db, dW", "dW: "),
        (
            "return col2im(dcol, x.shape, FH, FW, stride, pad), dW, db",
            "return dW, db, col2im(dcol, x.shape, FH, FW, stride, pad)",
            "the order of the results",
        ),
        ("pad), dW, db", "pad)", "Expected 3 values (dx, dW, db), got"),
    ],
    "parameter_count": [
        ("* F + FN", "* F", "the biases are forgotten"),
        ("* F + FN", "* F + FN * H * W", "bias per pixel"),
        ("* F + FN", "* F + 1", "Got "),
        ("FN * C * F", "FN * F", "channels are forgotten"),
        ("* s[0] + s[0]", "* s[0]", "Got "),
        ('kind == "pool"', 'kind == "none"', "pooling is passed over"),
        ("C * H * W * s[0]", "C * s[0]", "C*H*W"),
        ("(H - s[0]) // s[1] + 1", "(H - s[0]) / s[1] + 1", "/ against //"),
        ("+= C * H", "= C * H", "only the last layer is counted"),
        (" // stride", "", "the stride of the convolution is forgotten"),
    ],
    "network_gradient": [
        ("reversed(list(network.layers.values()))", "network.layers.values()", "not reversed"),
        ("network.loss(x, t)", "network.predict(x)", "no forward pass"),
        ("dout = layer.backward", "layer.backward", "not handed on"),
        ("network.last_layer.backward(1)", "network.last_layer.backward(len(x))", "mean and sum"),
        ('"Affine1", "Affine2"', '"Affine2", "Affine1"', "exchanged"),
        ("[name].d", "[name].", "instead of their gradients"),
        (".db", ".dW", "b1: Wrong shape"),
        ('grads[f"W', 'grads[f"dW', "other names"),
        ("network.loss(x, t)", "return network.gradient(x, t)", "switched off"),
    ],
    "three_bugs": [
        (" / N", "", "one is left: the gradient by the scores"),
        ("a > 0", "a > -np.inf", "one is left: what passes the ReLU"),
        ("da.T @ col", "col.T @ da", "one is left: the shape of dW1"),
        ("dscores.sum", "dscores.mean", "db2"),
        ("z.T @ dscores", "(dscores.T @ z).reshape(-1, len(b2))", "dW2"),
        (") / N", ") / N / N", "divided by N twice"),
    ],
    "learning_rate": [
        ("held.mean", "test.mean", "chosen by the test digits"),
        ("test.mean", "held.mean", "had a part in the choice"),
        ("held.mean", "held.max", "one lucky seed"),
        ("test.mean", "test.max", "the best seed is reported"),
        ("rates[best]", "best", "the position is returned"),
        ("axis=1", "axis=0", "the rate: Got"),
        ("argmax", "argmin", "the rate: Got"),
        ("rates[best], ", "", "Expected 2 values"),
    ],
    "receptive_field": [
        ("(k - 1)", "k", "k instead of k - 1"),
        ("jump *= stride", "pass", "strides are forgotten"),
        ("jump *= stride", "jump = stride", "only the stride just before"),
        ("jump *= stride", "jump += stride", "strides are added"),
        ("size += (k - 1) * jump", "size = k * 1", "only the last layer counts"),
        ("size, jump = 1, 1", "size, jump = 0, 1", "the 1 that one begins with"),
        ("(k - 1) * jump", "(k - 1) * jump * stride", "used too early"),
        ("in layers", "in layers[::-1]", "from the last to the first"),
    ],
    "uphill": [
        ("+ lr", "- lr", "downhill"),
        (
            "    for _ in range(steps):\n        slope = gradient(image)",
            "    slope = gradient(image)\n    for _ in range(steps):",
            "computed once",
        ),
        (" / max(abs(slope).max(), 1e-12)", "", "not divided by abs"),
        ("abs(slope)", "slope", "a negative one may be larger in size"),
        ("abs(slope).max()", "np.sqrt((slope**2).sum())", "the length of the gradient"),
        ("slope / max(abs(slope).max(), 1e-12)", "np.sign(slope)", "changes by lr"),
        ("max(abs(slope).max(), 1e-12)", "abs(slope).max()", "0 / 0 is NaN"),
        ("slope / max", "(slope.max() > 0) * slope / max", "numbers are wrong"),
        ("        image = np.clip(image, 0, 1)\n", "", "leave 0..1"),
        ("        image = np.clip", "    image = np.clip", "clipped only once"),
        ("range(steps)", "range(1)", "one step only"),
        ("image = image + lr", "image += lr", "changed its argument image"),
    ],
    "occlusion_map": [
        ("image.copy()", "image", "pile up"),
        ("p * stride, q * stride", "p, q", "moves by one pixel"),
        ("p * stride, q * stride", "p * size, q * size", "moves by its size"),
        (
            "covered[:, top : top + size, left : left + size] = 0",
            "covered[:, top : top + size, left : left + size] *= 2; covered -= image",
            "numbers are wrong",
        ),
        ("] = 0", "] = 1", "the cover is 1"),
        ("// stride + 1", "// stride", "one place too few"),
        ("covered[:,", "covered[:1,", "only the first channel"),
        ("return found", "return found.T", "exchanged"),
        ("= probability(covered)", "= probability(image) - probability(covered)", "falls"),
        ("= probability(covered)", "= probability(covered) - probability(image)", "rises"),
        ("return found", "return found.ravel()", "Wrong shape"),
    ],
    "dropout": [
        (">=", "<", "DROPPED"),
        ("x * self.mask", "x * self.mask / (1 - self.ratio)", "inverted dropout"),
        ("x * (1 - self.ratio)", "x", "nothing is multiplied"),
        ("x * (1 - self.ratio)", "x * self.ratio", "multiplied by the ratio"),
        ("if train_flg", "if True", "train_flg is not looked at"),
        ("dout * self.mask", "dout", "everything is passed on"),
        ("dout * self.mask", "dout * ~self.mask", "wrong way round"),
        ("random(x.shape)", "random((1, *x.shape[1:]))", "all images"),
        ("default_rng()", "default_rng(0)", "drop the same numbers"),
        (
            "return dout * self.mask",
            "return dout * (np.random.default_rng().random(dout.shape) >= self.ratio)",
            "a new mask",
        ),
        ("dout * self.mask", "np.multiply(dout, self.mask, out=dout)", "changed its argument"),
        ("return x * self.mask", "return x * self.mask.astype(float)", "float64"),
    ],
    "lrn": [
        (" ** 2", "", "squares are forgotten"),
        ("alpha * squares", "alpha / n * squares", "PyTorch"),
        (" ** beta", "", "power beta"),
        ("k + ", "", "k is forgotten"),
        ("c - n // 2), min(C, c + n // 2 + 1)", "c - n), min(C, c + n + 1)", "on each side"),
        ("n // 2 + 1", "n // 2", "the last channel"),
        ("max(0, c - n // 2)", "c - n // 2", "negative index"),
        ("first, last = max(0, c - n // 2), min(C, c + n // 2 + 1)", "first, last = 0, C", "all"),
        ("x[:, c] /", "x[:, c] *", "multiplied instead"),
    ],
    "subsampling": [
        (".sum(axis=(3, 5))", ".mean(axis=(3, 5))", "mean and sum"),
        (".sum(axis=(3, 5))", ".max(axis=(3, 5))", "maximum instead"),
        (" + b.reshape(1, C, 1, 1)", "", "the bias is not added"),
        ("* sums + ", "* (sums + ", "before multiplying"),
        ("W.reshape(1, C, 1, 1) *", "", "coefficient is forgotten"),
        ("+ b.reshape", "+ 4 * b.reshape", "before the sum"),
        ("W.reshape(1, C, 1, 1) * sums + b.reshape(1, C, 1, 1)", "W[0] * sums + b[0]", "share"),
        ("W.reshape(1, C, 1, 1) * sums + b.reshape(1, C, 1, 1)", "W * sums + b", "per column"),
    ],
}  # fmt: skip


WRONG_ANSWERS = [
    pytest.param(name, old, new, message, id=f"{name}: {message}")
    for name, changes in WRONG.items()
    for old, new, message in changes
]


@pytest.mark.parametrize(("name", "old", "new", "message"), WRONG_ANSWERS)
def test_a_mistake_gets_the_message_meant_for_it(name, old, new, message):
    text = source(name)
    assert old in text
    text = text.replace(old, new)
    text += ")" * (text.count("(") - text.count(")"))  # where one was opened before the end
    verdict = check(name, built(name, text))
    assert verdict.status == "wrong"
    assert message in repr(verdict), verdict


DROPOUT = """
class MyDropout:
    def __init__(self, dropout_ratio=0.5):
        self.ratio = dropout_ratio

    def forward(self, x, train_flg=True):
        if not train_flg:
            return x * (1 - self.ratio)
        self.mask = np.random.default_rng().random(x.shape) >= self.ratio
        self.out = x * self.mask
        return self.out

    def backward(self, dout):
        return dout * self.mask
"""
# What a reviewer got accepted once, or told falsely: (checker, the code, part of the message).
ONCE = [
    (
        "padding",
        "def f(x, pad):\n    return np.pad(x.astype(int), ((0, 0), (0, 0), (pad, pad), (pad, pad)))"
        ".astype(x.dtype)",
        "wrong",
    ),
    ("max_pooling", source("max_pooling").replace("-np.inf", "-100"), "wrong, the first at"),
    (
        "max_pooling_backward",
        source("max_pooling_backward").replace("-np.inf", "-100"),
        "wrong, the first at",
    ),
    *(
        (name, source(name).replace("-np.inf", "-1e4"), "wrong, the first at")
        for name in ("max_pooling", "max_pooling_backward")
    ),
    (
        "max_pooling_backward",
        source("max_pooling_backward").replace("+= dout[n, c, p, q]", "+= abs(dout[n, c, p, q])"),
        "wrong, the first at",
    ),
    (
        "output_size",
        "def f(H, FH, stride=1, pad=0):\n    pad = pad if stride < 3 or FH > 9 else 0\n"
        "    return (H + 2 * pad - FH) // stride + 1",
        "stride = 3",
    ),
    (
        "network_gradient",
        "def f(network, x, t):\n    return network.numerical_gradient(x, t)",
        "numerical_gradient is switched off",
    ),
    ("dropout", DROPOUT.replace("train_flg=True", "train_flg=False"), "without train_flg"),
    ("dropout", DROPOUT.replace("dout * self.mask", "dout * (self.out > 0)"), "backward"),
    ("dropout", DROPOUT.replace("dout * self.mask", "dout * (self.out != 0)"), "where the output"),
    (
        "dropout",
        DROPOUT.replace(
            "random(x.shape)", "random(x.shape[:2]).reshape(*x.shape[:2], *[1] * (x.ndim - 2))"
        ),
        "all numbers along axis 2",
    ),
    (
        "dropout",
        DROPOUT.replace("self.out = x * self.mask", "x *= self.mask\n        self.out = x"),
        "changed its argument x",
    ),
    ("subsampling", "def f(x, b, W):\n    return x", "another order"),
    ("affine", "def f(x, W, b):\n    return x.reshape(len(x), -1) @ W + b,", "comma"),
    (
        "receptive_field",
        source("receptive_field").replace(
            "for k, stride in layers:", "layers.reverse()\n    for k, stride in layers[::-1]:"
        ),
        "the caller's list",
    ),
    ("lrn", source("lrn").replace("np.zeros_like(x)", "x"), "normalised already"),
    (
        "three_bugs",
        WRITTEN["three_bugs"]
        .stub.replace(">= 0", "> 0")
        .replace("da.sum(axis=0)", "da.sum(axis=0) / N"),
        "",
    ),
]


@pytest.mark.parametrize(("name", "text", "message"), ONCE)
def test_what_was_accepted_once_is_refused(name, text, message):
    verdict = check(name, built(name, text))
    assert verdict.status == "wrong" and message in repr(verdict), verdict
    assert name != "three_bugs" or "left" not in repr(verdict)


def test_a_possible_cause_says_how_much_it_explains():
    text = source("output_size").replace("// stride", "// (stride + 1)")
    verdict = check("output_size", built("output_size", text))
    assert re.search(r"it explains \d+ of \d+ wrong answers", verdict["Possible cause"])


def test_at_least_five_wrong_answers_for_each():
    for name in SOLUTIONS:
        assert len({message for _, _, message in WRONG[name]}) >= 5, name


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_every_known_mistake_is_refused_and_named(exercise):
    assert exercise.judge or len(exercise.mistakes) >= 5
    for sentence, mistake in exercise.mistakes.items():
        verdict = exercise.check(lambda *arguments, f=mistake: f(*arguments))
        assert verdict.status == "wrong"
        assert verdict["Usual cause"] == sentence


# The same answers, written in other ways.


def windows_of(x, FH, FW, stride, pad, value=0):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=value)
    windows = np.lib.stride_tricks.sliding_window_view(x, (FH, FW), axis=(2, 3))
    return windows[:, :, ::stride, ::stride]  # (N, C, OH, OW, FH, FW)


def convolution_by_einsum(x, W, b, stride=1, pad=0):
    windows = windows_of(x, *W.shape[2:], stride, pad)
    return np.einsum("ncpqij,fcij->nfpq", windows, W) + b[:, None, None]


def convolution_by_shifts(x, W, b, stride=1, pad=0):
    OH, OW = windows_of(x, *W.shape[2:], stride, pad).shape[2:4]
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((len(x), len(W), OH, OW), x.dtype) + b.reshape(-1, 1, 1)
    for i, j in np.ndindex(W.shape[2:]):
        part = x[:, :, i : i + stride * OH : stride, j : j + stride * OW : stride]
        out += np.tensordot(W[:, :, i, j], part, (1, 1)).swapaxes(0, 1)
    return out


def matrix_by_loops(x, FH, FW, stride=1, pad=0):
    windows, rows = windows_of(x, FH, FW, stride, pad), []
    for n, p, q in np.ndindex(len(x), *windows.shape[2:4]):
        rows.append(windows[n, :, p, q].ravel())
    return np.array(rows)


def matrix_by_strides(x, FH, FW, stride=1, pad=0):
    windows = windows_of(x, FH, FW, stride, pad)
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1] * FH * FW)


def adjoint_by_loops(col, shape, FH, FW, stride=1, pad=0):
    N, C, H, W = shape
    x = np.zeros((N, C, H + 2 * pad, W + 2 * pad), col.dtype)
    rows = iter(col)
    for n in range(N):
        for top in range(0, H + 2 * pad - FH + 1, stride):
            for left in range(0, W + 2 * pad - FW + 1, stride):
                x[n, :, top : top + FH, left : left + FW] += next(rows).reshape(C, FH, FW)
    return x[:, :, pad : pad + H, pad : pad + W].copy()


def adjoint_by_transposed_matrix(col, shape, FH, FW, stride=1, pad=0):
    """Build im2col as a matrix, column by column, and multiply by its transpose."""
    N, size = shape[0], int(np.prod(shape))
    units = np.eye(size, dtype=col.dtype).reshape(size, *shape)
    lines = [im2col(unit, FH, FW, stride, pad).ravel() for unit in units]
    assert N == len(units[0])
    return (np.array(lines) @ col.ravel()).reshape(shape)


def pooling_by_strides(reduce, value):
    def pool(x, pool_h, pool_w, stride=2, pad=0):
        return reduce(windows_of(x, pool_h, pool_w, stride, pad, value), axis=(4, 5))

    return pool


def average_by_convolution(x, pool_h, pool_w, stride=2, pad=0):
    N, C, H, W = x.shape
    filters = np.full((1, 1, pool_h, pool_w), 1 / (pool_h * pool_w), x.dtype)
    out = convolution_by_einsum(
        x.reshape(N * C, 1, H, W), filters, np.zeros(1, x.dtype), stride, pad
    )
    return out.reshape(N, C, *out.shape[2:])


def max_backward_by_argmax(dout, x, pool_h, pool_w, stride=2, pad=0):
    windows = windows_of(x, pool_h, pool_w, stride, pad, -np.inf)
    N, C, OH, OW = dout.shape
    place = windows.reshape(N, C, OH, OW, -1).argmax(-1)
    n, c, p, q = np.ogrid[:N, :C, :OH, :OW]
    dx = np.zeros((N, C, x.shape[2] + 2 * pad, x.shape[3] + 2 * pad), x.dtype)
    np.add.at(dx, (n, c, p * stride + place // pool_w, q * stride + place % pool_w), dout)
    return dx[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]


def convolution_backward_by_einsum(dout, x, W, stride=1, pad=0):
    windows = windows_of(x, *W.shape[2:], stride, pad)
    dwindows = np.einsum("nfpq,fcij->npqcij", dout, W)
    col = dwindows.reshape(-1, W[0].size)
    dx = adjoint_by_loops(col, x.shape, *W.shape[2:], stride, pad)
    return [dx, np.einsum("nfpq,ncpqij->fcij", dout, windows), np.einsum("nfpq->f", dout)]


def convolution_backward_by_the_layer(dout, x, W, stride=1, pad=0):
    layer = Convolution(W, np.zeros(len(W), W.dtype), stride, pad)
    layer.forward(x)
    return layer.backward(dout), layer.dW, layer.db


def count_by_a_network(input_dim, layers):
    """Build the network and ask it."""
    network = Stack(input_dim, np.float32, 0)
    network.weight_init_std, network.gain = 0.01, None
    for number, (kind, *settings) in enumerate(layers):
        if kind == "conv":
            network.add_convolution(f"layer {number}", *settings)
        elif kind == "pool":
            network.add(f"layer {number}", Pooling(settings[0], settings[0], settings[1]))
        elif kind == "affine":
            network.add_affine(f"layer {number}", *settings)
    return sum(p.size for p in network.params.values())


def gradient_by_parameter_layers(network, x, t):
    network.loss(x, t)
    dout = network.last_layer.backward()
    layers = list(network.layers.values())
    layers.reverse()
    for layer in layers:
        dout = layer.backward(dout)
    owners = [layer for layer in network.layers.values() if hasattr(layer, "dW")]
    return {
        f"{letter}{i}": getattr(layer, f"d{letter}")
        for i, layer in enumerate(owners, start=1)
        for letter in "Wb"
    }


def gradient_by_differences(network, x, t):
    return Network.numerical_gradient(network, x, t)  # the network's own is switched off


def field_from_the_end(layers):
    size = 1
    for k, stride in reversed(layers):
        size = (size - 1) * stride + k
    return size


def lrn_by_matrix(x, n=5, k=2.0, alpha=1e-4, beta=0.75):
    c = np.arange(x.shape[1])
    near = (abs(c[:, None] - c) <= n // 2).astype(x.dtype)
    return x * (k + alpha * np.einsum("cd,ndhw->nchw", near, x * x)) ** -beta


def subsampling_by_slices(x, W, b):
    H, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    sums = sum(x[:, :, i:H:2, j:width:2] for i in (0, 1) for j in (0, 1))
    return sums * W[:, None, None] + b[:, None, None]


def uphill_in_one_array(gradient, image, steps, lr):
    image = image.copy()
    for _ in range(steps):
        slope = gradient(image.copy())
        if slope.any():
            image += slope * (lr / np.abs(slope).max())
            np.maximum(np.minimum(image, 1, out=image), 0, out=image)
    return image


def uphill_past_0(gradient, image, steps, lr):
    for _ in range(steps):
        slope = gradient(image)
        image = np.clip(image + lr * slope / (np.abs(slope).max() + 1e-8), 0, 1)
    return image


def occlusion_by_masks(probability, image, size, stride):
    rows, columns = (np.arange(0, n - size + 1, stride) for n in image.shape[1:])
    i, j = np.indices(image.shape[1:])

    def uncovered(r, c):
        return (i < r) | (i >= r + size) | (j < c) | (j >= c + size)

    return np.array([[probability(image * uncovered(r, c)) for c in columns] for r in rows])


class DropoutOfTheBook:
    """As chapter 6 of the book lists it."""

    def __init__(self, dropout_ratio=0.5):
        self.dropout_ratio = dropout_ratio
        self.mask = None

    def forward(self, x, train_flg=True):
        if train_flg:
            self.mask = np.random.default_rng().uniform(size=x.shape) > self.dropout_ratio
            return x * self.mask
        return x * (1.0 - self.dropout_ratio)

    def backward(self, dout):
        return dout * self.mask


REWRITES = {
    "affine": [lambda x, W, b: np.einsum("nd,dm->nm", x.reshape(x.shape[0], -1), W) + b[None]],
    "output_size": [
        conv_output_size,
        lambda H, FH, stride=1, pad=0: len(range(0, H + 2 * pad - FH + 1, stride)),
        lambda H, FH, stride=1, pad=0: np.int64((H + 2 * pad - FH + stride) // stride),
    ],
    "padding": [
        lambda x, pad: np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad))),
        lambda x, pad: np.pad(x, [(0, 0)] * 2 + [(pad, pad)] * 2, mode="constant"),
    ],
    "convolution": [convolution_by_einsum, convolution_by_shifts, worked("convolution_by_im2col")],
    "convolution_by_im2col": [convolution_by_einsum, convolution_by_shifts, worked("convolution")],
    "im2col": [im2col, matrix_by_loops, matrix_by_strides],
    "col2im": [col2im, adjoint_by_loops, adjoint_by_transposed_matrix],
    "max_pooling": [pooling_by_strides(np.max, -np.inf)],
    "average_pooling": [pooling_by_strides(np.mean, 0), average_by_convolution],
    "max_pooling_backward": [max_backward_by_argmax],
    "convolution_backward": [convolution_backward_by_einsum, convolution_backward_by_the_layer],
    "parameter_count": [count_by_a_network],
    "network_gradient": [gradient_by_parameter_layers],
    "three_bugs": [],
    "learning_rate": [
        lambda rates, held, test: max(
            (sum(h) / len(h), rate, sum(t) / len(t))
            for rate, h, t in zip(rates, held, test, strict=True)
        )[1:]
    ],
    "receptive_field": [field_from_the_end],
    "uphill": [uphill_in_one_array, uphill_past_0],
    "occlusion_map": [occlusion_by_masks],
    "dropout": [DropoutOfTheBook],
    "lrn": [lrn_by_matrix],
    "subsampling": [subsampling_by_slices],
}
REWRITTEN = [
    pytest.param(name, rewrite, id=f"{name} {i}")
    for name, rewrites in REWRITES.items()
    for i, rewrite in enumerate(rewrites)
]


@pytest.mark.parametrize(("name", "rewrite"), REWRITTEN)
def test_the_same_in_other_words_passes(name, rewrite):
    verdict = check(name, rewrite)
    assert verdict.correct, verdict


def test_a_gradient_by_differences_is_right_too():
    """It is slower than a second is long, but it is no mistake; and it is independent of ours."""
    exercise = next(e for e in EXERCISES if e.name == "network gradient")
    case = exercise.cases[2]
    numeric = gradient_by_differences(**case)
    for name, right in exercise.reference(*case.values()).items():
        assert np.allclose(numeric[name], right, rtol=1e-5, atol=1e-8)


# Mutants: every operator, number and comparison of a solution, and every letter, changed once.
OPERATORS = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Add, ast.FloorDiv],
    ast.FloorDiv: [ast.Mult, ast.Div],
    ast.Div: [ast.Mult, ast.FloorDiv],
    ast.Pow: [ast.Mult],
    ast.MatMult: [ast.Mult],
    ast.Lt: [ast.LtE],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Lt],
    ast.Eq: [ast.NotEq],
}
TWINS = {"H": "W", "W": "H", "OH": "OW", "OW": "OH", "FH": "FW", "FW": "FH", "N": "C", "C": "N"}
TWINS |= {"p": "q", "q": "p", "i": "j", "j": "i", "pool_h": "pool_w", "pool_w": "pool_h"}
TWINS |= {"top": "left", "left": "top", "stride": "pad", "max": "min", "min": "max", "sum": "mean"}
TWINS |= {"FN": "N", "n": "c", "c": "n", "f": "c", "first": "last", "last": "first"}


def mutants(text):
    """Yield (what was changed, source text) for each single change of a solution."""
    count = len(list(ast.walk(ast.parse(text))))
    for place in range(count):
        for choice in range(2):
            tree = ast.parse(text)
            node = list(ast.walk(tree))[place]
            before = ast.unparse(tree)
            where = f"line {getattr(node, 'lineno', 0)}: "
            if isinstance(node, ast.BinOp | ast.AugAssign):
                others = OPERATORS.get(type(node.op), [])
                if isinstance(node, ast.AugAssign) and choice == 1:
                    others = [*others[:1], None]
                if choice < len(others):
                    where += f"{type(node.op).__name__}, choice {choice}"
                    if others[choice] is None:  # += becomes =
                        assign = ast.Assign([node.target], node.value)
                        tree = _Replace(node, assign).visit(tree)
                    else:
                        node.op = others[choice]()
            elif isinstance(node, ast.Compare):
                others = OPERATORS.get(type(node.ops[0]), [])
                if choice < len(others):
                    where += f"{type(node.ops[0]).__name__}, choice {choice}"
                    node.ops[0] = others[choice]()
            elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
                where += f"{node.value}, choice {choice}"
                node.value += (1, -1)[choice]
            elif isinstance(node, ast.Name | ast.Attribute) and choice == 0:
                key = "id" if isinstance(node, ast.Name) else "attr"
                old = getattr(node, key)
                used = not isinstance(node.ctx, ast.Store)
                if used and old in TWINS:
                    where += f"{old} -> {TWINS[old]}"
                    setattr(node, key, TWINS[old])
            after = ast.unparse(ast.fix_missing_locations(tree))
            if after != before:
                yield where, after


class _Replace(ast.NodeTransformer):
    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else super().generic_visit(node)


# Changes that change nothing.
EQUIVALENT = {
    # NumPy takes any negative number in reshape for "the rest".
    ("affine", "line 2: 1, choice 0"),
    ("convolution_by_im2col", "line 6: 1, choice 0"),
    ("convolution_by_im2col", "line 5: 1, choice 0"),
    ("im2col", "line 10: 1, choice 0"),
    ("convolution_backward", "line 3: 1, choice 0"),
    ("convolution_backward", "line 7: 1, choice 0"),
    ("three_bugs", "line 4: 1, choice 0"),
    ("three_bugs", "line 5: 1, choice 0"),
    # One image too many is padded and never looked at.
    ("convolution", "line 6: 0, choice 0"),
    # The array to add into is larger than it need be, and is cut.
    ("col2im", "line 6: Mult, choice 0"),
    ("col2im", "line 6: 2, choice 0"),
    # A list of one has the same first and last element.
    ("parameter_count", "line 15: 0, choice 1"),
    ("parameter_count", "line 16: 0, choice 1"),
    # Softmax is the same whatever is subtracted from all scores; at 0 ReLU has no slope.
    ("three_bugs", "line 7: Sub, choice 0"),
    ("three_bugs", "line 7: max -> min"),
    ("three_bugs", "line 12: Gt, choice 0"),
    # n // 2 is 2 for n = 4 and n = 5.
    ("lrn", "line 1: 5, choice 1"),
}


@pytest.mark.parametrize("name", SOLUTIONS)
def test_no_mutant_survives(name):
    tried, alive = 0, []
    for where, text in mutants(source(name)):
        tried += 1
        verdict = check(name, built(name, text))
        if verdict.status != "wrong" and (name, where) not in EQUIVALENT:
            alive.append((where, text))
    assert not alive, [where for where, _ in alive]
    assert tried >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_chapter_has_four_to_seven_exercises(path):
    """Checkers and counted predictions; and the summary of the chapter is its own."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    chapter, calls = path.name.partition("-")[0], []
    for cell in cells:
        if cell["cell_type"] == "code":
            tree = ast.parse("".join(cell["source"]))
            calls += [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    asked = [call for call in calls if getattr(call.func, "id", "") == "ask"]
    counted = [tuple(map(ast.literal_eval, call.args)) for call in asked]
    checked = sum(getattr(call.func, "id", "").startswith("check_") for call in calls)
    checked -= sum(getattr(call.func, "id", "") == "check_gradient" for call in calls)
    total = len(counted) + checked
    assert 4 <= total <= 7, f"{chapter} has {total} questions and exercises, not 4 to 7"
    assert len(set(counted)) == len(counted) and {c for c, _ in counted} == {chapter}
    summaries = [call for call in calls if getattr(call.func, "id", "") == "progress"]
    assert [ast.unparse(call) for call in summaries] == [f"progress({chapter!r})"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_code_is_folded_but_that_for_colab(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        folded = cell["metadata"].get("jupyter", {}).get("source_hidden", False)
        assert folded == (cell["id"] == "colab"), cell["id"]
