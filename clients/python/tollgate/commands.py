"""The commands that both clients offer, in the words of a trader."""

from __future__ import annotations

from typing import Generic, Optional, TypeVar

from . import model
from .codec import Number, exact, exact_or_none
from .errors import EncodeError
from .model import Action, HaltScope, Side, Target, TimeInForce, TradingState

R = TypeVar("R")


class Commands(Generic[R]):
    """Every method here sends one command and gives its :class:`~tollgate.Outcome`, directly or to be awaited.

    Common to all: ``account`` (default: the client's), ``command_id`` (default: a new one), ``deadline_ns`` (the
    gateway refuses the command after that time; 0 for none), ``timeout`` in seconds (default: the client's).
    Prices and quantities are ``Decimal``, ``int`` or text such as ``"0.010"``; a float is a ``TypeError``.

    Raises :class:`~tollgate.EncodeError` for what does not fit the protocol (nothing is sent then),
    :class:`~tollgate.AnswerTimeout`, and :class:`~tollgate.SessionError`. A refusal is an outcome, not an error.
    """

    def execute(
        self,
        action: Action,
        *,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Sends a command and gives its one answer."""
        raise NotImplementedError

    def new_order(
        self,
        order: model.NewOrder,
        *,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Places an order of any kind."""
        return self.execute(
            order, account=account, command_id=command_id, deadline_ns=deadline_ns, timeout=timeout
        )

    def market(
        self,
        symbol: str,
        side: Side,
        quantity: Number,
        *,
        time_in_force: Optional[TimeInForce] = None,
        reduce_only: bool = False,
        position_ticket: int = 0,
        stop_loss: Optional[Number] = None,
        take_profit: Optional[Number] = None,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Places an order at the best price there is; what cannot be filled at once is cancelled."""
        order = model.NewOrder(
            symbol=symbol,
            side=side,
            order_type=model.OrderType.MARKET,
            quantity=exact(quantity, "quantity"),
            time_in_force=time_in_force,
            reduce_only=reduce_only,
            position_ticket=position_ticket,
            stop_loss=exact_or_none(stop_loss, "stop_loss"),
            take_profit=exact_or_none(take_profit, "take_profit"),
        )
        return self.execute(
            order, account=account, command_id=command_id, deadline_ns=deadline_ns, timeout=timeout
        )

    def limit(
        self,
        symbol: str,
        side: Side,
        quantity: Number,
        price: Number,
        *,
        time_in_force: Optional[TimeInForce] = None,
        expire_at_ns: int = 0,
        reduce_only: bool = False,
        position_ticket: int = 0,
        stop_loss: Optional[Number] = None,
        take_profit: Optional[Number] = None,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Places an order at ``price`` or better."""
        order = model.NewOrder(
            symbol=symbol,
            side=side,
            order_type=model.OrderType.LIMIT,
            quantity=exact(quantity, "quantity"),
            price=exact(price, "price"),
            time_in_force=time_in_force,
            expire_at_ns=expire_at_ns,
            reduce_only=reduce_only,
            position_ticket=position_ticket,
            stop_loss=exact_or_none(stop_loss, "stop_loss"),
            take_profit=exact_or_none(take_profit, "take_profit"),
        )
        return self.execute(
            order, account=account, command_id=command_id, deadline_ns=deadline_ns, timeout=timeout
        )

    def stop(
        self,
        symbol: str,
        side: Side,
        quantity: Number,
        stop_price: Number,
        *,
        time_in_force: Optional[TimeInForce] = None,
        expire_at_ns: int = 0,
        reduce_only: bool = False,
        position_ticket: int = 0,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Places an order that becomes a market order when the market reaches ``stop_price``."""
        order = model.NewOrder(
            symbol=symbol,
            side=side,
            order_type=model.OrderType.STOP,
            quantity=exact(quantity, "quantity"),
            stop_price=exact(stop_price, "stop_price"),
            time_in_force=time_in_force,
            expire_at_ns=expire_at_ns,
            reduce_only=reduce_only,
            position_ticket=position_ticket,
        )
        return self.execute(
            order, account=account, command_id=command_id, deadline_ns=deadline_ns, timeout=timeout
        )

    def stop_limit(
        self,
        symbol: str,
        side: Side,
        quantity: Number,
        price: Number,
        stop_price: Number,
        *,
        time_in_force: Optional[TimeInForce] = None,
        expire_at_ns: int = 0,
        reduce_only: bool = False,
        position_ticket: int = 0,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Places an order that becomes a limit order at ``price`` when the market reaches ``stop_price``."""
        order = model.NewOrder(
            symbol=symbol,
            side=side,
            order_type=model.OrderType.STOP_LIMIT,
            quantity=exact(quantity, "quantity"),
            price=exact(price, "price"),
            stop_price=exact(stop_price, "stop_price"),
            time_in_force=time_in_force,
            expire_at_ns=expire_at_ns,
            reduce_only=reduce_only,
            position_ticket=position_ticket,
        )
        return self.execute(
            order, account=account, command_id=command_id, deadline_ns=deadline_ns, timeout=timeout
        )

    def cancel(
        self,
        target: Target,
        *,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Cancels one order: ``outcome.target``, ``ByOrder(order_id)`` or ``ByCommand(command_id)``. The acceptance
        says that the cancel is on its way; a report says what became of it."""
        action = model.Cancel(_target(target))
        return self.execute(
            action, account=account, command_id=command_id, deadline_ns=deadline_ns, timeout=timeout
        )

    def replace(
        self,
        target: Target,
        *,
        quantity: Optional[Number] = None,
        price: Optional[Number] = None,
        stop_price: Optional[Number] = None,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Changes one order; ``quantity`` is the new total, fills included. At least one of the three is needed."""
        if quantity is None and price is None and stop_price is None:
            raise EncodeError("a replace needs a quantity, a price or a stop price")
        action = model.Replace(
            _target(target),
            exact_or_none(quantity, "quantity"),
            exact_or_none(price, "price"),
            exact_or_none(stop_price, "stop_price"),
        )
        return self.execute(
            action, account=account, command_id=command_id, deadline_ns=deadline_ns, timeout=timeout
        )

    def close(
        self,
        symbol: str,
        *,
        quantity: Optional[Number] = None,
        position_ticket: int = 0,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Closes a **position**, all of it or ``quantity``. (The connection is closed by ``disconnect``.)"""
        action = model.Close(symbol, position_ticket, exact_or_none(quantity, "quantity"))
        return self.execute(
            action, account=account, command_id=command_id, deadline_ns=deadline_ns, timeout=timeout
        )

    def cancel_all(
        self,
        symbol: Optional[str] = None,
        *,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Cancels every working order of the account, or of one symbol of it."""
        return self.execute(
            model.CancelAll(symbol),
            account=account,
            command_id=command_id,
            deadline_ns=deadline_ns,
            timeout=timeout,
        )

    def close_all(
        self,
        symbol: Optional[str] = None,
        *,
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Closes every position of the account, or that of one symbol."""
        return self.execute(
            model.CloseAll(symbol),
            account=account,
            command_id=command_id,
            deadline_ns=deadline_ns,
            timeout=timeout,
        )

    def halt(
        self,
        scope: HaltScope,
        state: TradingState = TradingState.HALTED,
        *,
        cancel_working: bool = False,
        flatten: bool = False,
        reason: str = "",
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Stops trading in ``Whole()``, ``OfAccount(name)`` or ``OfSymbol(name)``; needs the scope *operate*."""
        action = model.Halt(scope, state, cancel_working, flatten, reason)
        return self.execute(
            action, account=account, command_id=command_id, deadline_ns=deadline_ns, timeout=timeout
        )

    def resume(
        self,
        scope: HaltScope,
        *,
        reason: str = "",
        account: Optional[str] = None,
        command_id: Optional[int] = None,
        deadline_ns: int = 0,
        timeout: Optional[float] = None,
    ) -> R:
        """Lets **trading** go on in a scope that was halted; needs the scope *operate*."""
        action = model.Resume(scope, reason)
        return self.execute(
            action, account=account, command_id=command_id, deadline_ns=deadline_ns, timeout=timeout
        )

    def heartbeat(self, *, timeout: Optional[float] = None) -> R:
        """Says that the client lives; the outcome's ``time_ns`` is the gateway's time."""
        return self.execute(model.Heartbeat(), timeout=timeout)


def _target(target: Target) -> Target:
    if not isinstance(target, (model.ByCommand, model.ByOrder)):
        raise TypeError(
            f"an order is named by outcome.target, ByOrder(order_id) or ByCommand(command_id), not by {target!r}"
        )
    return target
