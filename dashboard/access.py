"""The viewer, and the role of the database that they read as. PostgreSQL grants what a role may read.

People sign in by OpenID Connect where Streamlit's `[auth]` is configured; each of them may see totals, save views and
keep alerts and reports, and what else the roles in their identity token say. Elsewhere everybody is anonymous.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit import config
from streamlit.runtime.secrets import secrets_singleton

from dashboard.settings import Settings, settings

# By what is seen beyond totals. NOBODY is PostgreSQL's word for no role at all, and the login alone may read nothing.
READERS = {
    frozenset[str](): "dashboard_viewer",
    frozenset({"customers"}): "dashboard_customers",
    frozenset({"rejects"}): "dashboard_rejects",
    frozenset({"customers", "rejects"}): "dashboard_full",
}
VIEWER = READERS[frozenset()]
NOBODY = "none"
CLOCK_SKEW_SECONDS = 300

RESTRICTED = {
    "customers": "Customers and who bought what are shown to people with the role `customers`.",
    "rejects": "Rejected rows, as they stand in the files, are shown to people with the role `rejects`.",
    "editor": "Views, alerts, reports, targets and notes are kept by people who have signed in.",
}


class Door(Enum):
    """The page for somebody who is not let in."""

    SIGN_IN = "Sign in to see the sales figures."
    SIGN_IN_AGAIN = "You signed in a while ago. Sign in again to go on."
    CLOSED = "Signing in is required here, and is not configured, or its configuration cannot be read."


@dataclass(frozen=True)
class Rights:
    """The rights of the viewer of this session; `name` is None for somebody who has not signed in.

    `person` is what tells people apart, the subject of their token: others may bear the same name, and names change.
    """

    name: str | None
    roles: frozenset[str]
    person: str | None = None

    @property
    def customers(self) -> bool:
        return "customers" in self.roles

    @property
    def rejects(self) -> bool:
        return "rejects" in self.roles

    @property
    def editor(self) -> bool:
        return "editor" in self.roles

    @property
    def reader(self) -> str:
        """The role of the database to read as."""
        return READERS[self.roles & {"customers", "rejects"}]


def rights() -> Rights | Door:
    """The rights of the session that asks."""
    return judge(st.user.to_dict(), settings(), sign_in=sign_in_configured(), now=datetime.now(UTC))


def judge(user: Mapping[str, Any], configured: Settings, *, sign_in: bool | None, now: datetime) -> Rights | Door:
    """The rights that the claims of an identity token, or their absence, give.

    `user` is Streamlit's: the claims, and `is_logged_in`; `sign_in` is what `sign_in_configured` says. A sign-in counts
    for so many hours after it was made, so that a role that was taken away does not last as long as Streamlit's cookie,
    which is thirty days.
    """
    if not sign_in:
        closed = configured.require_login or sign_in is None
        return Door.CLOSED if closed else Rights(None, frozenset(configured.anonymous_roles))
    if user.get("is_logged_in") is not True:
        return Door.SIGN_IN
    issued = user.get("iat")
    if not isinstance(issued, int | float) or isinstance(issued, bool):
        return Door.SIGN_IN
    age = now.timestamp() - issued
    if not -CLOCK_SKEW_SECONDS <= age <= configured.sign_in_hours * 3600:
        return Door.SIGN_IN_AGAIN
    name = next((str(user[claim]) for claim in ("email", "name", "preferred_username", "sub") if user.get(claim)), "?")
    granted = _claimed(user, configured.roles_claim) & {"customers", "rejects"}
    return Rights(name, granted | {"editor"}, str(user["sub"]) if user.get("sub") else None)


def reader() -> str:
    """The role of the database for what only some may see, by who is looking."""
    return who.reader if isinstance(who := rights(), Rights) else NOBODY


def may(part: str) -> bool:
    """Whether the viewer has this role: customers, rejects or editor. What may be read is PostgreSQL's to decide."""
    return isinstance(who := rights(), Rights) and part in who.roles


def person() -> str | None:
    """The key that tells the viewer from all others; None for somebody who has not signed in."""
    return who.person if isinstance(who := rights(), Rights) else None


def explain(part: str) -> None:
    """Say in the place of what is not shown why it is not."""
    st.info(RESTRICTED[part], icon=":material/lock:")


def sign_in_configured() -> bool | None:
    """Whether Streamlit's secrets have the section [auth]; None where there should be secrets that cannot be read."""
    if secrets_singleton.load_if_toml_exists():
        return "auth" in secrets_singleton
    named = config.is_manually_set("secrets.files")
    return None if named or any(Path(path).exists() for path in config.get_option("secrets.files")) else False


def let_in() -> bool:
    """Whether the viewer may see anything; if not, the page says what to do."""
    door = rights()
    if isinstance(door, Rights):
        return True
    with st.container(horizontal_alignment="center", key="door"), st.container(width=420, border=True):
        st.title("Sales dashboard", anchor=False)
        if door is Door.CLOSED:
            st.error(f"**{door.value}** See `[auth]` in Streamlit's secrets.", icon=":material/lock:")
        else:
            st.markdown(door.value)
            st.button("Sign in", on_click=st.login, type="primary", icon=":material/login:", width="stretch")
    return False


def account() -> None:
    """The name of the viewer, and the way out; nothing where nobody signs in."""
    who = rights()
    if isinstance(who, Rights) and who.name is not None:
        with st.popover("", icon=":material/account_circle:", type="tertiary", help="Account", key="account"):
            st.text(who.name)
            seen = [word for word in ("customers", "rejects") if word in who.roles]
            st.caption(f"Sees totals{''.join(f', {word}' for word in seen)}")
            st.button("Sign out", on_click=st.logout, icon=":material/logout:", key="sign-out")


def _claimed(user: Mapping[str, Any], claim: str) -> frozenset[str]:
    """The values of a claim by its name, else by its path: Keycloak has `realm_access.roles`."""
    value: Any = user.get(claim)
    if value is None:
        value = user
        for step in claim.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return frozenset(value.replace(",", " ").split())
    return frozenset(each for each in value if isinstance(each, str)) if isinstance(value, list) else frozenset()
