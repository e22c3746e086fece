"""The package's own code, shown in a notebook: what is read is what runs."""

import ast
import inspect
import textwrap

from IPython.display import Markdown


def show_source(*things):
    """Show the code of functions or classes, without docstrings, as highlighted Markdown."""
    return Markdown("```python\n" + "\n\n".join(map(_code, things)) + "\n```")


def _code(thing):
    source = textwrap.dedent(inspect.getsource(thing))
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            for number in range(node.body[0].lineno - 1, node.body[0].end_lineno):
                lines[number] = None
    return "\n".join(line for line in lines if line is not None).replace(":\n\n", ":\n")
