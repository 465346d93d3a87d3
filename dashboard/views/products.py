"""Products: what sells most, what most sales come from, why a month differs, what sells together, and ratings."""

from datetime import date
from decimal import Decimal
from functools import partial

import pandas as pd
import streamlit as st

from dashboard import charts, explain, export, filters, links, panels, queries
from dashboard.filters import View
from dashboard.measures import MEASURES, Kind, Writer
from dashboard.settings import settings

LEADERS = 10
PARETO_PRODUCTS = 100  # bars, which are thinner than a pixel beyond
DRIVERS = 10
PAIRS = 15
RATED = 10
COMPARISONS = {"previous_month": "Month before", "last_year": "Year before"}


def page() -> None:
    """Draw the page for the view that the filters describe."""
    view = filters.chosen()
    writer = Writer(settings().number_style, view.scope.currency)
    names = queries.product_names(view.version)
    meaning = queries.descriptions(view.version)
    sellers = {"value": MEASURES["net_sales"], "units": MEASURES["units_sold"]}
    explain.panel(
        view,
        explain.measures(view, sellers.values(), "product") | {"classes": partial(_explain_classes, view)},
    )
    st.caption("Click a bar to keep only that product everywhere; click it again to show all.")
    for place, (by, measure) in zip(st.columns(2), sellers.items(), strict=True):
        with place.container(border=True, height="stretch"):
            title = f"Top sellers by {by}"
            panels.leaderboard(view, "product", measure, writer, LEADERS, title=title)
            explain.button(measure.name, title)
    with st.container(border=True):
        _pareto(view, meaning, writer)
    with st.container(border=True):
        _bridge(view, names, meaning, writer)
    left, right = st.columns([3, 2])
    with left.container(border=True, height="stretch"):
        _pairs(view, names, writer)
    with right.container(border=True, height="stretch"):
        _ratings(view, names, meaning, writer)


def _pareto(view: View, meaning: dict[str, str], writer: Writer) -> None:
    classes = queries.product_classes(view.version, view.scope.currency)
    st.subheader("What most sales come from", anchor=False, help=meaning.get("kpi_product_abc.abc_class"))
    if classes.empty or classes["sales_share"].isna().all():
        st.caption("No product has earned anything in the latest twelve months.")
        return
    last_month = classes["last_month"].iloc[0]
    st.caption(f"Net sales of the twelve months to {last_month:%B %Y}, by product. {_reach(view)}")
    left, right = st.columns([6, 1], vertical_alignment="center")
    with right, st.grid(3, min_column_width=95, key="classes"):
        for row in classes.to_dict("records"):
            st.metric(
                f"{row['abc_class']} products",
                writer.number(Decimal(row["products"]), 0),
                f"{writer.write(row['sales_share'], Kind.SHARE)} of sales",
                delta_color="off",
                delta_arrow="off",
                help=f"{writer.write(row['product_share'], Kind.SHARE)} of the products made "
                f"{filters.escape(writer.write(row['net_sales'], Kind.MONEY))}. "
                + meaning.get("kpi_product_abc.abc_class", ""),
            )
    products = queries.product_abc(view.version, view.scope.currency, PARETO_PRODUCTS)
    with left:
        spec = charts.pareto(products, writer)
        panels.draw(spec, "Net sales by product and their cumulative share", key="pareto", height=300)
        if sum(classes["products"]) > len(products):
            st.caption(f"The first {PARETO_PRODUCTS} products are drawn.")
    explain.button("classes", "Classes")


def _explain_classes(view: View) -> explain.Source:
    return explain.of_statement(
        view,
        "Classes of products",
        "kpi_product_abc.abc_class",
        "The figures of a class are `products` and `sales_share` of its row.",
        "product_classes",
        currency=view.scope.currency,
    )


