"""What is asked about the weeks of one symbol, in columns: `WeekRequest`, its `Book` and its `WeekContext`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine_opt import _validate as check
from engine_opt.batch.columns import (
    UNKNOWN,
    Bars,
    Codes,
    Flags,
    Floats,
    Times,
    at_row,
    code_column,
    float_column,
    known,
    require_bars,
)
from engine_opt.batch.rows import at, joined
from engine_opt.batch.week import _answers, _bools
from engine_opt.errors import InputError
from engine_opt.model import (
    LARGEST_VOLUME,
    AccountType,
    Book,
    Position,
    TradeContext,
    WeekColour,
    WeekContext,
    WeekRequest,
)
from engine_opt.model.trade import ACCOUNT_ROUNDING, LARGEST_MONEY, LARGEST_VIX, LEAST_VIX

_ACCOUNTS, _POSITIONS, _COLOURS = tuple(AccountType), tuple(Position), tuple(WeekColour)
_MOST_DAYS = 3660.0
_MINUTES = 24 * 60
_MINUTE = 60_000_000  # in microseconds
_AFTERNOON = 16 * 60.0
_ANY_DAY = date(2000, 1, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Requests about one symbol, a row each; a column is an array of rows, or a single value (no dimension) for all.

    `bar` is the index of the bar at whose close it is decided; it may repeat, and never falls. `minute` of the bar's day
    is the moment of the decision, in minutes after midnight, NaN for the bar's own time; `utc` says that days are days
    of UTC, so that the moments are aware ones. The rest is as in WeekRequest: enumerations are codes, UNKNOWN is a
    colour that is not known, NaN a number that is not, and `favourable` -1. Make one with `of`, `weekly` or `daily`.

    Raises InputError for what WeekRequest, Book, WeekContext or TradeContext refuse; its field has the row's index.
    """

    bar: NDArray[np.intp]
    account: Codes
    position: Codes
    account_value: Floats
    portfolio_value: Floats
    portfolio_risk: Floats
    drawdown: Floats
    shares_held: NDArray[np.int64]
    week_colour: Codes
    vix_mean: Floats
    strike: Floats
    cost_basis: Floats
    days_to_expiration: Floats
    can_roll: Flags
    favourable: NDArray[np.int8]
    week_start_price: Floats
    confidence: Floats
    minute: Floats
    utc: bool = False

    @classmethod
    def of(
        cls,
        bar: ArrayLike,
        account: AccountType | str | ArrayLike | Sequence[AccountType | str],
        position: Position | str | ArrayLike | Sequence[Position | str],
        account_value: ArrayLike,
        portfolio_value: ArrayLike,
        portfolio_risk: ArrayLike,
        drawdown: ArrayLike,
        *,
        shares_held: ArrayLike = 0,
        week_colour: WeekColour | str | ArrayLike | Sequence[WeekColour | str | None] | None = None,
        vix_mean: ArrayLike | None = None,
        strike: ArrayLike | None = None,
        cost_basis: ArrayLike | None = None,
        days_to_expiration: ArrayLike | None = None,
        can_roll: ArrayLike = True,
        favourable: ArrayLike | None = None,
        week_start_price: ArrayLike | None = None,
        confidence: ArrayLike | None = None,
        minute: ArrayLike | None = _AFTERNOON,
        utc: bool = False,
    ) -> Requests:
        """Return requests from anything that makes columns: members, their values or codes; numbers; None for NaN."""
        colour: Any = week_colour
        rows = _whole("bar", bar)
        if not rows.ndim:
            raise InputError("bar", bar, "it must be a column: a row for each request")
        return cls(
            rows.astype(np.intp),
            code_column(AccountType, "account", account),
            code_column(Position, "position", position),
            float_column("account_value", account_value),
            float_column("portfolio_value", portfolio_value),
            float_column("portfolio_risk", portfolio_risk),
            float_column("drawdown", drawdown),
            _whole("shares_held", shares_held),
            np.asarray(UNKNOWN, np.uint8)
            if colour is None
            else code_column(WeekColour, "week_colour", colour, optional=True),
            float_column("vix_mean", vix_mean, optional=True),
            float_column("strike", strike, optional=True),
            float_column("cost_basis", cost_basis, optional=True),
            float_column("days_to_expiration", days_to_expiration, optional=True),
            _bools(can_roll),
            _answers(favourable),
            float_column("week_start_price", week_start_price, optional=True),
            float_column("confidence", confidence, optional=True),
            float_column("minute", minute, optional=True),
            check.flag("utc", utc),
        )

    @classmethod
    def weekly(cls, bars: Bars, account: Any, position: Any, *book: Any, **known: Any) -> Requests:
        """Return a request at the last session of each ISO week; all else as in `of`, columns with a row per week."""
        weeks = week_numbers(require_bars(bars))
        last = np.flatnonzero(np.append(weeks[1:] != weeks[:-1], True)) if len(weeks) else weeks
        return cls.of(last, account, position, *book, **known)

    @classmethod
    def daily(cls, bars: Bars, account: Any, position: Any, *book: Any, **known: Any) -> Requests:
        """Return a request at every bar; all else as in `of`, columns with a row per bar."""
        return cls.of(np.arange(len(require_bars(bars))), account, position, *book, **known)

    def __post_init__(self) -> None:
        n = len(self.bar)
        for field in self.__slots__[:-1]:
            column = getattr(self, field)
            if column.ndim and len(column) != n:
                raise InputError(field, len(column), f"there are {n} requests: give one for each, or one for all")
            own = column.copy()
            own.flags.writeable = False
            check.store(self, field, own)
        self._check_order()
        bad = np.broadcast_to(~self._good(), (n,))
        if bad.any():
            index = int(np.argmax(bad))
            self._refuse(index)
            raise AssertionError(f"row {index} is refused here and not by the records")  # pragma: no cover - they agree

    def __len__(self) -> int:
        return len(self.bar)

    def row(self, index: int, symbol: str, now: datetime) -> WeekRequest:
        """Return the scalar record of one row; the columns know neither the symbol nor the days of the bars."""
        index = range(len(self))[index]
        return WeekRequest(
            symbol,
            _ACCOUNTS[at(self.account, index)],
            _POSITIONS[at(self.position, index)],
            now,
            self._book(index),
            self._context(index),
            known(float(at(self.week_start_price, index))),
            confidence=known(float(at(self.confidence, index))),
        )

    def moments(self, bars: Bars) -> tuple[Times, bool]:
        """Return the moment of each decision in microseconds, and whether they are aware ones, of UTC.

        Raises InputError for a bar that is not there, a moment before its bar, and `utc` for bars with naive times.
        """
        if len(self) and not self.bar[-1] < len(bars):
            index = int(np.argmax(self.bar >= len(bars)))
            raise InputError(f"bar[{index}]", int(self.bar[index]), f"there are {len(bars)} bars")
        days = bars.time.dtype == np.dtype("datetime64[D]")
        if self.utc and not days and not bars.utc:
            raise InputError("utc", self.utc, "the bars have naive times: give aware ones, or leave it out")
        time = bars.time[self.bar].astype("datetime64[us]")
        given = ~np.isnan(self.minute)
        minutes = np.where(given, self.minute, 0.0).astype(np.int64) * _MINUTE
        midnight = time.astype("datetime64[D]").astype("datetime64[us]").astype(np.int64)
        now: Times = np.where(given, midnight + minutes, time.astype(np.int64)).view("datetime64[us]")
        early = now < time
        if early.any():
            index = int(np.argmax(early))
            raise InputError(
                f"minute[{index}]",
                float(at(self.minute, index)),
                f"the bar is of {bars.when(int(self.bar[index]))}: what was not known yet cannot be decided by",
            )
        return now, bars.utc or self.utc

    def _check_order(self) -> None:
        falls = self.bar[1:] < self.bar[:-1]
        if falls.any() or (len(self) and self.bar[0] < 0):
            index = 1 + int(np.argmax(falls)) if falls.any() else 0
            raise InputError(f"bar[{index}]", int(self.bar[index]), "it must be the index of a bar, and never fall")

    def _good(self) -> Flags:
        """Return which rows the scalar records take; NaN fails every comparison but those that are made for it."""
        account, portfolio = self.account_value, self.portfolio_value
        good = (account > 0.0) & (account <= portfolio * (1.0 + ACCOUNT_ROUNDING))
        good = good & (portfolio > 0.0) & (portfolio <= LARGEST_MONEY) & (account <= LARGEST_MONEY)
        for share in (self.portfolio_risk, self.drawdown):
            good = good & (share >= 0.0) & (share <= 1.0)
        good = good & (self.shares_held >= 0) & (self.shares_held <= LARGEST_VOLUME)
        for price in (self.strike, self.cost_basis, self.week_start_price):
            good = good & (((price > 0.0) & (price < np.inf)) | np.isnan(price))
        bands = ((self.vix_mean, LEAST_VIX, LARGEST_VIX), (self.confidence, 0.0, 1.0))
        for number, low, high in (*bands, (self.days_to_expiration, 0.0, _MOST_DAYS)):
            good = good & (((number >= low) & (number <= high)) | np.isnan(number))
        whole = (self.minute >= 0.0) & (self.minute < _MINUTES) & (self.minute == np.rint(self.minute))
        found: Flags = np.asarray(good & (whole | np.isnan(self.minute)))
        return found

    def _refuse(self, index: int) -> None:
        """Let the scalar records say what is wrong with a row."""
        with at_row(index):
            minute = float(at(self.minute, index))
            book, colour = self._book(index), None
            TradeContext(
                _ANY_DAY,
                book.portfolio_value,
                book.account_value,
                book.portfolio_risk,
                book.drawdown,
                book.shares_held,
                None,
                None,
                colour,
                None,
                book.vix_mean,
            )
            self.row(index, "row", datetime(2000, 1, 3))  # noqa: DTZ001 - any moment does
            raise InputError("minute", minute, f"it must be a whole number from 0 to {_MINUTES - 1}, or NaN")

    def _book(self, index: int) -> Book:
        colour = int(at(self.week_colour, index))
        return Book(
            float(at(self.account_value, index)),
            float(at(self.portfolio_value, index)),
            float(at(self.portfolio_risk, index)),
            float(at(self.drawdown, index)),
            int(at(self.shares_held, index)),
            None if colour == UNKNOWN else _COLOURS[colour],
            known(float(at(self.vix_mean, index))),
        )

    def _context(self, index: int) -> WeekContext:
        favourable = int(at(self.favourable, index))
        return WeekContext(
            known(float(at(self.strike, index))),
            known(float(at(self.cost_basis, index))),
            known(float(at(self.days_to_expiration, index))),
            bool(at(self.can_roll, index)),
            None if favourable < 0 else favourable == 1,
        )


