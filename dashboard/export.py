"""DataFrame to a CSV file that a spreadsheet can open without running anything."""

import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """UTF-8 CSV with a byte order mark; text that a spreadsheet would take for a formula starts with an apostrophe."""
    return frame.map(_inert).to_csv(index=False).encode("utf-8-sig")


def _inert(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
