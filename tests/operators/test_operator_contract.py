"""Every registered operator that needs no model obeys the operator contract; llm/contract.py is for those that do."""

from __future__ import annotations

import pytest

from evo.protocols import Operator
from evo.registry import names, resolve
from evo.testing.contracts import OperatorContract

REGISTERED = {resolve("operators", name) for name in names("operators")}
CLASSES = [operator for operator in REGISTERED if not getattr(operator, "needs_model", False)]


class TestRegisteredOperators(OperatorContract):
    @pytest.fixture(
        scope="class",
        params=sorted(CLASSES, key=lambda operator: str(operator.__name__)),
        ids=lambda operator: operator.__name__,
    )
    def operator(self, request: pytest.FixtureRequest) -> Operator:
        made: Operator = request.param()
        return made
