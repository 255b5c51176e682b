"""What the documents say is there is there: links, make targets, commands."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from docs import api_tables
from stack.settings import StackSettings

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*_server/*.md")])
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@each_document
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@each_document
def test_every_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), re.MULTILINE))
    assert named - targets == set()


@each_document
def test_every_python_module_that_is_run_exists(document: Path) -> None:
    modules = set(re.findall(r"python -m ([a-z_.]+[a-z_])", document.read_text())) - {"venv", "pip"}
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


def test_ports_and_variables_of_the_readme_are_those_of_settings_and_compose() -> None:
    rows = re.findall(r"^\| (\d+) \| `EMO_(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    compose = re.findall(r"127\.0\.0\.1:\$\{EMO_(\w+):-(\d+)\}", (ROOT / "docker-compose.yml").read_text())
    ports = {name.upper(): str(field.default) for name, field in StackSettings.model_fields.items() if "port" in name}
    assert dict(compose)["PORT"] == ports["PORT"]
    assert {name: port for port, name in rows} == ports | dict(compose)


def test_tables_of_the_api_are_those_of_schemas_and_errors() -> None:
    document = api_tables.DOCUMENT.read_text()
    tables = re.findall(r"<!-- table: (\w+) -->", document)
    assert sorted(tables) == sorted([*api_tables.RESPONSES, api_tables.ERRORS])
    assert document == api_tables.with_tables(document), "run `make api-docs`"


def test_the_api_document_has_a_row_for_each_field_of_each_response() -> None:
    rows = re.findall(r"^\| `(?:[\w\[\]]+\.)*(\w+)` \|", api_tables.DOCUMENT.read_text(), re.MULTILINE)
    schemas = [response.model_json_schema() for response in api_tables.RESPONSES.values()]
    objects = [each for schema in schemas for each in (schema, *schema.get("$defs", {}).values())]
    assert {name for each in objects for name in each["properties"]} <= set(rows)
