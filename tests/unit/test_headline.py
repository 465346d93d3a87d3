"""What the headline says of a change: the effects sum to it, and who is named did most of it."""

from decimal import Decimal

import pandas as pd
import pytest

from dashboard.headline import behind, effects


def products(*rows: tuple[str, str, int, int]) -> pd.DataFrame:
    """Products with net sales, units sold and units returned."""
    return pd.DataFrame(
        [(name, Decimal(worth), Decimal(sold), Decimal(back)) for name, worth, sold, back in rows],
        columns=["product_id", "net_sales", "units_sold", "returned_units"],
    )


def test_a_higher_price_is_no_volume() -> None:
    parts = effects(products(("a", "120.00", 10, 0)), products(("a", "100.00", 11, 1)))
    assert parts == {"volume": Decimal("0.00"), "price": Decimal("20.00"), "mix": Decimal("0.00")}


def test_twice_as_much_of_everything_is_volume() -> None:
    before = (("a", "100.00", 10, 0), ("b", "30.00", 1, 0))
    parts = effects(products(("a", "200.00", 20, 0), ("b", "60.00", 2, 0)), products(*before))
    assert parts == {"volume": Decimal("130.00"), "price": Decimal("0.00"), "mix": Decimal("0.00")}


def test_dearer_products_than_before_are_mix_and_the_three_sum_to_the_change() -> None:
    parts = effects(
        products(("a", "30.00", 3, 0), ("b", "210.00", 7, 0), ("new", "5.55", 1, 0)),
        products(("a", "70.00", 7, 0), ("b", "90.00", 3, 0), ("gone", "1.11", 1, 0)),
    )
    assert parts["price"] == 0
    assert parts["volume"] == 0
    assert sum(parts.values()) == Decimal("84.44")


def test_what_was_given_away_or_only_came_back_has_no_price() -> None:
    parts = effects(products(("a", "-10.00", 0, 1)), products(("a", "0.00", 0, 0)))
    assert parts == {"volume": Decimal(0), "price": Decimal(0), "mix": Decimal("-10.00")}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("100", ("product", "kettle", Decimal(60))),
        ("-40", ("region", "South", Decimal(-20))),
    ],
)
def test_the_most_specific_who_did_half_is_named(change: str, named: tuple[str, str, Decimal]) -> None:
    changes = {
        "product": {"kettle": Decimal(60), "pan": Decimal(-15)},
        "region": {"North": Decimal(90), "South": Decimal(-20)},
    }
    assert behind(changes, Decimal(change)) == named


def test_where_nobody_did_half_it_is_who_did_most_of_all() -> None:
    changes = {
        "product": {"kettle": Decimal(10), "pan": Decimal(5)},
        "region": {"North": Decimal(20), "South": Decimal(-50)},
        "channel": {"only": Decimal(100)},  # who is alone explains nothing
    }
    assert behind(changes, Decimal(100)) == ("region", "North", Decimal(20))
    assert behind({"channel": {"only": Decimal(100)}}, Decimal(100)) is None