def joined_requests(requests: Sequence[Requests]) -> Requests:
    """Return the requests about several symbols after one another, unchecked; what is the same in all stays single.

    Each `bar` still counts the bars of its own symbol.
    """
    if len(requests) == 1:
        return requests[0]
    every = object.__new__(Requests)
    for field in Requests.__slots__[:-1]:
        columns = [getattr(each, field) for each in requests]
        first = columns[0]
        if any(column.ndim or column.tobytes() != first.tobytes() for column in columns):
            first = joined([np.broadcast_to(each, (len(own),)) for each, own in zip(columns, requests, strict=True)])
        check.store(every, field, first)
    check.store(every, "utc", requests[0].utc)
    return every


def week_numbers(bars: Bars) -> NDArray[np.int64]:
    """Return which ISO week each bar belongs to, counted on from that of 1970-01-01, a Thursday."""
    return (bars.time.astype("datetime64[D]").astype(np.int64) + 3) // 7


def week_starts(bars: Bars) -> Floats:
    """Return the last close before the week of each bar; NaN where there is none."""
    weeks = week_numbers(bars)
    if not len(weeks):
        return np.empty(0)
    begins = np.append(True, weeks[1:] != weeks[:-1])
    before = np.append(np.nan, bars.close[:-1])[begins]
    starts: Floats = before[np.cumsum(begins) - 1]
    return starts


def _whole(field: str, values: ArrayLike) -> NDArray[np.int64]:
    """Return whole numbers as a column, or a single one for all rows; bools and floats are refused."""
    if isinstance(values, (list, tuple)):
        for index, value in enumerate(values):
            if type(value) is not int and not isinstance(value, np.integer):
                raise InputError(f"{field}[{index}]", value, "it must be a whole number")
        values = np.array(values, np.int64)
    column = np.asarray(values)
    if column.dtype.kind not in "iu" or column.ndim > 1 or isinstance(values, Enum):
        raise InputError(field, values, "it must be a whole number, or a column of them")
    return column.astype(np.int64, copy=False)
