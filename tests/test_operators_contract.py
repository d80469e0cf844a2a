"""Every operator that is registered keeps the contract."""

from __future__ import annotations

import pytest

from evo.protocols import Operator
from evo.registry import names, resolve
from tests.contracts.operator_contract import OperatorContract

CLASSES = {resolve("operators", name) for name in [*names("operators"), "operators.programs:Simplify"]}


class TestRegisteredOperators(OperatorContract):
    @pytest.fixture(
        scope="class", params=sorted(CLASSES, key=lambda one: str(one.__name__)), ids=lambda one: one.__name__
    )
    def operator(self, request: pytest.FixtureRequest) -> Operator:
        made: Operator = request.param()
        return made
