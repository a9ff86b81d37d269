"""The meaning of a key is below its field; schema, page and `init` take it from there."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.tables import CONFIGURATION
from supervisor.config.load import load_config
from supervisor.config.meanings import Meaning, key_meanings
from supervisor.config.model import RunConfig
from supervisor.config.schema import config_schema
from supervisor.config.sections import section_below
from supervisor.config.template import config_template

TEMPLATE = config_template(path="c.yaml", name="n", command=["train"])


def keys() -> Iterator[str]:
    """The dotted name of every key of the model."""
    for name, field in RunConfig.model_fields.items():
        yield name
        if (section := section_below(field)) is not None:
            yield from (f"{name}.{key}" for key in section.model_fields)


KEYS = list(keys())


def test_what_stands_below_a_field_is_its_meaning() -> None:
    """The first paragraph is the comment, the others are details; neither has line breaks."""
    meanings = key_meanings()
    assert meanings["grace"] == Meaning(
        "How long a trainer that was asked to stop may take to save and end."
    )
    assert meanings["checkpoints.directory"].text == (
        "Where the trainer saves its checkpoints. Default: `run_dir`."
        " The trainer makes it; the supervisor does not. Without this key the supervisor also looks"
        " into the directory that the trainer names (docs/checkpoints.md)."
    )
    assert meanings["restart"].text == "When and how often a failed attempt is started again."


def test_no_meaning_is_of_a_key_that_is_gone() -> None:
    """Each key of the model has one meaning, and no other key has one."""
    assert sorted(key_meanings()) == sorted(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_each_key_is_told_everywhere(key: str) -> None:
    """Editors, the page and a new file all explain the key."""
    meaning = key_meanings()[key]
    assert meaning.comment.endswith(".")
    assert described(key) == meaning.text
    assert meaning.comment in " ".join(TEMPLATE.replace("#", " ").split())
    section, _, name = key.rpartition(".")
    parts = page_parts()
    assert meaning.text in parts[key] if key in parts else f"| `{name}` |" in parts[section]


@pytest.mark.parametrize("key", KEYS)
def test_a_default_on_the_page_is_the_true_one(key: str) -> None:
    """The default on the page changes nothing in the file.

    A few defaults are described in words.
    """
    section, _, name = key.rpartition(".")
    if key in page_parts() or "Default:" in key_meanings()[key].text:
        return
    rows = page_parts()[section].splitlines()
    (default,) = (row.split(" | ")[1] for row in rows if row.startswith(f"| `{name}` |"))
    if default == "required":
        assert RunConfig.model_fields[name].is_required()
        return
    value = yaml.safe_load("null" if default == "none" else default.strip("`"))
    given = {section: {name: value}} if section else {name: value}
    bare = {"command": ["a"]}
    assert RunConfig.model_validate(bare | given) == RunConfig.model_validate(bare)


def described(key: str) -> str:
    """The schema's description of a key; the schema is plain JSON."""
    schema = json.loads(json.dumps(config_schema()))
    section, _, name = key.rpartition(".")
    if section:
        kind = section_below(RunConfig.model_fields[section])
        assert kind is not None
        schema = schema["$defs"][kind.__name__]
    return str(schema["properties"][name]["description"])


def page_parts() -> dict[str, str]:
    """The parts of the page by their headings; the top has the empty heading."""
    top, *parts = CONFIGURATION.read_text().split("\n## ")
    return {"": top, **{part.partition("\n")[0]: part for part in parts}}


def test_what_is_commented_out_may_be_put_in(tmp_path: Path) -> None:
    """Without its `# ` each line is valid; of `finish` only one key may be given."""
    every = re.sub(r"(?m)^(#? *)# (?=\w+:)", r"\1", re.sub(r"(?m)^# (?= *\w+:)", "", TEMPLATE))
    every = every.replace("\n  file: outputs/DONE", "\n  # file: outputs/DONE")
    path = tmp_path / "c.yaml"
    path.write_text(every)
    config = load_config(path).config
    given = set(config.model_fields_set)
    for name in config.model_fields_set:
        if section_below(RunConfig.model_fields[name]) is not None:
            given |= {f"{name}.{key}" for key in getattr(config, name).model_fields_set}
    assert set(KEYS) - given == {"finish.file"}


def test_a_new_file_needs_no_pydantic() -> None:
    """`supervisor init` reads the documentation as text, so it stays quick."""
    code = (
        "import sys; from supervisor.config.template import config_template;"
        " config_template(path='c', name='n', command=['a']); print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
