"""Every registered operator that needs no model obeys the operator contract."""

from __future__ import annotations

import pytest

from evo.protocols import Operator
from evo.registry import names, resolve
from evo.testing.contracts import OperatorContract

OPERATORS = {name: resolve("operators", name) for name in names("operators")}
WITHOUT_MODEL = {name: make for name, make in OPERATORS.items() if not getattr(make, "needs_model", False)}


class TestRegisteredOperators(OperatorContract):
    @pytest.fixture(scope="class", params=WITHOUT_MODEL.values(), ids=WITHOUT_MODEL)
    def operator(self, request: pytest.FixtureRequest) -> Operator:
        made: Operator = request.param()
        return made
