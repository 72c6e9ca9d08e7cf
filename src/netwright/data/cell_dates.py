"""Dates as tables have them, to days since 1970. No NumPy at import."""

from datetime import UTC, datetime

_FORMS = ("%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%d-%b-%Y")
_LEAST = 8  # letters: "2018/1/5"
DAY_SECONDS = 86_400.0


def as_days(cell: str) -> float | None:
    """Return the days since 1970-01-01 that a cell says, or None; a time of day is a fraction.

    ISO 8601, year first with slashes, 31.12.2020, 12/31/2020 (the month first) and 31-Dec-2020. Without a zone it is
    taken for UTC: what counts is that all are taken alike."""
    text = cell.strip()
    if len(text) < _LEAST or not any(letter.isdigit() for letter in text[:2]):
        return None
    found = _parsed(text)
    if found is None:
        return None
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return found.timestamp() / DAY_SECONDS


def _parsed(text: str) -> datetime | None:
    if not text.isdecimal():  # 20181015 is a number
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    for form in _FORMS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
