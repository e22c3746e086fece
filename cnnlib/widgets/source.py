"""The package's own code, shown in a notebook: what is read is what runs."""

import ast
import inspect
import textwrap

from IPython.display import Markdown


def show_source(*things):
    """Show the code of functions or classes, without docstrings, as highlighted Markdown."""
    code = "\n\n".join(map(_code, things))
    return Markdown(f"```python\n{code}\n```")


def _code(thing):
    source = textwrap.dedent(inspect.getsource(thing))
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        documented = isinstance(node, ast.FunctionDef | ast.ClassDef)
        if documented and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            for number in range(docstring.lineno - 1, docstring.end_lineno):
                lines[number] = None
    kept = [line for line in lines if line is not None]
    return "\n".join(kept).replace(":\n\n", ":\n")
