"""Reports: a saved view by mail on a schedule, as a letter with its figures on paper and in a workbook.

A report is issued once for each moment of its schedule, however many processes find it due: a constraint sees to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo, available_timezones

import structlog
from sqlalchemy.exc import IntegrityError

from dashboard import database, filters, letter, notify, queries, saved
from dashboard.database import Problem, Unavailable
from dashboard.filters import View
from dashboard.headline import Links
from dashboard.measures import CARDS, MEASURES, Measure, Writer
from dashboard.periods import Span
from dashboard.settings import settings

SCHEDULES = ("daily", "weekly", "monthly")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DAY = timedelta(days=1)
PATIENCE = timedelta(hours=3)  # for the sales of the day before, of which a sheet may still be on its way
MOST_RECIPIENTS = 50
ALWAYS = datetime.min.replace(tzinfo=UTC)
NO_FIGURES = {"pipeline"}  # pages that no filter narrows: a report of them would have nothing to say

log = structlog.get_logger()


class NotKept(Exception):
    """A report cannot be kept so; the message says why."""


@dataclass(frozen=True)
class Report:
    """One row of dashboard.reports, with the page and the parameters of its view; none where the view is deleted."""

    name: str
    view_id: int | None
    schedule: str
    hour: int
    time_zone: str
    recipients: tuple[str, ...]
    weekday: int | None = None  # 1: Monday
    month_day: int | None = None
    enabled: bool = True
    since: datetime = ALWAYS  # what was due before is not made up for
    created_by: str | None = None
    report_id: int | None = None
    view_name: str | None = None
    page: str | None = None
    query: str | None = None
    last_due_at: datetime | None = None

    def due(self, now: datetime) -> datetime:
        """The last moment of the schedule that is not after `now`."""
        day = self._local(now)
        return next(at for at in (self._at(day - offset * DAY) for offset in range(63)) if at and at <= now)

    def next_due(self, now: datetime) -> datetime:
        """The first moment of the schedule after `now`."""
        day = self._local(now)
        return next(at for at in (self._at(day + offset * DAY) for offset in range(63)) if at and at > now)

    def day_before(self, moment: datetime) -> date:
        """The day before that of a moment, where the report is read."""
        return self._local(moment) - DAY

    def _local(self, moment: datetime) -> date:
        return moment.astimezone(ZoneInfo(self.time_zone)).date()

    def _at(self, day: date) -> datetime | None:
        """The moment of a day at which it is due, if it is due on that day."""
        if self.schedule == "weekly" and day.isoweekday() != self.weekday:
            return None
        if self.schedule == "monthly":
            last = ((day.replace(day=1) + 31 * DAY).replace(day=1) - DAY).day
            if day.day != min(self.month_day or 1, last):
                return None
        return datetime(day.year, day.month, day.day, self.hour, tzinfo=ZoneInfo(self.time_zone)).astimezone(UTC)


def issue(now: datetime | None = None) -> float | None:
    """Issue every report that is due, and return the seconds until the next one may be.

    Raises Unavailable: when nothing can be read, or for one report after all the others have been looked at.
    """
    now = now or datetime.now(UTC)
    waits: list[datetime] = []
    failed: Unavailable | None = None
    for report in [report for report in reports() if report.enabled]:
        try:
            waits.append(_issue(report, now))
        except Unavailable as error:
            if error.problem is Problem.DOWN:
                raise
            log.warning("report_not_issued", report_id=report.report_id, error=str(error))
            failed = error
        except IntegrityError:
            log.info("report_is_gone", report_id=report.report_id)  # deleted meanwhile
    if failed:
        raise failed
    return max((min(waits) - now).total_seconds(), 1) if waits else None


def _issue(report: Report, now: datetime) -> datetime:
    """Issue a report if it is due, and return when to look again; at every version it is looked at anyway."""
    due = report.due(now)
    if due >= report.since and not (report.last_due_at and report.last_due_at >= due):
        if now < due + PATIENCE and not _day_before_is_complete(report, due):
            return min(due + PATIENCE, report.next_due(now))
        if database.write("issue_report", report_id=report.report_id, due_at=due):
            log.info("report_issued", report_id=report.report_id, due_at=due.isoformat())
    return report.next_due(now)


def send_now(report_id: int) -> None:
    """Issue a report outside of its schedule."""
    database.write("issue_report", report_id=report_id, due_at=None)


def message(issue_id: int) -> notify.Message:
    """The mail of a report that was issued, of the figures as they are now.

    Raises notify.Undeliverable, where there is no such view any more, and Unavailable.
    """
    rows = database.read("report_issue", issue_id=issue_id)
    if not rows:
        raise notify.Undeliverable("the report is deleted")
    [row] = rows
    report, view = _report(row), _view(_report(row))
    assert report.query is not None
    written = _letter(report.name, report.page or "", report.query, view, _note(report, view, row["due_at"]))
    return notify.Message(
        message_id=f"report-{issue_id}",
        subject=f"{report.name}: {view.span}",
        text=written.text,
        link=_links(report.query).address(report.page or "") or None,
        html=written.html,
        attachments=written.files,
    )


@lru_cache(maxsize=2)  # the recipients of a report get the same letter
def _letter(name: str, page: str, query: str, view: View, note: str) -> letter.Letter:
    writer = Writer(settings().number_style, view.scope.currency)
    return letter.write(view, _measures(page, query), writer, _links(query), name=name, page=page, note=note)


def _links(query: str) -> Links:
    address = settings().public_url
    return Links(tuple(saved.known(parse_qsl(query))), f"{str(address).rstrip('/')}/" if address else None)


def _measures(page: str, query: str) -> tuple[Measure, ...]:
    """Those that a view of Explore has chosen, else those of the Overview's cards."""
    chosen = [value for name, value in parse_qsl(query) if name == "measures"] if page == "explore" else []
    found = tuple(each for each in MEASURES.values() if each.label in chosen or each.name in chosen)
    return found or CARDS


