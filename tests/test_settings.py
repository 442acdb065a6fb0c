"""Settings come from the environment once, and a wrong one is one sentence with the variable and the remedy."""

from pathlib import Path

import pytest

from stability.errors import SettingError
from stability.settings import Settings, load

_VARIABLES = ("DATABASE_URL", "DATABASE_URL_FILE", "PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*_VARIABLES, *(f"STABILITY_{field.upper()}" for field in Settings.model_fields)):
        monkeypatch.delenv(name, raising=False)


def test_without_a_database_our_own_is_meant() -> None:
    """No DATABASE_URL and no PG* variable: the embedded Postgres."""
    assert load().conninfo is None


def test_the_url_wins_over_libpqs_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """DATABASE_URL first, then PG*; a driver in the scheme is dropped."""
    monkeypatch.setenv("PGHOST", "elsewhere")
    assert load().conninfo == ""
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://me@here/db")
    assert load().conninfo == "postgresql://me@here/db"


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """`DATABASE_URL=` in a compose file means what it looks like."""
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("STABILITY_TOKEN", "")
    assert load().conninfo is None
    assert load().token is None


def test_secrets_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """*_FILE reads a secret without its line end; the variable itself wins."""
    (tmp_path / "token").write_text("sesame\n")
    (tmp_path / "url").write_text("postgresql:///there\n")
    monkeypatch.setenv("STABILITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    token = load().token
    assert token is not None
    assert token.get_secret_value() == "sesame"
    assert load().conninfo == "postgresql:///there"


@pytest.mark.parametrize(
    ("name", "value", "telling"),
    [
        ("STABILITY_PORT", "8o42", "8o42"),
        ("STABILITY_PORT", "8o42", "it should be a whole number"),
        ("STABILITY_PORT", "70000", "65535"),
        ("STABILITY_REREAD_SECONDS", "-1", "0"),
        ("STABILITY_LOG_FORMAT", "xml", "logfmt"),
        ("STABILITY_ROOT_PATH", "status", "must begin with /"),
        ("STABILITY_ALLOWED_ORIGINS", "app.example", "https://app.example"),
        ("STABILITY_ALLOWED_ORIGINS", "*", "https://app.example"),
        ("STABILITY_TOKEN_FILE", "/nowhere/token", "/nowhere/token"),
        ("STABILITY_EXECUTION_DEADLINES", "RUNNING=soon", "'soon'"),
        ("STABILITY_EXECUTION_DEADLINES", "FINISHED=1d", "'RUNNING'"),
        ("STABILITY_HOST", "0.0.0.0", "STABILITY_TOKEN"),  # noqa: S104 -- the point
        ("STABILITY_HOST", "::", "STABILITY_TOKEN"),
        ("STABILITY_HOST", "localhost.example.org", "STABILITY_TOKEN"),
        ("STABILITY_HOST", "127.0.0.1.example.org", "STABILITY_TOKEN"),
    ],
)
def test_a_wrong_value_is_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str, telling: str) -> None:
    """The sentence names the variable, the value or what is wrong with it, and what to do."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError) as raised:
        load()
    assert raised.value.name == name
    assert telling in str(raised.value)
    assert "\n" not in str(raised.value)


def test_deadlines_of_executions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A status and a length of time each, in any case."""
    monkeypatch.setenv("STABILITY_EXECUTION_DEADLINES", "pending=1d, RUNNING=90s")
    assert load().execution_deadlines == (("PENDING", 86_400), ("RUNNING", 90))


def test_a_secret_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither errors nor the settings' own text show the token or the database's password."""
    monkeypatch.setenv("STABILITY_TOKEN", "sesame")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@here/db")
    assert not any(secret in repr(load()) for secret in ("sesame", "hunter2"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.4.2", "localhost", "::1"])
def test_loopback_needs_no_token(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """What only this machine reaches is open by default."""
    monkeypatch.setenv("STABILITY_HOST", host)
    assert load().host == host


def test_a_public_address_with_a_token_or_the_operators_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token makes it acceptable, and so does STABILITY_ALLOW_PUBLIC."""
    monkeypatch.setenv("STABILITY_HOST", "0.0.0.0")  # noqa: S104 -- the point
    assert load(token="sesame").token is not None
    assert load(allow_public=True).allow_public
