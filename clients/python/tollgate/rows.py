"""The rows of a query's outcome, with their type."""

from __future__ import annotations

from typing import List, Type, TypeVar

from . import model
from .errors import TollgateError

Row = TypeVar("Row", bound=model.Row)


def rows_of(outcome: model.Outcome, kind: Type[Row]) -> List[Row]:
    """The rows. Raises :class:`~tollgate.CommandRejected` when the query was refused."""
    outcome.require()
    return [row for row in outcome.rows if isinstance(row, kind)]


def row_of(outcome: model.Outcome, kind: Type[Row]) -> Row:
    """The one row. Raises :class:`~tollgate.CommandRejected` when the query was refused."""
    rows = rows_of(outcome, kind)
    if not rows:
        raise TollgateError("the answer to the query holds no row that this version of the client knows")
    return rows[0]
