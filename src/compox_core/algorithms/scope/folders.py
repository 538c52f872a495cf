"""Where the folders of imported algorithms lie, so that this process and its children agree.

`<cache>/a_<hash>/` holds an extracted module. `<cache>/d_<token>.location` names a folder that is imported where it
lies (local debug). The cache is `$COMPOX_MODULE_CACHE`, else a folder in the user's cache directory.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

DEPLOYED = re.compile(r"""[^\s"'(]*[/\\]a_[0-9a-f]{40}[/\\]""")
SCOPED = re.compile(r"compox_core\.algorithms\.scope\.(?:a_[0-9a-f]{40}|d_[0-9a-f]{16})\b\.?")
CACHE_VARIABLE = "COMPOX_MODULE_CACHE"


def cache_folder() -> Path:
    """Return the folder of extracted modules; it may not exist yet."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).absolute()  # the modules keep their places when the process changes its folder
    import platformdirs

    return Path(platformdirs.user_cache_dir("compox-core", appauthor=False)) / "modules"


def root_folder(root: str) -> Path | None:
    """Return the folder of the algorithm that is imported as `root`, or None when there is none."""
    cache = cache_folder()
    if root.startswith("a_"):
        folder = cache / root
        return folder if folder.is_dir() else None
    if root.startswith("d_"):
        try:
            return Path(read_location(cache / f"{root}.location")[0])
        except FileNotFoundError:
            return None
    return None


def write_location(path: Path, folder: Path, holder: str) -> None:
    """Write where an author's folder lies, and who imports it there, as JSON."""
    path.write_text(f"{folder}\0{holder}", encoding="utf-8", errors="surrogateescape")


def read_location(path: Path) -> tuple[str, str]:
    """Return where an author's folder lies, and who imports it there, as JSON or empty."""
    folder, _, holder = path.read_text(encoding="utf-8", errors="surrogateescape").partition("\0")
    return folder, holder


def in_place(root: str) -> bool:
    """Return whether `root` is imported from its author's folder, where sources change under us."""
    return root.startswith("d_")


def as_author_sees(text: str) -> str:
    """Return `text` with paths into extracted modules, and names of modules, made relative to the algorithm's root."""
    if "a_" not in text and "d_" not in text:
        return text
    return SCOPED.sub("", DEPLOYED.sub("", text))
