"""Run the notebooks from a fresh kernel and store their outputs: the one way outputs get stored.

    python tests/store_notebooks.py [NOTEBOOK ...]      (default: all in notebooks/)

A notebook is written only if every cell ran; otherwise the failing cell is shown, the file stays
as it was and the exit code is 1.
"""

import asyncio
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
CELL_SECONDS = 120
NOTEBOOK_SECONDS = 300  # the time limit of a cell does not end a run that hangs between cells
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
TQDM_BAR = re.compile(r"\[(\d+:)?\d\d:\d\d[<,]")  # [elapsed<remaining, rate]


def execute(notebook, folder):
    """Run all cells in place, with the notebook's folder as working directory.

    Cells tagged ``raises-exception`` may fail; otherwise RuntimeError names the cell and the cause.
    """
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    started = ["before any"]
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_SECONDS,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],  # ipykernel warns of every local socket
        on_cell_execute=lambda cell, cell_index: started.append(cell.id),
    )
    try:
        asyncio.run(asyncio.wait_for(client.async_execute(), NOTEBOOK_SECONDS))
    except Exception as error:
        raise RuntimeError(f"cell {started[-1]}: {type(error).__name__}\n{error}") from error


def clean(notebook):
    """Keep of an executed notebook only what a reader needs and a second run repeats."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.kernelspec = {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata.language_info = {"name": "python"}
    for cell in code_cells(notebook):
        cell.metadata.pop("execution", None)
        cell.outputs = merge_streams(filter(None, map(without_progress_bar, cell.outputs)))
        for output in cell.outputs:
            # Without the widgets' state a view shows nothing, and hides what stands beside it.
            if len(output.get("data", {})) > 1:
                output.data.pop(WIDGET_VIEW, None)
            if output.output_type == "error":
                output.traceback = [without_machine_paths(line) for line in output.traceback]


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def without_progress_bar(output):
    """Return the output without the lines of a tqdm bar, or None where nothing is left."""
    data = output.get("data", {})
    if WIDGET_VIEW in data and TQDM_BAR.search(data.get("text/plain", "")):
        return None
    if output.get("name") == "stderr":
        lines = re.split(r"(?<=[\r\n])", output.text)
        output.text = "".join(line for line in lines if not TQDM_BAR.search(line))
        if not output.text.strip():
            return None
    return output


def merge_streams(outputs):
    """Join neighbouring pieces of one stream: where they are cut depends on the moment."""
    merged = []
    for output in outputs:
        if merged and output.output_type == "stream" and merged[-1].get("name") == output.name:
            merged[-1].text += output.text
        else:
            merged.append(output)
    return merged


def without_machine_paths(text):
    for folder in (ROOT, Path(sys.prefix), Path(sys.base_prefix)):
        text = text.replace(f"{folder}{os.sep}", "")
    return text


def store(path):
    """Execute, clean and write one notebook; the file changes all at once or not at all."""
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, path.parent)
    clean(notebook)
    nbformat.validate(notebook)
    temporary = path.with_suffix(".ipynb.part")
    try:
        nbformat.write(notebook, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def main(arguments):
    paths = [Path(name).resolve() for name in arguments]
    paths = paths or sorted((ROOT / "notebooks").glob("*.ipynb"))
    failed = False
    for path in paths:
        start = time.perf_counter()
        try:
            store(path)
        except RuntimeError as error:
            failed = True
            print(f"{path.name}: NOT stored, {error}", file=sys.stderr)
        else:
            seconds, size = time.perf_counter() - start, path.stat().st_size
            print(f"{path.name}: {seconds:.1f} s, {size / 1000:.0f} kB", flush=True)
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
