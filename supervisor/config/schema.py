"""The JSON Schema of a configuration, for editors; it describes what `load.py` accepts."""

from typing import Any

from supervisor.config.meanings import key_meanings
from supervisor.config.model import RunConfig
from supervisor.config.sections import section_below


def config_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) with each key's meaning as its description."""
    schema = _tidied(RunConfig.model_json_schema())
    meanings = key_meanings()
    for name, field in RunConfig.model_fields.items():
        schema["properties"][name]["description"] = meanings[name].text
        if (section := section_below(field)) is not None:
            for key, facts in schema["$defs"][section.__name__]["properties"].items():
                facts["description"] = meanings[f"{name}.{key}"].text
    schema["properties"]["name"].pop("default", None)  # `load.py` takes the file's own name
    names = schema["properties"]["signals"]["items"]
    names["enum"] = [*names["enum"], *(f"SIG{name}" for name in names["enum"])]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "A training run under supervisor",
    }


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
