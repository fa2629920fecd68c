"""One session of one symbol, and what every price, volume and name of a symbol must satisfy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from engine_opt import _validate as check
from engine_opt.errors import InputError

# A close may leave [low, high] by this share of the price: adjusting for splits multiplies, and multiplying rounds.
_ROUNDING = 1e-9

# Wider than any market, and narrow enough that no sum, square or ratio of bars leaves the range of a float.
LEAST_PRICE, LARGEST_PRICE = 1e-9, 1e12
LARGEST_VOLUME = 1e18


@dataclass(frozen=True, slots=True)
class Bar:
    """One session of one symbol: prices adjusted for splits, in account currency.

    `time` is a date, or a datetime; one series uses one of them throughout. `volume` is None where it is not known.
    Raises InputError for a price that is not between 1e-9 and 1e12, a high below the low, an open or a close outside
    of them, a volume that is not between 0 and 1e18.
    """

    time: date
    open: float
    high: float
    low: float
    close: float
    volume: float | None = None

    def __post_init__(self) -> None:
        opened, high, low, close, volume = self.open, self.high, self.low, self.close, self.volume
        # A good bar of floats, which nearly every bar is, costs one chain of comparisons; NaN fails every one of them.
        if (
            type(opened) is type(high) is type(low) is type(close) is float
            and LEAST_PRICE <= low <= opened <= high <= LARGEST_PRICE
            and low <= close <= high
            and (volume is None or (type(volume) is float and 0.0 <= volume <= LARGEST_VOLUME))
            and isinstance(self.time, date)
        ):
            return
        self._check()

    def _check(self) -> None:
        """Turn numbers into floats, and say what is wrong."""
        if not isinstance(self.time, date):
            raise InputError("time", self.time, "it must be a datetime.date or a datetime.datetime")
        for field in ("open", "high", "low", "close"):
            price = check.positive(field, getattr(self, field))
            check.store(self, field, check.between(field, price, LEAST_PRICE, LARGEST_PRICE, "account currency"))
        if self.volume is not None:
            volume = check.non_negative("volume", self.volume)
            check.store(self, "volume", check.between("volume", volume, 0.0, LARGEST_VOLUME, "shares"))
        if self.high < self.low:
            raise InputError("high", self.high, f"it is below low={self.low!r}")
        lowest = self.low - _ROUNDING * self.low
        highest = self.high + _ROUNDING * self.high
        for field, value in (("open", self.open), ("close", self.close)):
            if not lowest <= value <= highest:
                raise InputError(field, value, f"it is outside of low={self.low!r} and high={self.high!r}")


def check_symbol(symbol: object) -> str:
    """Return `symbol` if it is a non-empty string."""
    if isinstance(symbol, str) and symbol:
        return symbol
    raise InputError("symbol", symbol, "it must be a non-empty string")


def check_bar(bar: object, after: date | None = None) -> Bar:
    """Return `bar` if it is a Bar and later than `after`; one series does not mix dates, naive and aware times."""
    if not isinstance(bar, Bar):
        raise InputError("bar", bar, "it must be an engine_opt.Bar")
    if after is not None:
        try:
            later = bar.time > after
        except TypeError:
            raise InputError(
                "time", bar.time, f"it cannot be compared with {after!r} before it: use dates, or naive or aware times"
            ) from None
        if not later:
            raise InputError("time", bar.time, f"it is not after {after!r}, the bar before it: sort the series")
    return bar
