"""Every registered operator that needs no model keeps the contract; tests/operators/llm/test_program_operators.py is for those that do."""

from __future__ import annotations

import pytest

from evo.protocols import Operator
from evo.registry import names, resolve
from tests.contracts.operator_contract import OperatorContract

CLASSES = {one for name in names("operators") if not getattr(one := resolve("operators", name), "needs_model", False)}


class TestRegisteredOperators(OperatorContract):
    @pytest.fixture(
        scope="class", params=sorted(CLASSES, key=lambda one: str(one.__name__)), ids=lambda one: one.__name__
    )
    def operator(self, request: pytest.FixtureRequest) -> Operator:
        made: Operator = request.param()
        return made
