"""The filter programs say what their table says, as read by an interpreter of our own and by the machine's headers."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from cluster.sandbox.seccomp import (
    ARCHITECTURES,
    CLONE,
    CLONE3,
    COMMANDS,
    DENIED,
    MACHINES,
    OWN_LIMITS,
    SIGNALS,
    STARTS,
    X32_BIT,
    base_filter,
    candidate_filter,
)

ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE, UNKNOWN = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
PID = 1234
THREAD, NEW_USER = 0x00010F00, 0x10000011


def verdict(
    program: bytes | None, machine: str, number: int, argument: int = 0, second: int = 0, *, arch: int | None = None
) -> int:
    """What the kernel would do with system call `number` whose first arguments are `argument` and `second`."""
    assert program is not None
    steps = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    native = ARCHITECTURES[MACHINES[machine]]
    content = struct.pack("<IIQQQ", number, native if arch is None else arch, 0, argument, second)
    place = word = 0
    while True:
        operation, when_true, when_false, constant = steps[place]
        place += 1
        if operation == 0x06:
            return int(constant)
        if operation == 0x20:
            (word,) = struct.unpack_from("<I", content, constant)
        else:
            held = {0x15: word == constant, 0x35: word >= constant, 0x45: bool(word & constant)}[operation]
            place += when_true if held else when_false


def both(machine: str, number: int, argument: int = 0, *, forks: bool = False, signals: bool = False) -> int:
    """The stricter answer of the two filters of a candidate."""
    own = candidate_filter(machine, PID, forks=forks, signals=signals)
    return min(verdict(base_filter(machine), machine, number, argument), verdict(own, machine, number, argument))


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def numbers(machine: str, table: dict[str, tuple[int | None, int | None]]) -> list[int]:
    return [number for row in table.values() if (number := row[MACHINES[machine]]) is not None]


def test_what_the_table_denies_is_refused_and_all_else_allowed(machine: str) -> None:
    special = {*numbers(machine, STARTS | SIGNALS | OWN_LIMITS), CLONE[MACHINES[machine]], CLONE3}
    denied = set(numbers(machine, DENIED))
    for number in set(range(600)) - special:
        assert both(machine, number) == (REFUSE if number in denied else ALLOW), number


def test_a_thread_may_start_and_a_process_only_where_it_is_allowed(machine: str) -> None:
    clone = CLONE[MACHINES[machine]]
    assert both(machine, clone, THREAD) == ALLOW
    assert both(machine, clone, 17) == REFUSE
    assert both(machine, clone, 17, forks=True) == ALLOW
    for number in numbers(machine, STARTS):
        assert both(machine, number) == REFUSE
        assert both(machine, number, forks=True) == ALLOW


def test_new_namespaces_are_refused_even_where_processes_are_allowed(machine: str) -> None:
    assert both(machine, CLONE[MACHINES[machine]], NEW_USER, forks=True) == REFUSE
    assert both(machine, CLONE3, forks=True) == UNKNOWN


def test_signals_reach_oneself_only(machine: str) -> None:
    for number in numbers(machine, SIGNALS):
        assert both(machine, number, PID) == ALLOW
        for other in (1, PID + 1, 0xFFFFFFFF, 0xFFFFFFFF - PID):
            assert both(machine, number, other) == REFUSE
            assert both(machine, number, other, signals=True) == ALLOW


def test_limits_are_ones_own_only(machine: str) -> None:
    (number,) = numbers(machine, OWN_LIMITS)
    assert both(machine, number, 0) == ALLOW
    assert both(machine, number, 1) == REFUSE


def test_no_command_lets_the_kernel_signal_another_process(machine: str) -> None:
    for numbers, refused in COMMANDS.values():
        number = numbers[MACHINES[machine]]
        for command in (0, 1, 2, 3, 4, 1030, 0x5401, 0x5421, *refused):
            said = verdict(base_filter(machine), machine, number, 5, command)
            assert said == (REFUSE if command in refused else ALLOW), (number, command)


def test_another_mode_of_the_processor_is_no_way_round(machine: str) -> None:
    assert verdict(base_filter(machine), machine, 39, arch=0x40000003) == KILL
    assert verdict(base_filter(machine), machine, X32_BIT + 39) == REFUSE


def test_an_unknown_processor_has_no_filter() -> None:
    assert base_filter("riscv64") is None
    assert candidate_filter("riscv64", PID, forks=False, signals=False) is None


@pytest.mark.parametrize(
    ("column", "header", "pattern"),
    [
        (0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+)\s+(\d+)"),
        (1, "/usr/include/asm-generic/unistd.h", r"#define __NR3?2?6?4?_?(\w+)\s+(\d+)"),
    ],
)
def test_the_numbers_are_those_of_the_kernels_headers(column: int, header: str, pattern: str) -> None:
    if not Path(header).exists():
        pytest.skip(f"no {header} here")
    known = {name: int(number) for name, number in re.findall(pattern, Path(header).read_text())}
    ours = {name: row[column] for name, row in (DENIED | STARTS | SIGNALS | OWN_LIMITS).items()}
    ours |= {name: numbers[column] for name, (numbers, _) in COMMANDS.items()}
    assert CLONE[column] == known["clone"]
    assert {name: known[name] for name in ours if name in known} == {name: ours[name] for name in ours if name in known}
