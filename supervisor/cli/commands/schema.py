"""`supervisor schema`: the JSON Schema of a configuration, for editors."""

import json

import click


@click.command("schema", short_help="Print the JSON Schema of a configuration.")
@click.option(
    "--json", "_as_json", is_flag=True, help="Changes nothing: the output is always JSON."
)
def schema_command(_as_json: bool) -> None:
    """Print the JSON Schema (draft 2020-12) of a configuration.

    Editors with a YAML language server use it to complete and check a configuration that begins
    with # yaml-language-server: $schema=supervisor.schema.json
    """
    from supervisor.config.schema import config_schema

    click.echo(json.dumps(config_schema(), indent=2, ensure_ascii=False))
