"""Fixtures of these tests: one Triton for all that only ask it."""

from tests.support.triton import standin_repository, standin_triton

__all__ = ["standin_repository", "standin_triton"]