def _bridge(view: View, names: dict[str, str], meaning: dict[str, str], writer: Writer) -> None:
    months = queries.bridge_months(view.version, view.scope.currency)
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.subheader("Price, volume or mix", anchor=False, width="content")
        offered = [comparison for comparison in COMPARISONS if comparison in months]
        if offered:
            with st.container(horizontal=True, vertical_alignment="bottom", width="content"):
                comparison = links.choose(
                    st.selectbox, "Compare the month with", offered, format_func=COMPARISONS.__getitem__, key="bridge",
                    width=170,
                )  # fmt: skip
                month = _month("Month", months[comparison], "bridge-month", view, whole=True)
    if not offered:
        st.caption("A month can be explained once the whole month before it lies in the history and has sales.")
        return
    frame = queries.bridge(view.version, view.scope.currency, month, comparison, DRIVERS)
    first = frame.iloc[0]
    before, now = first["total_base_net_sales"], first["total_net_sales"]
    base = _base(month, comparison)
    effects = {name: first[f"total_{name}_effect"] for name in ("volume", "price", "mix")}
    parts = ", ".join(f"{name} {writer.money(value, cents=True, signed=True)}" for name, value in effects.items())
    change = writer.money(now - before, cents=True, signed=True)
    running = ""
    if not first["is_month_complete"]:
        days, base_days = (first[name].day for name in ("last_day", "base_last_day"))
        running = f" {month:%B} runs: its {days} complete days stand beside the first {base_days} of {base:%B %Y}."
    st.caption(filters.escape(f"{month:%B %Y} against {base:%B %Y}: {change}, of it {parts}.{running} {_reach(view)}"))
    left, right = st.columns([2, 3])
    with left:
        spec = charts.waterfall(
            [
                (f"{base:%b %Y}", before, True),
                *((name.capitalize(), value, False) for name, value in effects.items()),
                (f"{month:%b %Y}", now, True),
            ],
            writer,
        )
        panels.draw(spec, "Net sales from month to month", key="waterfall", height=charts.height(spec) + 60)
        explain.button("change", "Change of the month")
        explain.panel(view, {"change": partial(_explain_change, view, month, comparison)})
        for name in effects:
            st.caption(f"**{name.capitalize()}**: {meaning.get(f'kpi_price_volume_mix.{name}_effect', '')}")
    with right:
        panels.table(
            frame.assign(product=_named(frame["product_id"], names)),
            {
                "product": st.column_config.TextColumn("Product", pinned=True, width="medium"),
                "net_sales_change": ("Change", Kind.MONEY),
                "volume_effect": ("Volume", Kind.MONEY),
                "price_effect": ("Price", Kind.MONEY),
                "mix_effect": ("Mix", Kind.MONEY),
                "net_sales": (f"{month:%b %Y}", Kind.MONEY),
                "base_net_sales": (f"{base:%b %Y}", Kind.MONEY),
            },
            writer,
            key="drivers",
            mart="kpi_price_volume_mix",
        )
        stamp = export.Stamp.apart(
            view.version,
            f"{month:%Y-%m}-against-{base:%Y-%m}",
            export.link(view.span, bridge=COMPARISONS[comparison], bridge_month=f"{month:%b %Y}"),
            ("Month", f"{month:%B %Y}"),
            ("Compared with", f"{base:%B %Y}"),
            ("Products", f"the {DRIVERS} that changed most"),
            ("Currency", view.scope.currency),
            export.UNFILTERED,
        )
        export.offer("product-changes", stamp, lambda: frame)
        if first["products"] > DRIVERS:
            st.caption(
                f"The {DRIVERS} products that changed most of {writer.number(Decimal(int(first['products'])), 0)}"
            )


def _explain_change(view: View, month: date, comparison: str) -> explain.Source:
    return explain.of_statement(
        view,
        f"Change of {month:%B %Y}",
        "kpi_price_volume_mix.net_sales_change",
        "The steps are `total_base_net_sales`, `total_volume_effect`, `total_price_effect`, `total_mix_effect` and "
        "`total_net_sales` of any row that this statement returns: the sums over all products.",
        "bridge",
        day=min(panels.last_day(view, month), view.complete),
        currency=view.scope.currency,
        month=month,
        comparison=comparison,
        limit=DRIVERS,
    )


