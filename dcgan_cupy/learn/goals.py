"""Goals of cost that exercises set, by what the workbench counts."""

from ..workbench import costs
from .exercise import Goal


def sectors(ratio: float = 1.1) -> Goal:
    """At most so many times the sectors that the bytes would fill."""

    def failed(report):
        counts = costs.total(report)
        got, ideal = counts["sectors"], max(1, counts["ideal_sectors"])
        if got <= ratio * ideal:
            return ""
        worst = max(
            (a for a in report.accesses if not a.shared), key=lambda a: a.sectors - a.ideal, default=report.accesses[0]
        )
        return (
            f"line {worst.line}: {got / ideal:.1f} times the ideal sectors, need at most {ratio:g} times: neighbouring"
            " threads should touch neighbouring numbers"
        )

    return Goal(f"{ratio:g} times the ideal sectors", failed)


def no_conflicts() -> Goal:
    """No access to shared memory takes more than one turn."""

    def failed(report):
        worst = max((a for a in report.accesses if a.shared and a.extra), key=lambda a: a.extra, default=None)
        if worst is None:
            return ""
        turns = 1 + worst.extra / max(1, worst.requests)
        return f"line {worst.line}: bank conflicts: a request takes {turns:.3g} turns, need 1"

    return Goal("no bank conflict", failed)


def traffic(most: float) -> Goal:
    """At most so many times the bytes that must move (each array once) are asked for in global memory."""

    def failed(report):
        counts = costs.total(report)
        ratio = 32 * counts["sectors"] / max(1, counts["compulsory_bytes"])
        if ratio <= most:
            return ""
        return (
            f"{ratio:.1f} times the bytes of the arrays are asked for, need at most {most:g}: keep what several threads"
            " need in shared memory or registers"
        )

    return Goal(f"{most:g} times the arrays' bytes from global memory", failed)


def shared_requests(most: int) -> Goal:
    """At most so many requests of warps to shared memory."""

    def failed(report):
        got = costs.total(report)["shared_requests"]
        need = f"at most {most}" if most else "none"
        return "" if got <= most else f"{got} requests of warps to shared memory, need {need}"

    return Goal(f"{most} requests of warps to shared memory" if most else "no shared memory", failed)


def barriers(most: int) -> Goal:
    """At most so many barriers in all blocks together."""

    def failed(report):
        got = sum(report.barriers.values())
        return "" if got <= most else f"{got} barriers in all blocks together, need at most {most}"

    return Goal(f"{most} barriers in all blocks together" if most else "no barrier", failed)


def no_divergence(most: int = 0) -> Goal:
    """At most so many times a warp's threads part at a branch."""

    def failed(report):
        got = sum(splits for _, splits, _ in report.branches.values())
        line = max(report.branches, key=lambda key: report.branches[key][1], default=("", 0))[1]
        return "" if got <= most else f"line {line}: warps part {got} times at branches, need at most {most}"

    return Goal(f"{most} branches at which a warp parts" if most else "no branch at which a warp parts", failed)


def requests(most: int) -> Goal:
    """At most so many requests of warps to global memory."""

    def failed(report):
        got = costs.total(report)["requests"]
        return "" if got <= most else f"{got} requests of warps to global memory, need at most {most}"

    return Goal(f"{most} requests of warps to global memory", failed)


def atomics(most: int) -> Goal:
    """At most so many requests of warps for atomics in global memory."""

    def failed(report):
        got = sum(a.requests for a in report.accesses if a.kind == "atomic" and not a.shared)
        need = f"at most {most}" if most else "none"
        return "" if got <= most else f"{got} requests of warps for atomics in global memory, need {need}"

    what = f"{most} requests of warps for atomics in global memory"
    return Goal(what if most else "no atomics in global memory", failed)


def branches(most: int, ask: str = "") -> Goal:
    """At most so many branches taken by warps, the ends of loops among them.   ask: where to look for more."""

    def failed(report):
        got = sum(executions for executions, _, _ in report.branches.values())
        too_many = f"{got} branches of warps, the ends of loops among them, need at most {most}"
        return "" if got <= most else f"{too_many}: {ask}" if ask else too_many

    return Goal(f"{most} branches of warps, the ends of loops among them", failed)


def flop(most: int) -> Goal:
    """At most so many floating-point operations."""

    def failed(report):
        got = costs.total(report)["flops"]
        return "" if got <= most else f"{got} floating-point operations, need at most {most}"

    return Goal(f"{most} floating-point operations", failed)
