"""The contract describes itself and rejects models made for another one."""

from __future__ import annotations

import json

import pytest

from avemotion.preprocessing.contract import FRAME_COUNT, LABELS, MEL_FRAMES, check_parameters, parameters
from avemotion.preprocessing.errors import ContractMismatchError


def test_parameters_survive_json_and_agree_with_themselves() -> None:
    check_parameters(json.loads(json.dumps(parameters())), source="itself")


def test_other_labels_are_refused_in_a_sentence_that_names_source_and_field() -> None:
    other = parameters() | {"labels": ["cat", "dog"]}
    with pytest.raises(
        ContractMismatchError, match=r"best\.pt was made for another tensor contract: labels is \['cat'"
    ):
        check_parameters(other, source="best.pt")


def test_a_missing_field_is_refused() -> None:
    other = parameters()
    del other["hop_length"]
    with pytest.raises(ContractMismatchError, match="hop_length is None, this code has 256"):
        check_parameters(other, source="model")


def test_sizes_are_those_that_were_asked_for() -> None:
    assert (len(LABELS), FRAME_COUNT, MEL_FRAMES) == (8, 8, 188)