def _pairs(view: View, names: dict[str, str], writer: Writer) -> None:
    months = queries.pair_months(view.version)
    st.subheader("Bought together", anchor=False)
    if not months:
        st.caption("No two products were bought together often enough yet.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        month = _month("Month", months, "pairs-month", view)
        by = links.choose(
            st.segmented_control, "Strongest by", ("Lift", "Orders"), default="Lift", required=True, key="pairs"
        )
    frame = queries.product_pairs(view.version, month, by == "Lift", PAIRS)
    st.caption(
        "Completed orders of every place and currency that hold both. The filters do not apply here."
        f"{panels.as_of(view, 'kpi_monthly_product_pairs')}"
    )
    panels.table(
        frame.assign(product_a=_named(frame["product_a"], names), product_b=_named(frame["product_b"], names)),
        {
            "product_a": "First",
            "product_b": "Second",
            "lift": ("Lift", Kind.RATIO),
            "orders": ("Orders", Kind.COUNT),
            "support": ("Support", Kind.SHARE),
            "confidence_a_to_b": ("First → second", Kind.SHARE),
            "confidence_b_to_a": ("Second → first", Kind.SHARE),
        },
        writer,
        key="pair-table",
        mart="kpi_product_pairs",
    )
    stamp = export.Stamp.apart(
        view.version,
        f"{month:%Y-%m}",
        export.link(view.span, pairs_month=f"{month:%b %Y}"),
        ("Month", f"{month:%B %Y}"),
        ("Pairs", f"the {PAIRS} strongest by {by.lower()}"),
        ("Currency", "every currency"),
        export.UNFILTERED,
    )
    export.offer("product-pairs", stamp, lambda: frame)
    explain.button("pairs", "Pairs")
    explain.panel(view, {"pairs": partial(_explain_pairs, view, month, by)})


def _explain_pairs(view: View, month: date, by: str) -> explain.Source:
    return explain.of_statement(
        view,
        "Bought together",
        "kpi_product_pairs.lift",
        f"A row of the table is a row that this statement returns. {explain.OF_EVERY_CURRENCY}",
        "product_pairs",
        day=panels.last_day(view, month),
        month=month,
        by_lift=by == "Lift",
        limit=PAIRS,
    )


def _ratings(view: View, names: dict[str, str], meaning: dict[str, str], writer: Writer) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Ratings", anchor=False, width="content", help=meaning.get("kpi_product_ratings.mean_rating"))
        order = links.choose(
            st.segmented_control, "Show first", ("Lowest", "Highest"), default="Lowest", required=True, key="rated",
            label_visibility="collapsed",
        )  # fmt: skip
    first, last = view.span.start.replace(day=1), view.span.end.replace(day=1)
    when = f"{last:%B %Y}" if first == last else f"{first:%B %Y} to {last:%B %Y}"
    best = order == "Highest"
    frame = queries.product_ratings(view.version, (first, last), at_least=panels.ENOUGH_RATINGS, best=best, limit=RATED)
    if frame.empty:
        st.caption(f"No product was rated {panels.ENOUGH_RATINGS} times in {when}.")
        return
    st.caption(
        f"Mean and distribution, {when}, of products rated {panels.ENOUGH_RATINGS} times or more. Whole months, every "
        "place and currency: the filters do not apply here."
    )
    spec = charts.ratings(frame.assign(product_name=_named(frame["product_id"], names)), writer)
    panels.draw(spec, "Customer ratings by product", key="ratings", height=charts.height(spec) + 30)
    explain.button("ratings", "Ratings")
    explain.panel(view, {"ratings": partial(_explain_ratings, view, first, last, best)})


def _explain_ratings(view: View, first: date, last: date, best: bool) -> explain.Source:
    return explain.of_statement(
        view,
        "Ratings",
        "kpi_product_ratings.mean_rating",
        "A bar is a row that this statement returns: `mean_rating`, and the shares of `ratings_1` to `ratings_5`. "
        f"{explain.OF_EVERY_CURRENCY}",
        "product_ratings",
        day=panels.last_day(view, last),
        first_month=first,
        last_month=last,
        at_least=panels.ENOUGH_RATINGS,
        best_first=best,
        limit=RATED,
    )


def _month(label: str, months: list[date], key: str, view: View, *, whole: bool = False) -> date:
    """A selectbox of months, newest first.

    At first it names the one in which the period ends; where a `whole` one is asked for, that before a running one.
    """
    names = [f"{month:%b %Y}" for month in months]
    here = view.span.end.replace(day=1)
    index = months.index(here) if here in months else 0
    if whole and months[index] == panels.running_month(view):
        index = min(index + 1, len(months) - 1)
    chosen = links.choose(st.selectbox, label, names, index=index, key=key, width=130)
    return months[names.index(chosen)]


def _base(month: date, comparison: str) -> date:
    if comparison == "last_year":
        return month.replace(year=month.year - 1)
    return month.replace(month=month.month - 1) if month.month > 1 else date(month.year - 1, 12, 1)


def _named(products: pd.Series, names: dict[str, str]) -> pd.Series:
    return products.map(lambda product: names.get(product) or product)


def _reach(view: View) -> str:
    """A hint beside figures of a mart without places, where the viewer might take them for filtered."""
    return f"All sales in {view.scope.currency}: the filters do not apply here." if view.filtered else ""


page()
