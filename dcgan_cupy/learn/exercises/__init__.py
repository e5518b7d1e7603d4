"""The exercises: e07_tree_reduction.py says what e07_tree_reduction.cu must compute, and how it is tried."""

import importlib
from functools import lru_cache
from pathlib import Path

from ..exercise import Exercise


@lru_cache(maxsize=None)
def exercises() -> dict[str, Exercise]:
    """Number -> exercise, in order."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("e[0-9][0-9]_*.py"))
    made = [importlib.import_module(f"{__name__}.{name}").EXERCISE for name in names]
    return {exercise.number: exercise for exercise in made}
