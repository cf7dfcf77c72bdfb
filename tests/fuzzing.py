"""Fuzzes all operations of an OpenAPI document."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
import requests
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.pytest.lazy import get_all_tests
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
    content_type_conformance,
]


@contextlib.contextmanager
def door_session() -> Iterator[requests.Session]:
    """What keeps its connection while this lasts: a new one takes longer than a call."""
    with requests.Session() as session:
        session.trust_env = False  # else the user's proxies and passwords are read for each call
        yield session


def fuzz(
    schema: BaseSchema, call: Callable[[Case], None], count: int, subtests: pytest.Subtests
) -> int:
    """Call each operation with the edges of what it takes and with `count` examples more.

    Gives how many operations there are; each is a subtest. `@schema.parametrize()` would work all
    edges out while tests are collected, which takes seconds, in each process of a parallel run.
    """
    load_all_checks()
    found = 0
    for result in get_all_tests(
        schema=schema,
        test_func=call,
        settings=settings(
            max_examples=count,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
        given_kwargs={},
    ):
        operation, test = result.ok()
        with subtests.test(operation.label):
            test()
        found += 1
    return found
