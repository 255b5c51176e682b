"""Kinds of settings that are more than a word or a number, each refused at start where it cannot be meant."""

from __future__ import annotations

import re
from typing import Annotated

from limits import parse
from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode


def _split_commas(value: object) -> object:
    """Environment variables hold lists as words between commas."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _check_rate_limit(value: str | None) -> str | None:
    """Refuse what the library of rate limits cannot read."""
    if value is not None:
        parse(value)
    return value


def _check_rate_limit_storage(value: str) -> str:
    """Refuse what is no place to count."""
    if value != "memory" and not re.match(r"rediss?://[^/]", value):
        raise ValueError("it is neither `memory` nor a URL redis://… or rediss://…")
    return value


def _check_address(value: str | None) -> str | None:
    """Refuse what is no address; nothing at all means none, as compose passes it."""
    if value and not re.match(r"https?://[^/]", value):
        raise ValueError("it is no URL http://… or https://…")
    return value or None


Address = Annotated[str | None, AfterValidator(_check_address)]
RateLimit = Annotated[str | None, AfterValidator(_check_rate_limit)]
RateLimitStorage = Annotated[str, AfterValidator(_check_rate_limit_storage)]
CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split_commas)]
