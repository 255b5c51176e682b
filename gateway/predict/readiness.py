"""Readiness: a real inference has succeeded within the last seconds.

Triton's own endpoints stay ready after its stub has died, so only an inference counts. Predictions for clients count,
too: a busy gateway sends no probes.
"""

from __future__ import annotations

import asyncio
import logging
import time

import numpy as np

from avemotion.api.answers import ModelOutputs
from avemotion.preprocessing.errors import EmotionError
from gateway.deadlines import Deadline
from gateway.errors import NotReadyError
from gateway.predict.predictor import DEFAULT_CHOICE, Predictor, random_tensors
from gateway.settings import Settings

logger = logging.getLogger(__name__)


class Readiness:
    """Remembers the last answer of the model, and probes the model if that is too old.

    Attributes:
        draining: Whether the gateway is stopping.
    """

    def __init__(self, settings: Settings, predictor: Predictor) -> None:
        self._settings = settings
        self._predictor = predictor
        self._random = np.random.default_rng()
        self._last: tuple[float, ModelOutputs] | None = None
        self._reason = "The model has not answered yet."
        self.draining = False

    def answered(self, prediction: ModelOutputs) -> None:
        """Remember an answer of the default model."""
        self._last = (time.monotonic(), prediction)

    def drain(self) -> None:
        """Become unready for good, so that a load balancer sends no more requests."""
        self.draining = True

    def reject_while_draining(self) -> None:
        """Reject new requests during the drain.

        Raises:
            NotReadyError: The gateway is stopping.
        """
        if self.draining:
            raise NotReadyError("The gateway is stopping and accepts no new requests.")

    def is_ready(self) -> bool:
        """Whether the model has answered within the last seconds."""
        try:
            self.check()
        except NotReadyError:
            return False
        return True

    def check(self) -> tuple[ModelOutputs, float]:
        """The last answer and its age in seconds.

        Raises:
            NotReadyError: There is none that is recent enough; the message says why.
        """
        self.reject_while_draining()
        if self._last is None:
            raise NotReadyError(self._reason)
        age = time.monotonic() - self._last[0]
        if age > self._settings.ready_window:
            raise NotReadyError(f"The model has not answered for {age:.0f} s: {self._reason}")
        return self._last[1], age

    async def probe_forever(self) -> None:
        """Probe the model whenever its last answer is older than the interval."""
        while True:
            if self._last is None or time.monotonic() - self._last[0] >= self._settings.probe_interval:
                await self._probe()
            await asyncio.sleep(self._settings.probe_interval)

    async def _probe(self) -> None:
        deadline = Deadline.after(self._settings.inference_timeout)
        try:
            model = await self._predictor.describe(DEFAULT_CHOICE, deadline)
            self.answered(await self._predictor.predict(random_tensors(self._random), model, deadline))
        except EmotionError as error:
            if error.message != self._reason:
                logger.warning("probe failed: %s", error.message, extra={"code": error.code})
            self._reason = error.message
        except Exception as error:  # an exception would end probing, and with it readiness, for good
            logger.exception("probe failed")
            self._reason = f"The probe raised {type(error).__name__}."
