"""What `run` and `batch` are told of the position and the account, as what the engine is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from engine_opt.model import Book, WeekContext, WeekRequest


class Held(NamedTuple):
    """What is held and what it is worth, the same for all decisions: the values of `options.held_options`."""

    account: str
    position: str
    account_value: float
    portfolio_value: float
    portfolio_risk: float
    drawdown: float
    shares_held: int
    strike: float | None
    cost_basis: float | None
    days_to_expiration: float | None
    week_colour: str | None
    vix_mean: float | None

    def requests(self) -> Callable[[str, datetime], WeekRequest]:
        """Return what makes the request for a symbol at a moment. Raises InputError for what cannot be."""
        from engine_opt.model import AccountType, Position, WeekRequest

        account, position = AccountType(self.account), Position(self.position)
        book, context = self._checked()

        def request(symbol: str, now: datetime) -> WeekRequest:
            return WeekRequest(symbol, account, position, now, book, context)

        return request

    def columns(self) -> Mapping[str, Any]:
        """Return the arguments of the batch form's `Requests`. Raises InputError for what cannot be."""
        self._checked()
        return self._asdict()

    def _checked(self) -> tuple[Book, WeekContext]:
        from engine_opt.model import Book, WeekColour, WeekContext

        book = Book(
            account_value=self.account_value,
            portfolio_value=self.portfolio_value,
            portfolio_risk=self.portfolio_risk,
            drawdown=self.drawdown,
            shares_held=self.shares_held,
            week_colour=None if self.week_colour is None else WeekColour(self.week_colour),
            vix_mean=self.vix_mean,
        )
        return book, WeekContext(self.strike, self.cost_basis, self.days_to_expiration)
