"""What the claims of an identity token allow, and settings that would open more than they say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from dashboard.access import READERS, Door, Rights, judge
from dashboard.settings import Settings

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
URL: dict[str, Any] = {"database_url": "postgresql://dashboard@localhost/sales"}


def claims(**given: Any) -> dict[str, Any]:
    return {"is_logged_in": True, "sub": "1", "iat": int(NOW.timestamp()), **given}


def judged(user: dict[str, Any], *, sign_in: bool | None = True, **settings: Any) -> Rights | Door:
    return judge(user, Settings(**URL, **settings), sign_in=sign_in, now=NOW)


@pytest.mark.parametrize(
    ("claim", "user", "roles"),
    [
        ("roles", {"roles": ["customers", "rejects"]}, {"customers", "rejects"}),
        ("roles", {"roles": ["customers", "admin", 7, None]}, {"customers"}),
        ("roles", {"roles": "customers,rejects"}, {"customers", "rejects"}),
        ("roles", {"roles": "rejects customers"}, {"customers", "rejects"}),
        ("roles", {"roles": "customers-of-another-shop"}, set()),
        ("roles", {"roles": {"customers": True}}, set()),
        ("roles", {"roles": ["editor"]}, set()),
        ("roles", {}, set()),
        ("realm_access.roles", {"realm_access": {"roles": ["rejects"]}}, {"rejects"}),
        ("realm_access.roles", {"realm_access": "rejects"}, set()),
        ("https://example.com/roles", {"https://example.com/roles": ["customers"]}, {"customers"}),
    ],
)
def test_roles_are_those_of_the_claim_that_are_known(claim: str, user: dict[str, Any], roles: set[str]) -> None:
    who = judged(claims(**user), roles_claim=claim)
    assert isinstance(who, Rights)
    assert who.roles == roles | {"editor"}, "who signed in may keep views"
    assert who.reader == READERS[frozenset(roles)]


@pytest.mark.parametrize(
    ("user", "door"),
    [
        ({}, Door.SIGN_IN),
        ({"email": "somebody@example.com", "roles": ["customers"]}, Door.SIGN_IN),
        ({"is_logged_in": "true", "iat": int(NOW.timestamp())}, Door.SIGN_IN),
        ({"is_logged_in": True, "sub": "1"}, Door.SIGN_IN),
        ({"is_logged_in": True, "sub": "1", "iat": True}, Door.SIGN_IN),
        (claims(iat=(NOW - timedelta(hours=12, seconds=1)).timestamp()), Door.SIGN_IN_AGAIN),
        (claims(iat=(NOW + timedelta(hours=1)).timestamp()), Door.SIGN_IN_AGAIN),
    ],
)
def test_whoever_has_not_signed_in_lately_stays_outside(user: dict[str, Any], door: Door) -> None:
    assert judged(user, anonymous_roles="customers,rejects,editor") is door


def test_where_nobody_signs_in_people_see_totals_unless_more_is_set() -> None:
    assert judged({}, sign_in=False) == Rights(None, frozenset())
    assert judged({"roles": ["customers"]}, sign_in=False) == Rights(None, frozenset())
    more = judged({}, sign_in=False, anonymous_roles="customers, editor")
    assert more == Rights(None, frozenset({"customers", "editor"}))


@pytest.mark.parametrize(("sign_in", "required"), [(False, True), (None, False), (None, True)])
def test_a_sign_in_that_is_required_or_broken_closes_the_dashboard(sign_in: bool | None, required: bool) -> None:
    assert judged({}, sign_in=sign_in, require_login=required, anonymous_roles="customers") is Door.CLOSED


@pytest.mark.parametrize(
    "given",
    [
        {"anonymous_roles": "customers,everything"},
        {"sign_in_hours": 0},
        {"alert_webhook_url": "file:///etc/passwd"},
        {"alert_smtp_host": "mail.example.com"},
        {
            "alert_smtp_host": "mail.example.com", "alert_smtp_password": "x", "alert_smtp_security": "none",
            "alert_email_from": "a@example.com", "alert_email_to": "b@example.com",
        },
    ],
)  # fmt: skip
def test_settings_that_say_something_else_than_they_do_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**URL, **given)
