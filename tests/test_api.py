"""Whatever is sent to what `/openapi.json` describes, the answers are as it says."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.fixtures.server import Serving

FUZZER: Final = Path(sys.executable).with_name("schemathesis")
CONFIG: Final = Path(__file__).parent / "fixtures" / "schemathesis.toml"
TOKEN: Final = "sesame"


def fuzz(url: str, *options: str, examples: int = 15) -> None:
    """Send what it allows, and what it does not, with all checks on."""
    command = [str(FUZZER), "--config-file", str(CONFIG), "run", f"{url}/openapi.json", "--checks", "all"]
    # without an engine that one answers 503, as it should: tests/test_applications.py; streams do not end
    for path in ("/api/applications/refresh-all-statuses", "/api/live", "/api/system-status/live"):
        options = (*options, "--exclude-path", path)
    options = (*options, "--max-examples", str(examples))
    told = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout[-6000:] + told.stderr[-2000:]


def test_every_answer_is_as_described(serving: Serving) -> None:
    """Required, typed fields and no others; bad input refused, good input taken; no 500."""
    fuzz(serving.url)


def test_with_a_token_nobody_gets_in_without(start_server: Callable[..., Serving]) -> None:
    """The same with the token, and 401 where it is left out or wrong."""
    serving = start_server(STABILITY_TOKEN=TOKEN)
    fuzz(serving.url, "--header", f"Authorization: Bearer {TOKEN}", "--phases", "coverage", examples=1)
    described = httpx.get(f"{serving.url}/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if "security" in operation:
                answer = httpx.request(method.upper(), serving.url + path.replace("{", "").replace("}", ""))
                assert (answer.status_code, list(answer.json())) == (401, ["error"]), path


@pytest.mark.chaos
def test_every_answer_is_as_described_at_length(serving: Serving) -> None:
    """The same with many more examples."""
    fuzz(serving.url, examples=300)
