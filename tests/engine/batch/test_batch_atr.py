"""The average true range over columns: row by row what the system reads, ties and still markets included."""

import numpy as np
import pytest

from engine_opt import (
    AccountType,
    ATRAdjustmentSystem,
    ATRConfig,
    ATRRegime,
    InputError,
    InsufficientData,
    MarketConditionKind,
    data,
)
from engine_opt.batch import UNKNOWN, Bars, adjust, atr, measure, measure_chunks, measure_many

WILDER, PLAIN = ATRConfig(), ATRConfig.original()
RELATIVE = ATRConfig(smoothing="ema", regime_by="percentile", periods=(5, 80), history=100, history_needed=30)
SHORT = ATRConfig(periods=(1,), history=300, history_needed=2)
CONFIGS = [WILDER, PLAIN, RELATIVE, SHORT]
NAMES = ["wilder", "plain", "relative", "short"]


def check(columns, bars, config, agree, every=1):
    """Compare readings and adjustments with the system's, and errors with its errors."""
    system = ATRAdjustmentSystem(config)
    adjusted = adjust(columns, "REV", MarketConditionKind.BEARISH)
    for i, bar in enumerate(bars):
        system.update("X", bar)
        try:
            reading = system.reading("X")
        except InsufficientData as lack:
            with pytest.raises(InsufficientData) as caught:
                columns.row(i)
            assert caught.value.args == lack.args
            continue
        if i % every == 0:
            agree(columns.row(i), reading)
            agree(adjusted.row(i), system.adjust(reading, "REV", MarketConditionKind.BEARISH))


@pytest.mark.parametrize("symbol", [*data.symbols(), "S&P 500", "NASDAQ"])
@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_real_series(symbol, config, series, agree):
    """Seven real series, each row as the system reads it."""
    bars = series[symbol][-400:]
    check(measure(Bars.of(bars), config, "X"), bars, config, agree, every=5)


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
@pytest.mark.parametrize("market", ["cents", "flat", "still", "calm after"])
def test_markets_where_the_last_bit_decides(market, config, walk, flat, agree):
    """Equal shares are ties and nearly equal ones are not: in coarse prices, in still markets, and on the way there."""
    bars = {
        "cents": lambda: walk(1, 350, cents=True, deviation=0.001),
        "flat": lambda: flat(350),
        "still": lambda: flat(150, spread=0.0),
        "calm after": lambda: (*walk(2, 60), *flat(600)[60:]),
    }[market]()
    check(measure(Bars.of(bars), config, "X"), bars, config, agree)


def test_a_share_on_a_limit(flat, agree):
    """A range that is exactly 2 % of the price belongs to the calmer regime, after any number of bars."""
    bars = flat(200, spread=1.0)
    columns = measure(Bars.of(bars), symbol="X")
    check(columns, bars, WILDER, agree)
    assert set(columns.regime[columns.first :].tolist()) <= {2, 3}
    limits = ATRConfig(limits=(0.001, 0.01, float(columns.atr_share[-1]), 0.5))
    check(measure(Bars.of(bars), limits, "X"), bars, limits, agree)


def test_the_last_row_is_the_measure_of_the_whole(walk, agree):
    """A row also equals the plain form, which works from the whole series."""
    bars = walk(3, 400)
    for config in CONFIGS:
        system = ATRAdjustmentSystem(config)
        columns = measure(Bars.of(bars), config, "X")
        for i in (columns.first, 120, 300, 399):
            agree(columns.row(i), system.measure("X", bars[: i + 1]))


def test_rows_without_a_reading(walk):
    """Their codes are UNKNOWN and their numbers NaN; adjustments of them are nothing either."""
    columns = measure(Bars.of(walk(4, 60)))
    adjusted = adjust(columns, "GEN", "bullish")
    assert columns.first == 50
    for codes in (columns.regime, columns.price_trend, columns.volatility_trend, adjusted.account):
        assert (codes == UNKNOWN).tolist() == [True] * 50 + [False] * 10
    numbers = (
        columns.atr,
        columns.atr_share,
        adjusted.delta,
        adjusted.position_size,
        adjusted.confidence,
        adjusted.stop_loss,
    )
    for values in numbers:
        assert np.isnan(values[:50]).all()
        assert not np.isnan(values[50:]).any()
    assert (adjusted.days_to_expiration == 0).tolist() == [True] * 50 + [False] * 10
    with pytest.raises(InsufficientData):
        adjusted.row(3)
    assert columns.row(-1) == columns.row(59)


@pytest.mark.parametrize("n", [0, 1, 14, 15, 50])
def test_short_series_have_no_readings(n, walk):
    """A series that is too short has as many rows as bars, none of them a reading."""
    for config in (WILDER, PLAIN, RELATIVE):
        columns = measure(Bars.of(walk(5, n)), config)
        assert len(columns) == n == columns.first
        assert len(adjust(columns, "GEN")) == n


