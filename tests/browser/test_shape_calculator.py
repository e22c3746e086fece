"""The shape calculator in a real JupyterLab, by keyboard."""

from .kernel import ask_kernel

SETUP = "from cnnlib.widgets import ShapeCalculator\ncalculator = ShapeCalculator()"
CELLS = ["calculator"]


def test_a_number_typed_answers_in_every_line_below_and_an_offer_mends_it(page):
    size = page.get_by_label("FH").first
    size.press("ArrowUp")  # 6 x 6: then 2 x 2 with stride 2 does not divide
    status = page.get_by_role("status")
    status.filter(has_text="stride 2 does not divide 21").wait_for()
    assert page.locator("table td", has_text="(30, 11, 11)").count() == 1
    page.get_by_role("button", name="Pool1: stride 1").press("Enter")
    status.filter(has_text="Each stride divides").wait_for()
    assert page.locator("table td", has_text="(30, 22, 22)").count() == 1
    weights = ask_kernel(page, "print(calculator.network().table()[-1].parameters)")
    assert page.locator("table").inner_text().split("Affine1")[1].split()[1] == f"{int(weights):,}"


def test_a_layer_is_added_by_its_menu_and_an_impossible_one_is_explained(page):
    page.get_by_label("layer 3").select_option("convolution")
    page.locator("table td", has_text="Conv2").wait_for()
    page.get_by_label("FH").nth(2).fill("40")
    page.get_by_label("FH").nth(2).press("Tab")
    page.get_by_role("status").filter(has_text="Conv2 is not possible").wait_for()
    assert page.locator("table td", has_text="Affine1").count() == 0
