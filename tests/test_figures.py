"""Figures: they can be drawn over their whole range, say what the arithmetic says, and fit."""

import ast
import itertools
import pathlib
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

import cnnlib.figures
from cnnlib.figures import (
    charts,
    convolution,
    curves,
    galleries,
    grids,
    im2col,
    pooling,
    seeing,
    structure,
    style,
)
from cnnlib.layers import Pooling
from cnnlib.windows import conv_output_size
from cnnlib.windows import im2col as col_of

RNG = np.random.default_rng(0)
X4 = np.array([[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]])
W3 = np.array([[2, 0, 1], [0, 1, 2], [1, 0, 2]])


def ints(*shape, low=-2, high=10):
    return RNG.integers(low, high, shape)


def texts(figure):
    """Return all texts that are drawn."""
    found = []
    for ax in figure.axes:
        found += ax.texts
        if ax.axison:
            found += [*ax.get_xticklabels(), *ax.get_yticklabels()]
            found += [ax.xaxis.label, ax.yaxis.label]
    return [t for t in found if t.get_text() and t.get_visible()]


def numbers(figure, name):
    """Read a grid of numbers back from a figure, by the name of the grid."""
    found = {}
    for text in texts(figure):
        match = re.fullmatch(re.escape(name) + r"\[(\d+),(\d+)\]", text.get_gid() or "")
        if match:
            found[tuple(map(int, match.groups()))] = float(text.get_text().replace("−", "-"))
    return found


def matrix(found):
    shape = np.max(list(found), axis=0) + 1
    assert len(found) == shape.prod()
    values = np.empty(shape)
    for place, value in found.items():
        values[place] = value
    return values


def check(figure):
    """Assert what holds for every figure."""
    assert isinstance(figure, style.Card)
    width, height = style.size(figure)
    assert 100 <= width <= 900
    assert 60 <= height <= 1100
    assert figure.alt.endswith(".")
    assert "\n" not in figure.alt
    assert "np." not in figure.alt
    assert all(t.get_fontsize() >= style.points(11) - 1e-9 for t in texts(figure))


def check_layout(figure):
    """Assert that no text is cut off, and that none covers another."""
    width, height = style.size(figure)
    renderer = style._Renderer(width, height, figure.dpi)  # as figures are drawn for readers
    figure.draw(renderer)
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts(figure)]
    for text, box in boxes:
        assert box.x0 >= 2, text
        assert box.x1 <= width - 2, text
        assert box.y0 >= 2, text
        assert box.y1 <= height - 2, text
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        apart = min(a.x1, b.x1) - max(a.x0, b.x0) < 1 or min(a.y1, b.y1) - max(a.y0, b.y0) < 2
        assert apart, f"{one!r} covers {two!r}"


def check_case(function, arguments, keywords=None):
    """Draw a figure, and assert both."""
    figure = function(*arguments, **keywords or {})
    check(figure)
    check_layout(figure)


