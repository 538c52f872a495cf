"""Write the tables of docs/reference/settings.md from the models: `python tools/settings_reference.py`.

The page says by comments where a table stands and which sections it is about: `<!-- keys: info ssl -->`, with the kind
of a section behind it where there are several (`<!-- keys: storage.backend_settings local -->`); a dot is the top.
What stands between the tables is written by hand.
"""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Secret, SecretStr
from pydantic.fields import FieldInfo

from compox_core.settings import Settings
from compox_core.settings.keys import DECIDING, choice_between, described, known_keys, models_in

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "settings.md"
TABLE = re.compile(r"(<!-- keys: (?P<names>[^>]+?) -->\n)(?:\n?\|[^\n]*\n)*\n?")
HEAD = "| key | type | default | |\n|---|---|---|---|\n"

WITHOUT_EFFECT = {
    "config",
    *("gui.algorithm_add_remove_in_menus", "gui.use_systray", "gui.icon_path"),
}

ANCESTOR = {
    **dict.fromkeys(
        [
            *("port", "deploy_algorithms_from", "log_path", "config"),
            *("info.product_name", "info.server_tags", "info.group_name"),
            *("info.organization_name", "info.organization_domain"),
            *("gui.algorithm_add_remove_in_menus", "gui.use_systray"),
            *("storage.collection_prefix", "storage.data_store_expire_days", "storage.execution_store_expire_days"),
            *("storage.training_store_expire_days", "storage.deploy_store_expire_days"),
            *("storage.stop_requests_expire_days", "storage.builtin_storage_bundle_path"),
            "storage.builtin_storage_bundle_key",
            *(
                f"storage.backend_settings.{name}"
                for name in (
                    *("start_instance", "port", "console_port", "executable_path", "storage_path"),
                    *("aws_region", "s3_domain_name", "s3_endpoint_url"),
                )
            ),
            *("inference.device", "inference.algorithm_cache_maxsize"),
            *(
                f"inference.backend_settings.{name}"
                for name in (
                    *("worker_number", "worker_name", "broker_url", "result_backend", "run_flower", "flower_port"),
                )
            ),
            *("ssl.use_ssl", "ssl.ssl_keyfile", "ssl.ssl_certfile"),
            *(f"middleware.{name}" for name in described(Settings.model_fields["middleware"].annotation)),  # type: ignore[arg-type]
            *("logging.console_level", "logging.file_level"),
        ]
    ),
    "gui.icon_path": "an icon in its package",
    "storage.access_key_id": "a random one at each start",
    "storage.secret_access_key": "a random one at each start",
    "storage.backend_settings.provider": "`minio`",
    "inference.cuda_visible_devices": "`0`, without effect",
    "inference.backend_settings.executor": "`fastapi_background_tasks`, the older name of `threads`",
}
"""The keys that compox 3.2 has, each with its default there where ours is another one."""


def page(text: str) -> str:
    """Return the text of the page with the tables of today's models."""
    return TABLE.sub(lambda found: found[1] + "\n" + table(found["names"].split()) + "\n", text)


def table(names: list[str]) -> str:
    """Return the table of some sections."""
    if len(names) == 2 and (choice := choice_between(list(_models(names[0])))) and names[1] in choice.models:
        return HEAD + "".join(_rows(choice.models[names[1]], f"{names[0]}."))
    return HEAD + "".join(row for name in names for row in _section(name))


def _section(name: str) -> Iterator[str]:
    prefix = "" if name == "." else f"{name}."
    [model] = _models(name)
    for key, field in model.model_fields.items():  # what decides on the kind of a section stands above its tables
        if choice := choice_between(list(models_in(field.annotation))):
            yield _row(f"{prefix}{key}.{choice.tag}", type(field.get_default(call_default_factory=True)), choice.tag)
    yield from _rows(model, prefix)


def _models(name: str) -> Iterator[type[BaseModel]]:
    if name == ".":
        yield Settings
        return
    yield from models_in(known_keys()[name].fields[0].annotation)


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name not in DECIDING and not list(models_in(field.annotation)):
            yield _row(prefix + name, model, name)


def _row(key: str, model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    if name in DECIDING:
        values = [value for each in known_keys()[key].fields for value in typing.get_args(each.annotation)]
        kind, meaning = (
            ", ".join(f"`{value}`" for value in values),
            "Decides which other keys of the section there are.",
        )
    else:
        kind, meaning = kind_of(field), described(model)[name]
    new = "" if key in ANCESTOR else "*new.* "
    before = f" (compox 3.2: {ANCESTOR[key]})" if ANCESTOR.get(key) else ""
    shown = f"`{key}`" + (" †" if key in WITHOUT_EFFECT else "")
    return f"| {shown} | {kind} | {_default(field)} | {new}{meaning}{before} |\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, Secret) or value == "":
        return "empty"
    if isinstance(value, list):
        return f"`[{', '.join(value)}]`"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def kind_of(field: FieldInfo) -> str:
    """Return in words what values a field takes."""
    words = []
    null = False
    for part, bounds in _parts(field.annotation, list(field.metadata)):
        if part is type(None):
            null = True
        else:
            words.append(_words(part, bounds))
    [kind] = words
    return kind + ((", or null" if "," in kind else " or null") if null else "")


def _parts(annotation: Any, bounds: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """Yield the members of a union, each with its bounds."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        found = [bound for each in more if isinstance(each, FieldInfo) for bound in each.metadata]
        yield from _parts(inner, bounds + found)
    elif origin in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _parts(part, bounds)
    else:
        yield annotation, bounds


def _words(kind: Any, bounds: list[Any]) -> str:
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(kind))
    if kind in (int, float):
        return _range(bounds)
    simple: dict[Any, str] = {bool: "true or false", str: "text", SecretStr: "secret", list: "list of texts"}
    return simple.get(origin or kind) or ("mapping of devices to numbers" if origin is dict else "mapping, secret")


def _range(bounds: list[Any]) -> str:
    low = max((bound.ge for bound in bounds if hasattr(bound, "ge")), default=None)
    above = max((bound.gt for bound in bounds if hasattr(bound, "gt")), default=None)
    high = min((bound.le for bound in bounds if hasattr(bound, "le")), default=None)
    if low is not None and high is not None:
        return f"{low} to {high}"
    start = f"at least {low}" if above is None else f"above {above}"
    return start if high is None else f"{start}, at most {high}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