def _view(report: Report) -> View:
    """The view of the report as it is now, of complete days; raises notify.Undeliverable where there is none."""
    if report.query is None or report.page not in saved.PAGES:
        raise notify.Undeliverable("its saved view is deleted")
    version = database.read("freshness")[0]["mart_version"]
    currencies = queries.currencies(version)
    if currencies.empty:
        raise notify.Undeliverable("there are no sales yet")
    view, missing = filters.of_parameters(version, currencies, saved.known(parse_qsl(report.query)))
    if missing:
        # Without a filter it would tell other figures than those that were asked for, under the same name.
        raise notify.Undeliverable(f"its saved view asks for something that is not here: {', '.join(missing)}")
    return view


def _day_before_is_complete(report: Report, due: datetime) -> bool:
    try:
        return _view(report).complete >= report.day_before(due)
    except notify.Undeliverable:
        return True  # no use in waiting; the delivery says what is wrong


def _note(report: Report, view: View, due: datetime) -> str:
    """A sentence where the day before is missing."""
    day = report.day_before(due)
    if view.complete >= day:
        return ""
    return (
        f"Sales of {day:%A} {Span(day, day)} are not complete: the day is in progress, or had none. "
        f"Figures are of complete days, to {Span(view.complete, view.complete)}."
    )


def reports() -> list[Report]:
    """Every report by its name, as they are now."""
    return [_report(row) for row in database.read("reports")]


def outcomes() -> dict[int, list[dict[str, Any]]]:
    """The fate of the last issue of each report, a row for each recipient.

    issued_at, by_hand, recipient, attempts, delivered_at, next_attempt_at, error.
    """
    found: dict[int, list[dict[str, Any]]] = {}
    for row in database.read("report_log"):
        found.setdefault(row["report_id"], []).append(row)
    return found


def views() -> list[saved.SavedView]:
    """The saved views that a report can be of."""
    return [view for view in saved.views() if view.page not in NO_FIGURES]


def save(report: Report) -> None:
    """Keep a report, or change it where it is one already; what was due before now is not made up for.

    Raises NotKept, saved.NotSavable, and sqlalchemy.exc.IntegrityError where its name is taken.
    """
    if report.view_id is None:
        raise NotKept("Choose a saved view.")
    if report.time_zone not in available_timezones():
        raise NotKept("There is no such time zone. Write it as Europe/Berlin.")
    kept: dict[str, Any] = {
        "name": saved.clean(report.name), "view_id": report.view_id, "schedule": report.schedule,
        "weekday": report.weekday, "month_day": report.month_day, "hour": report.hour, "time_zone": report.time_zone,
        "recipients": list(recipients(", ".join(report.recipients), needed=True)),
    }  # fmt: skip
    if report.report_id is None:
        database.write("save_report", **kept, created_by=report.created_by)
    else:
        database.write("change_report", **kept, report_id=report.report_id)


def enable(report_id: int, enabled: bool) -> None:
    """Switch a report on or off."""
    database.write("enable_report", report_id=report_id, enabled=enabled)


def delete(report_id: int) -> None:
    """Forget a report and its log."""
    database.write("delete_report", report_id=report_id)


def recipients(written: str, *, needed: bool = False) -> tuple[str, ...]:
    """The addresses in a text with commas, spaces or lines between them; raises NotKept where one is not allowed."""
    found = tuple(dict.fromkeys(written.replace(",", " ").replace(";", " ").split()))
    refused = [each for each in found if not settings().allows(each)]
    if refused:
        raise NotKept(f"Mail may not go to {', '.join(refused)}. {allowed()}")
    if needed and not found:
        raise NotKept("Say who gets it.")
    if len(found) > MOST_RECIPIENTS:
        raise NotKept(f"That is more than {MOST_RECIPIENTS} addresses.")
    return found


def allowed() -> str:
    """Where the operator lets mail be sent, in a sentence."""
    known = settings()
    places = [each if "@" in each[1:] else f"anybody at {each.removeprefix('@')}" for each in known.mail_allowed]
    listed = list(dict.fromkeys([*known.alert_email_to, *places]))
    if not listed:
        return "No address is allowed on this server yet: whoever runs it sets them (DASHBOARD_MAIL_ALLOWED)."
    return f"Whoever runs this server allows: {', '.join(listed)}."


def when(report: Report) -> str:
    """Its schedule in words: `Every Monday at 07:00, Europe/Berlin`."""
    day = {
        "daily": "Every day",
        "weekly": f"Every {WEEKDAYS[(report.weekday or 1) - 1]}",
        "monthly": f"On day {report.month_day} of every month",
    }[report.schedule]
    return f"{day} at {report.hour:02}:00, {report.time_zone}"


def _report(row: Mapping[str, Any]) -> Report:
    return Report(
        **{name: row[name] for name in Report.__dataclass_fields__} | {"recipients": tuple(row["recipients"])}
    )