GRADES = np.array([90, 4, 6, 80, 1, 0, 3, 2, 95]).reshape(3, 3)
CASES = {
    "sliding": (convolution.sliding, (7, 7, 3, 3, 2)),
    "sliding, uncovered": (convolution.sliding, (7, 8, 3, 2, 3, 1)),
    "sliding, gaps": (convolution.sliding, (8, 8, 1, 2, 3, 1)),
    "sliding, 28, gaps": (convolution.sliding, (28, 28, 1, 1, 4)),
    "sliding, 1": (convolution.sliding, (1, 1, 1, 1)),
    "sliding, 28": (convolution.sliding, (28, 28, 5, 5, 1, 2)),
    "sliding, 28, uncovered": (convolution.sliding, (28, 28, 7, 5, 4)),
    "sliding, flat": (convolution.sliding, (1, 28, 1, 3, 2)),
    "shrinking": (convolution.shrinking, (4, 3)),
    "shrinking 28": (convolution.shrinking, (28, 5)),
    "shrinking slowly": (convolution.shrinking, (28, 3)),
    "shrinking not": (convolution.shrinking, (7, 3, 1)),
    "shrinking by strides": (convolution.shrinking, (64, 3, 1, 2)),
    "no filter fits": (convolution.shrinking, (2, 3)),
    "blocks": (convolution.blocks, (3, 4, 4, 1, 3, 3, 1, 0, 1, False)),
    "blocks, one filter": (convolution.blocks, (3, 4, 4, 1, 3, 3)),
    "blocks of a batch": (convolution.blocks, (3, 28, 28, 30, 5, 5, 1, 0, 10)),
    "blocks, deep": (convolution.blocks, (512, 7, 7, 512, 3, 3, 1, 1, 128)),
    "blocks, large": (convolution.blocks, (3, 227, 227, 96, 11, 11, 4)),
    "blocks, least": (convolution.blocks, (1, 1, 1, 1, 1, 1)),
    "response": (seeing.filter_response, (ints(28, 28), W3 - 1)),
    "response of nothing": (seeing.filter_response, (np.zeros((5, 9)), [[1.0]])),
    "pooling": (pooling.three_steps, (ints(3, 4, 4), 2, 2, 2, 4)),
    "pooling of 1 channel": (pooling.three_steps, (X4[None], 3, 2, 1)),
    "pooling, gaps": (pooling.three_steps, (ints(2, 5, 5), 2, 2, 3, 3)),
    "pooling, 1": (pooling.three_steps, ([[[7]]], 1, 1)),
    "pooling, large": (pooling.three_steps, (ints(1, 28, 28), 2, 2)),
    "timings": (im2col.timings, (["plain loops", "im2col"], [2.3, 0.0004])),
    "timing": (im2col.timings, (["one"], [1.0])),
    "timings, slower": (im2col.timings, (["a", "b"], [1e-8, 60.0])),
    "network": (
        structure.network,
        (
            [
                ("input", (1, 28, 28), None),
                ("Conv1", (30, 24, 24), 780),
                ("Relu1", (30, 24, 24), 0),
                ("Pool1", (30, 12, 12), 0),
                ("Affine1", (100,), 432100),
                ("Affine2", np.int64(10), 1010),
            ],
        ),
    ),
    "network, deep": (
        structure.network,
        (
            [("input", (3, 227, 227), 0)]
            + [("Conv", (96, 55, 55), 34944), ("Relu", (96, 55, 55), 0), ("Pool", (96, 27, 27), 0)]
            * 5
            + [("Affine", (4096,), 37752832), ("Relu", (4096,), 0)] * 3
            + [("Softmax", (10,), 0)],
        ),
    ),
    "curves": (curves.training, (1 / np.arange(1, 400), [0.1, 0.9], [0.12, 0.91])),
    "curves of nothing": (curves.training, ([], [], [])),
    "curves, first": (curves.training, ([2.3], [0.1], [0.1])),
    "confusion": (charts.confusion, (GRADES,)),
    "confusion, once each": (charts.confusion, (np.eye(10, k=3, dtype=int),)),
    "confusion without errors": (charts.confusion, (np.eye(10, dtype=int) * 100,)),
    "digits": (galleries.digits, (RNG.random((23, 1, 8, 8)), ["5 → 6"] * 23)),
    "digit": (galleries.digits, (np.zeros((1, 8, 8)),)),
    "filters": (galleries.filters, (RNG.normal(size=(30, 1, 5, 5)),)),
    "filter": (galleries.filters, (np.zeros((1, 5, 5)),)),
    "maps": (galleries.feature_maps, (RNG.random((30, 24, 24)),)),
    "signed maps": (galleries.feature_maps, (RNG.normal(size=(4, 9, 9)),)),
    "digits in lines": (galleries.digits, (RNG.random((4, 9, 9)), list("abcd"), 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_every_figure_fits_its_card(case):
    check_case(*CASES[case])


def test_pooling_writes_the_matrix_and_the_output_of_the_layer():
    x = ints(3, 4, 6)
    figure = pooling.three_steps(x, 2, 3, 1, row=5)
    col = col_of(x[None], 2, 3, 1).reshape(-1, 6)
    assert np.array_equal(matrix(numbers(figure, "matrix col")), col)
    assert np.array_equal(matrix(numbers(figure, "maximum"))[:, 0], col.max(1))
    expected = Pooling(2, 3, stride=1).forward(x[None].astype(float))[0]
    for c in range(3):
        assert np.array_equal(matrix(numbers(figure, f"output[{c}]")), expected[c])
    bold = [t for t in texts(figure) if t.get_weight() == "bold" and t.get_gid()]
    winners = [t.get_gid() for t in bold if t.get_gid().startswith("matrix col")]
    assert winners == [f"matrix col[{k},{j}]" for k, j in enumerate(col.argmax(1))]


@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (2, 1), (3, 0), (4, 2)])
def test_cells_that_no_window_reads_are_hatched_without_numbers(stride, pad):
    reads = grids.count_reads((7, 8), (2, 3), stride, pad)
    expected = np.zeros((7 + 2 * pad, 8 + 2 * pad))
    for top in range(0, len(expected) - 1, stride):
        for left in range(0, expected.shape[1] - 2, stride):
            expected[top : top + 2, left : left + 3] += 1
    assert np.array_equal(reads, expected)
    figure = convolution.sliding(7, 8, 2, 3, stride, pad)
    inner = reads[pad : pad + 7, pad : pad + 8]
    drawn = numbers(figure, "input x")
    assert drawn == {place: inner[place] for place in zip(*np.nonzero(inner), strict=True)}
    hatched = any(patch.get_hatch() for patch in figure.axes[0].patches)
    assert hatched == (reads == 0).any()
    said = " ".join(t.get_text() for t in texts(figure))
    assert ("hatched cells are read by none" in said) == hatched
    assert "dashed: the next windows, right and down" in said


@pytest.mark.parametrize(
    "figure",
    [
        convolution.sliding(4, 4, 3, 3, pad=1),
        convolution.operation(X4, np.ones((3, 3)), pad=1),
    ],
)
def test_a_padded_grid_is_titled_with_its_padded_size(figure):
    shown = [t.get_text() for t in texts(figure)]
    assert "(H + 2P, W + 2P) = (6, 6)" in shown


def test_a_network_is_coloured_by_what_its_layers_do():
    function, (layers,) = CASES["network, deep"]
    names = {name for name, _, _ in layers}
    boxes = [p for p in function(layers).axes[0].patches if p.get_gid() in names]
    roles = {"input": "input", "Conv": "filter", "Affine": "filter", "Pool": "output"}
    for (name, _, _), box in zip(layers, boxes, strict=True):
        role = roles.get(name, "padding")
        assert to_rgb(box.get_facecolor()) == pytest.approx(to_rgb(style.tint(role, 0.3))), name
    # A line ends with a pooling, or is full.
    lines = [k for k in range(1, len(boxes)) if boxes[k].get_y() > boxes[k - 1].get_y()]
    assert len(lines) == 3
    assert [layers[k - 1][0] for k in lines[:-1]] == ["Pool"] * (len(lines) - 1)


def test_one_filter_without_bias_has_three_axes():
    shown = [t.get_text() for t in texts(convolution.blocks(3, 4, 4, 1, 3, 3, bias=False))]
    assert {"filter W", "(C, FH, FW)", "(3, 3, 3)", "(1, OH, OW)", "(1, 2, 2)"} < set(shown)
    shown = [t.get_text() for t in texts(convolution.blocks(3, 4, 4, 1, 3, 3))]
    assert {"(FN, C, FH, FW)", "(1, 3, 3, 3)", "(FN, OH, OW)"} < set(shown)


def test_titles_say_what_is_worth_saying():
    def title(figure):
        return figure.axes[0].texts[0].get_text()

    assert title(charts.confusion(np.eye(10, k=3, dtype=int))) == "7 of 7 wrong"
    assert title(charts.confusion(GRADES)).endswith("most often, 1 is taken for 0 (80 times)")
    bars = im2col.timings(["loops", "im2col"], [4, 2])
    assert title(bars) == "Im2col is 2 times as fast as loops"


def test_sliding_over_a_grid_of_settings():
    drawn = 0
    for size, filter_size, stride, pad in itertools.product((1, 4, 7), (1, 3), (1, 3), (0, 2)):
        if filter_size > size + 2 * pad:
            with pytest.raises(ValueError, match="does not fit"):
                convolution.sliding(size, size + 1, filter_size, 1, stride, pad)
            continue
        figure = convolution.sliding(size, size + 1, filter_size, 1, stride, pad)
        check(figure)
        OH = conv_output_size(size, filter_size, stride, pad)
        OW = conv_output_size(size + 1, 1, stride, pad)
        shown = [t.get_text() for t in texts(figure)]
        assert f"(OH, OW) = ({OH}, {OW})" in shown
        assert any(t.startswith("OH = ") for t in shown)
        # Every read of every window is counted once, but those in the padding.
        inside = numbers(figure, "input x")
        if not pad:
            assert sum(inside.values()) == OH * OW * filter_size
        drawn += 1
    assert drawn == 22


def test_shrinking_ends_where_no_filter_fits():
    shown = [t.get_text() for t in texts(convolution.shrinking(4, 3))]
    assert {"4 x 4", "2 x 2"} < set(shown)
    assert "no 3 x 3 filter fits into 2 x 2" in shown
    assert "1 x 1" not in shown
    assert "keeps the size" in convolution.shrinking(7, 3, pad=1).axes[0].texts[0].get_text()


@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (convolution.shrinking, (4, 3, 0, 0), "stride must be at least 1"),
        (convolution.blocks, (3, 4, 4, 0, 3, 3), "FN must be at least 1"),
        (pooling.three_steps, (ints(2, 4, 4), 2, 2, 2, 8), "row 8: the matrix has 8 rows, 0 to 7"),
        (pooling.three_steps, (ints(2, 4, 4), 2, 2, 2, -1), "0 to 7"),
        (pooling.three_steps, (ints(2, 4, 4), 5, 2), "does not fit"),
        (pooling.three_steps, (X4, 2, 2), "must be"),
        (im2col.timings, (["a"], [0.0]), "positive"),
        (charts.confusion, (ints(2, 3),), "square"),
        (galleries.digits, (np.zeros((0, 1, 2, 2)),), "expected"),
        (galleries.digits, (np.zeros((2, 1, 2, 2)), ["one"]), "1 titles for 2"),
    ],
)
def test_what_cannot_be_drawn_is_said(function, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        function(*arguments)


def test_cells_of_one_figure_are_equal():
    canvas = style.Canvas("cells")
    one, two = grids.Grid(X4, "one"), grids.Grid(W3, "two")
    cell = grids.fit([one, two], 400)
    a, b = grids.draw_row(canvas.ax, [one, two], 0, 0, cell)
    assert a.right - a.left == 4 * cell
    assert b.bottom - b.top == 3 * cell


def test_numbers_are_written_alike():
    assert style.format_number(-1.5, 1) == "−1.5"
    assert style.format_number(-0.001, 2) == "0.00"
    assert style.decimals_needed([1, 2], [0.5]) == 1
    assert style.decimals_needed([1 / 3]) == 2
    assert style.decimals_needed([np.nan]) == 0


def test_html_and_notebook_carry_the_alt_text():
    figure = convolution.sliding(4, 4, 3, 3)
    style.describe(figure, 'Says "a < b".')
    assert 'alt="Says &quot;a &lt; b&quot;."' in style.to_html(figure)
    data, metadata = figure._repr_mimebundle_()
    assert data["text/plain"] == metadata["image/png"]["alt"] == 'Says "a < b".'
    assert style.to_png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("text", ["=", "−", "·", "gj|", "Åy", "→", "_"])
def test_copied_text_is_matplotlibs_own(text):
    canvas = style.Canvas("t")
    style.write(canvas.ax, 60, 60, text, 20)
    figure = canvas.finish(100, 100, "A text.")
    fast = np.asarray(style._render(figure, style.SHARP), int)
    figure.dpi *= style.SHARP
    own = FigureCanvasAgg(figure)
    own.draw()
    slow = np.asarray(own.buffer_rgba(), int)[..., :3]
    ink = [(255 - one)[70:].sum() for one in (fast, slow)]  # below the title
    assert ink[0] == pytest.approx(ink[1], rel=0.02) and ink[1] > 0


def test_text_colours_are_legible_on_white():
    for color in (style.INK, style.MUTED, *style.TEXT_COLORS.values()):
        channels = np.array(to_rgb(color))
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        luminance = linear @ (0.2126, 0.7152, 0.0722)
        assert 1.05 / (luminance + 0.05) >= 4.5, color


def test_figures_do_not_import_pyplot_or_widgets():
    for path in pathlib.Path(cnnlib.figures.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{a.name}" for a in node.names]
            for name in names:
                assert name.split(".")[0] not in ("ipywidgets", "anywidget", "IPython"), path
                assert "pyplot" not in name, path
                assert not name.startswith("cnnlib.widgets"), path