def test_accounts_and_conditions_as_columns(walk, agree):
    """Each row may have its own account and condition, known or not."""
    bars = walk(6, 150)
    for config in (WILDER, PLAIN):
        readings = measure(Bars.of(bars), config, "X")
        accounts = [list(AccountType)[i % 3] for i in range(150)]
        conditions = [[*MarketConditionKind, None][i % 8] for i in range(150)]
        adjusted = adjust(readings, accounts, conditions)
        codes = adjust(readings, np.arange(150) % 3, np.where(np.arange(150) % 8 == 7, UNKNOWN, np.arange(150) % 8))
        system = ATRAdjustmentSystem(config)
        for i in range(readings.first, 150):
            agree(adjusted.row(i), system.adjust(readings.row(i), accounts[i], conditions[i]))
            assert adjusted.row(i) == codes.row(i)
        calm = adjust(readings, "COM")
        agree(calm.row(149), system.adjust(readings.row(149), "COM"))


def test_confidence_at_its_turning_points(walk, agree):
    """On the percentiles and z-scores that confidence turns at, it is the scalar form's."""
    bars = walk(7, 52 + 7 * 8)
    readings = measure(Bars.of(bars), ATRConfig(history_needed=2), "X")
    system = ATRAdjustmentSystem()
    start = readings.first
    for i, percentile in enumerate((np.nan, 9.99, 10.0, 24.99, 25.0, 75.0, 90.0)):
        for j, deviation in enumerate((np.nan, 0.0, 0.999, 1.0, -1.0, 2.0, -2.0, 2.001)):
            readings.percentile[start + 8 * i + j] = percentile
            readings.z_score[start + 8 * i + j] = deviation
    adjusted = adjust(readings, "GEN")
    for row in range(start, start + 56):
        agree(adjusted.row(row), system.adjust(readings.row(row), "GEN"))


def test_many_configurations_equal_each_alone(walk):
    """Sharing ranges, averages and trends changes nothing, to the last bit."""
    bars = Bars.of(walk(8, 300))
    configs = [*CONFIGS, ATRConfig(periods=(5, 14), regime_by="percentile"), ATRConfig(limits=(0.01, 0.02, 0.03, 0.04))]
    for config, columns in zip(configs, measure_many(bars, configs), strict=True):
        alone = measure(bars, config)
        assert columns.first == alone.first
        assert [columns.row(i) for i in range(alone.first, 300)] == [alone.row(i) for i in range(alone.first, 300)]
    assert measure_many(bars, []) == ()


@pytest.mark.parametrize("sizes", [[1] * 60 + [540], [10, 590], [60, 0, 5, 65, 470], [300, 300], [590, 10]])
@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_chunks_equal_one_call(sizes, config, walk, agree):
    """However a series is cut, the rows are those of the whole."""
    bars = Bars.of(walk(9, 600))
    whole = measure(bars, config)
    ends = np.cumsum(sizes).tolist()
    chunks = [bars.part(a, b) for a, b in zip([0, *ends], ends, strict=False)]
    row = 0
    for part, columns in zip(chunks, measure_chunks(chunks, config), strict=True):
        assert len(columns) == len(part)
        for i in range(len(part)):
            if row >= whole.first:
                agree(columns.row(i), whole.row(row))
            else:
                assert i < columns.first
            row += 1
    assert row == 600


@pytest.mark.parametrize("market", ["cents", "flat"])
def test_ties_across_chunks(market, walk, flat, agree):
    """Ranks are exact in chunks too where the last bit decides."""
    bars = walk(10, 400, cents=True, deviation=0.001) if market == "cents" else flat(400)
    columns = Bars.of(bars)
    for config in CONFIGS:
        whole = measure(columns, config)
        chunks = list(measure_chunks([columns.part(0, 170), columns.part(170)], config))
        for i in range(max(170, whole.first), 400):
            agree(chunks[1].row(i - 170), whole.row(i))


def test_long_series_are_worked_on_in_parts(walk, agree, monkeypatch):
    """Parts inside of one call change nothing either."""
    bars = Bars.of(walk(11, 500))
    for config in CONFIGS:
        with monkeypatch.context() as patch:
            whole = measure(bars, config)
            patch.setattr(atr, "_PART", 60)
            parts = measure(bars, config)
        assert parts.first == whole.first
        for i in range(whole.first, 500):
            agree(parts.row(i), whole.row(i))


def test_bad_input_is_named(walk):
    """Codes that are none, columns of another length, what is no Bars, chunks that do not go on."""
    bars = Bars.of(walk(12, 60))
    readings = measure(bars)
    for account, condition, field in (
        ("IRA", None, "account"),
        (["GEN"] * 59 + ["IRA"], None, "account[59]"),
        ([0] * 59 + [3], None, "account[59]"),
        ([0] * 59 + [UNKNOWN], None, "account[59]"),
        (["GEN"] * 59, None, "account"),
        ("GEN", "sideways", "condition"),
        ("GEN", [0] * 59 + [7], "condition[59]"),
        ("GEN", [-1] * 60, "condition[0]"),
        ("GEN", [0], "condition"),
    ):
        with pytest.raises(InputError) as caught:
            adjust(readings, account, condition)
        assert caught.value.field == field
    with pytest.raises(InputError, match=r"Bars\.of"):
        measure(walk(12, 60))
    with pytest.raises(InputError, match=r"time\[0\]"):
        list(measure_chunks([bars.part(0, 40), bars.part(39)]))
    assert set(readings.regime.tolist()) <= {*range(len(ATRRegime)), UNKNOWN}
