"""Every registered operator that needs no model keeps the contract; llm/contract.py is for those that ask one."""

from __future__ import annotations

from typing import Any

import pytest

from evo.protocols import Operator
from evo.registry import names, resolve
from tests.contracts.operator_contract import OperatorContract


def needs_model(operator: Any) -> bool:
    return getattr(operator, "needs_model", False)


CLASSES = {
    found for name in names("operators") if not getattr(found := resolve("operators", name), "needs_model", False)
}


class TestRegisteredOperators(OperatorContract):
    @pytest.fixture(
        scope="class",
        params=sorted(CLASSES, key=lambda operator: str(operator.__name__)),
        ids=lambda operator: operator.__name__,
    )
    def operator(self, request: pytest.FixtureRequest) -> Operator:
        made: Operator = request.param()
        return made
