"""How the documentation is built: `make docs`."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from typing import Any

from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

project = "compox-core"
copyright = "the compox-core authors"
version = release = installed_version("compox-core")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

# Docstrings write `code` with single backticks, which link where the name is documented.
default_role = "py:obj"
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "compox-core"
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_show_sphinx = False
html_copy_source = False

ANY_ARRAY = "~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~typing.Any]]"


def is_model(what: str, thing: Any) -> bool:
    """Return whether a documented thing is a pydantic model."""
    return what == "class" and isinstance(thing, type) and issubclass(thing, BaseModel)


def drop_signature(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, result: str | None
) -> tuple[str, None] | None:
    """Leave out the signature of a model, whose fields are listed below, and of errors that add nothing to it."""
    inherited = what == "exception" and "__init__" not in vars(thing)
    return ("", None) if inherited or is_model(what, thing) else None


def list_model_fields(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Add a model's fields to its docstring, each with type and default."""
    if not is_model(what, thing) or not thing.model_fields:
        return
    lines += ["", ".. rubric:: Fields", ""]
    for field, info in thing.model_fields.items():
        annotation = stringify_annotation(info.annotation, "smart").replace(ANY_ARRAY, "ndarray")
        shown = re.sub(r"[~\w.]+\.(\w+)", r"\1", annotation).lstrip("~")
        default = "" if info.is_required() else f", default ``{info.get_default(call_default_factory=True)!r}``"
        lines.append(f"- ``{field}``: ``{shown}``{default}")
    lines.append("")


def keep_colon(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep napoleon from reading `The device: one of …` in the docstring of a property as a type and its meaning."""
    if what in ("attribute", "property", "data") and lines:
        lines.insert(0, "")


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("autodoc-process-signature", drop_signature)
    app.connect("autodoc-process-docstring", list_model_fields)
    app.connect("autodoc-process-docstring", keep_colon, priority=100)
