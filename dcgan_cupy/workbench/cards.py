"""Some GPUs, and the least time that a launch can take on one: the roofline."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """gbs: GB/s of device memory; tflops, tflops64: of ordinary arithmetic, a multiply-add counted as two."""

    name: str
    gbs: float
    tflops: float
    tflops64: float
    processors: int
    architecture: int
    registers: int = 65536
    threads: int = 2048  # of a multiprocessor
    blocks: int = 32
    shared: int = 228 * 1024
    source: str = ""


CARDS = {
    "t4": Card(
        "Tesla T4", 320, 8.1, 0.25, 40, 75, threads=1024, blocks=16, shared=64 * 1024, source="NVIDIA T4 data sheet"
    ),
    "v100": Card("Tesla V100 SXM2", 900, 15.7, 7.8, 80, 70, shared=96 * 1024, source="NVIDIA V100 data sheet"),
    "a100": Card("A100 SXM 80 GB", 2039, 19.5, 9.7, 108, 80, shared=164 * 1024, source="NVIDIA A100 data sheet"),
    "rtx3060": Card(
        "GeForce RTX 3060",
        360,
        12.7,
        0.2,
        28,
        86,
        threads=1536,
        blocks=16,
        shared=100 * 1024,
        source="NVIDIA GA106 specifications",
    ),
    "rtx4090": Card(
        "GeForce RTX 4090",
        1008,
        82.6,
        1.29,
        128,
        89,
        threads=1536,
        blocks=24,
        shared=100 * 1024,
        source="NVIDIA Ada whitepaper",
    ),
    "l4": Card(
        "L4", 300, 30.3, 0.47, 58, 89, threads=1536, blocks=24, shared=100 * 1024, source="NVIDIA L4 data sheet"
    ),
    "h100": Card("H100 SXM", 3350, 66.9, 33.5, 132, 90, source="NVIDIA H100 data sheet"),
    "h200": Card("H200 SXM", 4800, 66.9, 33.5, 132, 90, source="NVIDIA H200 data sheet"),
    "b200": Card("B200", 8000, 80.0, 40.0, 148, 100, source="NVIDIA Blackwell data sheet"),
    "rtx5090": Card(
        "GeForce RTX 5090",
        1792,
        104.8,
        1.64,
        170,
        120,
        threads=1536,
        blocks=24,
        shared=100 * 1024,
        source="NVIDIA RTX Blackwell whitepaper",
    ),
}


def roofline(card: Card, compulsory: int, sectors: int, flops: int, flops64: int) -> dict:
    """Times in microseconds. compulsory: bytes if each array moved once; sectors: as requested, if no cache helped."""
    memory = compulsory / card.gbs / 1e3
    arithmetic = flops / card.tflops / 1e6 + flops64 / card.tflops64 / 1e6
    return {
        "card": card.name,
        "memory_us": memory,
        "uncached_us": 32 * sectors / card.gbs / 1e3,
        "arithmetic_us": arithmetic,
        "roofline_us": max(memory, arithmetic),
        "bound": "memory" if memory >= arithmetic else "arithmetic",
        "ridge": card.tflops * 1e3 / card.gbs,
    }


def occupancy(card: Card, threads: int, registers: int, shared: int) -> dict:
    """Blocks of a multiprocessor at once, what limits them, and the share of its threads that are there."""
    warps = -(-threads // 32)
    per_warp = -(-registers * 32 // 256) * 256  # registers are given out to warps in units of 256
    limits = {
        "threads": card.threads // (warps * 32),
        "blocks": card.blocks,
        "registers": card.registers // (per_warp * warps),
    }
    if shared:
        limits["shared memory"] = card.shared // (-(-(shared + 1024) // 128) * 128)
    limit = min(limits, key=limits.get)
    return {
        "registers": registers,
        "blocks": limits[limit],
        "limit": limit,
        "occupancy": limits[limit] * warps * 32 / card.threads,
    }
