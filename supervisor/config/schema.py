"""The JSON Schema of a configuration, for editors; it describes what `load.py` accepts."""

import ast
import inspect
from types import ModuleType
from typing import Any

from supervisor.config import model, sections


def config_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) with each key's meaning as its description."""
    schema = _tidied(model.RunConfig.model_json_schema())
    # Read here and not by pydantic at import: parsing the source costs every start 30 ms.
    meanings = _meanings(sections) | _meanings(model)
    _describe(schema, meanings["RunConfig"])
    for name, section in schema["$defs"].items():
        _describe(section, meanings[name])
    schema["properties"]["name"].pop("default", None)  # it is the file's own name
    names = schema["properties"]["signals"]["items"]
    names["enum"] = [*names["enum"], *(f"SIG{name}" for name in names["enum"])]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "A training run under supervisor",
    }


def _meanings(module: ModuleType) -> dict[str, dict[str, str]]:
    """What stands below each attribute in the classes of a module."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        meanings = found.setdefault(node.name, {})
        for key, text in zip(node.body, node.body[1:], strict=False):
            match key, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(meaning))),
                ):
                    meanings[name] = " ".join(meaning.split())
    return found


def _describe(section: dict[str, Any], meanings: dict[str, str]) -> None:
    """Give each key of a section its description. Raises KeyError for a key without a meaning."""
    for key, facts in section["properties"].items():
        facts["description"] = meanings[key]


def _tidied(schema: Any) -> Any:
    """The same without line breaks in descriptions and without made-up titles."""
    if isinstance(schema, list):
        return [_tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidied: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "description" and isinstance(value, str):
            tidied[key] = " ".join(value.split())
        else:
            tidied[key] = _tidied(value)
    return tidied
