"""A contract suite for each plug-in point; a plug-in's author subclasses it (see docs/plugins.md).

This package needs pytest, so nothing but tests imports it.
"""

import pytest

pytest.register_assert_rewrite(
    "evo.testing.contracts.executor_contract",
    "evo.testing.contracts.operator_contract",
    "evo.testing.contracts.problem_contract",
)

from evo.testing.contracts.executor_contract import ExecutorContract, SandboxedExecutorContract  # noqa: E402
from evo.testing.contracts.operator_contract import OperatorContract  # noqa: E402
from evo.testing.contracts.problem_contract import ProblemContract  # noqa: E402

__all__ = ["ExecutorContract", "OperatorContract", "ProblemContract", "SandboxedExecutorContract"]
