"""Why a command was refused."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from .codes import Code
from .enums import Owner


@dataclass(frozen=True)
class Reject:
    """Why a command was refused. ``value`` is what was asked for, ``limit`` the limit; with ``PRICE_NOT_ON_TICK``
    and ``QUANTITY_NOT_ON_STEP``, ``limit`` and ``above`` are the nearest valid values. 0 where there is no number."""

    code: Code
    owner: Owner
    value: Decimal
    limit: Decimal
    above: Decimal

    def __str__(self) -> str:
        numbers = f"value {self.value:f}, limit {self.limit:f}"
        if self.code in (Code.PRICE_NOT_ON_TICK, Code.QUANTITY_NOT_ON_STEP):
            numbers = f"{self.value:f} was given; {self.limit:f} and {self.above:f} are the nearest that are valid"
        words = f"{self.code.name} ({int(self.code)}) by {self.owner.name.lower()}: {self.code.meaning}"
        return f"{words} [{numbers}]" if self.value or self.limit or self.above else words
