"""`make api-docs` writes the tables of `docs/API.md`: fields from the schemas, errors from the gateway's table.

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`, where NAME is a schema, or `errors`. A test
fails if the committed document differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from avemotion.api.base import ErrorResponse, Schema
from avemotion.api.predictions import BatchResponse, PredictResponse
from avemotion.api.service import ContractResponse, HealthResponse, ModelsResponse, ReadyResponse
from avemotion.api.timeline import TimelineResponse
from gateway.errors import POLICIES

DOCUMENT: Final = Path(__file__).with_name("API.md")
ERRORS: Final = "errors"
RESPONSES: Final[dict[str, type[Schema]]] = {
    response.__name__: response
    for response in (
        PredictResponse,
        BatchResponse,
        TimelineResponse,
        ModelsResponse,
        ContractResponse,
        HealthResponse,
        ReadyResponse,
        ErrorResponse,
    )
}
"""The response bodies, each of which has a table."""

_TABLE: Final = re.compile(r"<!-- table: (\w+) -->\n.*?<!-- end of table -->", re.DOTALL)
_NAMES: Final[dict[Any, str]] = {str: "string", float: "number", int: "integer", bool: "boolean"}


def with_tables(document: str) -> str:
    """Return a document with its tables replaced by current ones.

    Args:
        document: Markdown with markers.
    """
    described: set[type[Schema]] = set()

    def table(marker: re.Match[str]) -> str:
        name = marker[1]
        if name == ERRORS:
            rows = [("code", "status", "meaning"), *_error_rows()]
        else:
            rows = [("field", "type", "meaning"), *_field_rows(RESPONSES[name], "", described)]
        rows.insert(1, ("---", "---", "---"))
        lines = (f"| {' | '.join(row)} |".replace("| --- | --- | --- |", "|---|---|---|") for row in rows)
        return "\n".join((f"<!-- table: {name} -->", *lines, "<!-- end of table -->"))

    return _TABLE.sub(table, document)


def _error_rows() -> Iterator[tuple[str, str, str]]:
    for code, policy in POLICIES.items():
        yield f"`{code}`", str(policy.status), policy.meaning


def _field_rows(schema: type[Schema], prefix: str, described: set[type[Schema]]) -> Iterator[tuple[str, str, str]]:
    """A row for each field, and below it the fields of its object unless an earlier table has them.

    Args:
        schema: The object.
        prefix: Its path, ending in a dot.
        described: Objects whose fields have rows already; extended by those of this table.
    """
    # A base class has no fields of its own.
    described.update(base for base in schema.__mro__ if issubclass(base, Schema))
    for name, field in schema.model_fields.items():
        path, inner = f"{prefix}{name}", _object_of(field.annotation)
        meaning = field.description or (inner and (inner.__doc__ or "").partition("\n")[0]) or ""
        if inner in described:
            meaning += " Fields as above."
        yield f"`{path}`", _type_name(field.annotation), meaning
        if inner is not None and inner not in described:
            step = "[]." if get_origin(field.annotation) is list else "."
            yield from _field_rows(inner, path + step, described)


def _object_of(annotation: Any) -> type[Schema] | None:  # noqa: ANN401 (any annotation)
    """The schema in an annotation, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, Schema):
        return annotation
    return next(filter(None, map(_object_of, get_args(annotation))), None)


def _type_name(annotation: Any) -> str:  # noqa: ANN401 (any annotation)
    """JSON's name of a type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin is list:
        return f"array of {_type_name(arguments[0])}s"
    if origin in {Union, UnionType}:
        return " or ".join("null" if each is NoneType else _type_name(each) for each in arguments)
    return _NAMES.get(annotation, "object")


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text()))
