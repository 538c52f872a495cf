"""Walks an algorithm's folder: what belongs to it, and what must not be packed."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from compox_core.algorithms.archives import DEEPEST
from compox_core.errors import PackageError

SKIPPED = frozenset(
    {
        *("__pycache__", ".git", ".hg", ".svn", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
        *(".hypothesis", ".tox", ".nox", ".idea", ".vscode", ".ipynb_checkpoints", "__MACOSX"),
        *(".gitignore", ".gitmodules", ".gitattributes", ".gitkeep", ".dockerignore", ".editorconfig", ".DS_Store"),
    }
)


@dataclass(frozen=True)
class FolderContents:
    """The files of an algorithm by path relative to its root, with `/`, sorted; and what was left out."""

    files: dict[str, Path] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def walk(root: Path, max_entries: int) -> FolderContents:
    """Return the files of a folder.

    Hidden files and folders are left out, with a warning unless they are the usual ones. Links are followed inside
    the folder.

    Raises:
        PackageError: `unsafe_symlink` for a link that leaves the folder or leads in a circle; `invalid_file` for
            special files, names that no other system could hold, names that are the same where case does not count,
            and what cannot be read; `too_many_files` for more than `max_entries` files and folders.
    """
    walker = _Walker(root, max_entries)
    files = dict(sorted(walker.files(PurePosixPath(), root, (walker.home,))))
    _check_distinct(files)
    return FolderContents(files, walker.warnings)


class _Walker:
    def __init__(self, root: Path, max_entries: int) -> None:
        self.home = root.resolve()
        self.warnings: list[str] = []
        self._left = self._max_entries = max_entries

    def files(self, inside: PurePosixPath, folder: Path, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
        """Yield the relative path and the path of each file below `folder`, which is `inside` of the root.

        `above` are the real folders from the root to this one: a link to one of them leads in a circle.
        """
        for name in _names(inside, folder):
            if name in SKIPPED:
                continue
            relative, path = inside / name, folder / name
            if name.startswith("."):
                self.warnings.append(f"The hidden '{_shown(relative)}' is left out.")
                continue
            _check_name(relative)
            self._count()
            real, mode = self._real(relative, path)
            if stat.S_ISDIR(mode):
                if real in above:
                    raise _unsafe(relative, "leads in a circle")
                if len(above) == DEEPEST:
                    raise _invalid(relative, f"it lies more than {DEEPEST} folders deep")
                yield from self.files(relative, path, (*above, real))
            elif stat.S_ISREG(mode):
                yield relative.as_posix(), path
            else:
                raise _invalid(relative, "it is neither a file nor a folder")

    def _count(self) -> None:
        # Folders count, too: links among a few dozen of them can stand for millions.
        if not self._left:
            raise PackageError(
                f"The algorithm has more than {self._max_entries} files and folders (limits.max_archive_members): "
                "deploy the folder with Runner.py, and leave data out of it.",
                code="too_many_files",
            )
        self._left -= 1

    def _real(self, relative: PurePosixPath, path: Path) -> tuple[Path, int]:
        try:
            real = path.resolve(strict=True)
            mode = real.stat().st_mode
        except FileNotFoundError as error:
            if path.is_symlink():
                raise _unsafe(relative, "leads nowhere") from error
            raise _invalid(relative, "it went away meanwhile") from error
        except RuntimeError as error:  # how Python 3.11 and 3.12 report a circle
            raise _unsafe(relative, "leads in a circle") from error
        except OSError as error:
            if path.is_symlink():
                raise _unsafe(relative, f"cannot be followed ({error.strerror})") from error
            raise _invalid(relative, f"it cannot be read ({error.strerror})") from error
        if not real.is_relative_to(self.home):
            raise _unsafe(relative, "leaves the algorithm's folder")
        return real, mode


def _names(inside: PurePosixPath, folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  # names only, as the folder has them
    except OSError as error:
        raise _invalid(inside, f"it cannot be read ({error.strerror})") from error


def _check_name(relative: PurePosixPath) -> None:
    name = relative.name
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _invalid(relative, "its name is not valid text") from error
    if "\\" in name or any(ord(character) < 32 for character in name):
        raise _invalid(relative, "its name has a backslash or control character, which other systems refuse")


def _check_distinct(files: dict[str, Path]) -> None:
    """Refuse files and folders that would be one where case or the form of an accent does not count."""
    seen: dict[str, str] = {}
    for name in files:
        for path in (name, *(str(parent) for parent in PurePosixPath(name).parents)):
            folded = unicodedata.normalize("NFC", path).casefold()
            if seen.setdefault(folded, path) != path:
                raise _invalid(PurePosixPath(path), f"it and '{seen[folded]}' are the same on systems that ignore case")


def _shown(relative: PurePosixPath) -> str:
    return relative.as_posix().encode("utf-8", "backslashreplace").decode()


def _invalid(relative: PurePosixPath, why: str) -> PackageError:
    shown = _shown(relative)
    return PackageError(f"'{shown}' cannot be deployed: {why}.", code="invalid_file", details={"path": shown})


def _unsafe(relative: PurePosixPath, why: str) -> PackageError:
    shown = _shown(relative)
    return PackageError(
        f"The link '{shown}' {why}: replace it by what it is to hold.", code="unsafe_symlink", details={"path": shown}
    )
