"""What lives as long as the gateway does, and how a route gets at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from gateway.decoding import DecodePool
from gateway.keys import KeyRing
from gateway.predictors import Predictor
from gateway.readiness import Readiness
from gateway.settings import Settings


@dataclass(frozen=True)
class Services:
    """The parts of a running gateway.

    Attributes:
        settings: The settings it was started with.
        pool: Decodes clips.
        predictor: Computes probabilities.
        readiness: Knows whether the model answers.
        keys: Knows who may call.
    """

    settings: Settings
    pool: DecodePool
    predictor: Predictor
    readiness: Readiness
    keys: KeyRing


def _services(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)  # noqa: S101 (for the type checker; set when the application is made)
    return services


ServicesDependency = Annotated[Services, Depends(_services)]
