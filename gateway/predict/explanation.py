"""Explanations: the probabilities in plain words, written by a companion language model if there is one.

The model sees the numbers and nothing else: no media, no names. Its text is checked before it is passed on: it must
name the most probable label first, use only numbers that it was given, be short, and say nothing about what a person
feels. If it fails, is late or does not pass, the explanation is left out. A prediction never fails because of it, and
never waits longer than the companion's timeout.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from typing import Any, Final

import httpx

from avemotion.preprocessing.contract import LABELS
from gateway.deadlines import Deadline
from gateway.settings import Settings
from gateway.telemetry import Metrics

logger = logging.getLogger(__name__)

LONGEST_EXPLANATION: Final = 600
"""Most characters of an explanation."""

_MOST_TOKENS: Final = 160
_MOST_BYTES: Final = 64 * 1024
"""Most bytes of the companion's answer that are read."""

_MOST_AT_ONCE: Final = 8

_INSTRUCTIONS: Final = (
    "You put the output of a classifier of expressed emotion into plain words. Write two or three short sentences in "
    f"plain text, at most {LONGEST_EXPLANATION // 2} characters. Begin with the most probable label, by exactly the "
    "name given. Where several probabilities are close, say that the result is not clear. Use only the numbers given, "
    "and only the label names given. Speak of what is expressed in the clip. Say nothing about what a person feels, "
    "thinks or intends, nothing about reasons or causes, and give no advice."
)

_CLAIMS: Final = re.compile(
    r"\b(?:you|he|she|they|person|speaker|someone|somebody|subject|individual)\b[^.]{0,40}"
    r"\b(?:feel|feels|feeling|felt|thinks?|intends?|wants?|is really|are really)\b",
    re.IGNORECASE,
)
"""Claims about a person's inner state, of which probabilities say nothing."""

_LABEL: Final = re.compile(rf"\b(?:{'|'.join(LABELS)})\b", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)?")


class UnusableExplanationError(Exception):
    """The companion's text is not passed on."""


class Explainer:
    """Asks an OpenAI-compatible server, if the settings name one."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._url = settings.llm_url
        self._timeout = settings.llm_timeout
        self._model = settings.llm_model
        self._metrics = metrics
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)
        key = settings.llm_api_key
        self._client = (
            None
            if self._url is None
            else httpx.AsyncClient(
                base_url=self._url.rstrip("/") + "/",
                headers={} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"},
                trust_env=False,
                timeout=None,  # noqa: S113 (one timeout for the whole exchange is set around it)
            )
        )

    @property
    def is_available(self) -> bool:
        """Whether the settings name a companion."""
        return self._client is not None

    async def stop(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def explain(self, probabilities: Mapping[str, float], *, uncertain: bool, deadline: Deadline) -> str | None:
        """The probabilities in plain words, or None if there is no valid text in time.

        Args:
            probabilities: Percent by label, in the order of the labels.
            uncertain: Whether the answer is marked as uncertain.
            deadline: When the whole answer is no longer of use; the companion's own timeout holds, too.
        """
        if self._client is None:
            return None
        limit = deadline.within(self._timeout)
        outcome = "failed"
        try:
            async with asyncio.timeout(limit.remaining()), self._places:
                text = await self._ask(self._client, _question(probabilities, uncertain=uncertain))
            explanation = checked(text, probabilities)
            outcome = "given"
        except TimeoutError:
            outcome = "late"
        except UnusableExplanationError as error:
            outcome = "unusable"
            logger.info("explanation left out: %s", error)
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            logger.warning("the companion language model failed", extra={"cause": type(error).__name__})
        else:
            return explanation
        finally:
            self._metrics.count_explanation(outcome)
        return None

    async def _ask(self, client: httpx.AsyncClient, question: str) -> str:
        if self._model is None:
            listing = await _exchange(client, "GET", "models", None)
            self._model = str(listing["data"][0]["id"])
        answer = await _exchange(
            client,
            "POST",
            "chat/completions",
            {
                "model": self._model,
                "messages": [
                    {"role": "system", "content": _INSTRUCTIONS},
                    {"role": "user", "content": question},
                ],
                "max_tokens": _MOST_TOKENS,
                "temperature": 0.2,
            },
        )
        content = answer["choices"][0]["message"]["content"]
        if not isinstance(content, str):
            raise UnusableExplanationError("it is not text")
        return content


def checked(text: str, probabilities: Mapping[str, float]) -> str:
    """A text on one line, if it claims no more than the probabilities do.

    Args:
        text: What the companion wrote.
        probabilities: Percent by label.

    Raises:
        UnusableExplanationError: It is empty, too long, or claims something else; the message says which and does
            not repeat the text.
    """
    line = " ".join(text.split())
    if not line:
        raise UnusableExplanationError("it is empty")
    if len(line) > LONGEST_EXPLANATION:
        raise UnusableExplanationError(f"it has {len(line)} characters; the limit is {LONGEST_EXPLANATION}")
    top = max(probabilities, key=probabilities.__getitem__)
    named = _LABEL.search(line)
    if named is None or named[0].lower() != top:
        raise UnusableExplanationError("it does not begin with the most probable label")
    known = {round(value, digits) for value in probabilities.values() for digits in (0, 1, 2)}
    if any(float(number.replace(",", ".")) not in known for number in _NUMBER.findall(line)):
        raise UnusableExplanationError("it holds a number that it was not given")
    if _CLAIMS.search(line):
        raise UnusableExplanationError("it says what a person feels")
    return line


def _question(probabilities: Mapping[str, float], *, uncertain: bool) -> str:
    rows = sorted(probabilities.items(), key=lambda item: -item[1])
    lines = [f"{label}: {value:.1f} %" for label, value in rows]
    if uncertain:
        lines.append("The classifier marks this result as uncertain.")
    return "\n".join(lines)


async def _exchange(client: httpx.AsyncClient, method: str, path: str, body: object) -> dict[str, Any]:
    """One request; at most `_MOST_BYTES` of its answer are read."""
    async with client.stream(method, path, json=body) as response:
        response.raise_for_status()
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > _MOST_BYTES:
                raise UnusableExplanationError(f"the answer has more than {_MOST_BYTES} bytes")
    answer = json.loads(content)
    if not isinstance(answer, dict):
        raise UnusableExplanationError("the answer is not a JSON object")
    return answer
