"""Reads the settings of a process from its options and its environment, and rejects unknown `EMO_*` variables.

A misspelt variable, such as a rate limit, would otherwise leave its default in force without a word.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable
from typing import Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import CliApp

from gateway.settings import Settings

PREFIX: Final = "EMO_"

OTHER_VARIABLES: Final = frozenset(
    {
        # python -m stack
        "EMO_TRITON_ENVIRONMENT",
        "EMO_TRITON_HTTP_PORT",
        "EMO_TRITON_METRICS_PORT",
        # docker-compose.yml
        "EMO_LLM_PORT",
        "EMO_RECORDER_PORT",
        # the client
        "EMO_API_KEY",
        # tests, load tests and benchmarks
        "EMO_DATA",
        "EMO_PEER_MODEL",
        "EMO_PEER_PORT",
    }
)
"""Variables with our prefix that other programs of this project read, and the gateway ignores."""

S = TypeVar("S", bound=Settings)


def load_settings(kind: type[S]) -> S:
    """Read settings from options, environment and defaults, in this order of priority.

    Exits the process after `--help`, and with one sentence for each option or variable that is not valid.

    Args:
        kind: The settings class of the program.
    """
    problems = list(_unknown_variables(kind, os.environ))
    try:
        settings = CliApp.run(kind)
    except ValidationError as error:
        sys.exit("\n".join([*problems, *(_describe(fault, kind) for fault in error.errors())]))
    if problems:
        sys.exit("\n".join(problems))
    return settings


def variable_of(field: str) -> str:
    """Name of a setting's environment variable."""
    return PREFIX + field.upper()


def _unknown_variables(kind: type[Settings], variables: Iterable[str]) -> Iterable[str]:
    known = {variable_of(field) for field in kind.model_fields} | OTHER_VARIABLES
    for name in sorted(variables):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            nearest = difflib.get_close_matches(name.upper(), known, n=1)
            advice = f"did you mean {nearest[0]}?" if nearest else "remove it, or see --help for the known ones."
            yield f"Unknown environment variable {name}: {advice}"


def _describe(fault: ErrorDetails, kind: type[Settings]) -> str:
    name = str(fault["loc"][0])
    value = f" {fault['input']!r}" if kind.model_fields[name].repr else ""
    reason = fault["msg"].removeprefix("Value error, ")
    option = f"--{name.replace('_', '-')}"
    return f"Invalid value{value} for {option} ({variable_of(name)}): {reason[0].lower()}{reason[1:]}."
