"""What the doctor found, for people line by line, or for programs as one JSON document."""

import json
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.text import Text

from stability.doctor.finding import Finding

_MARKS: Final = {
    "ok": ("✔", "green"),
    "unknown": ("?", "bright_black"),
    "warning": ("!", "yellow"),
    "problem": ("✘", "red"),
}


class Report:
    """Takes findings one by one; people see each at once."""

    def __init__(self, console: Console, *, as_json: bool) -> None:
        self._console, self._as_json = console, as_json
        self._findings: list[Finding] = []

    def tell(self, finding: Finding) -> None:
        """One more."""
        self._findings.append(finding)
        if self._as_json:
            return
        mark, colour = _MARKS[finding.level]
        self._console.print(Text.assemble((f"{mark} {finding.level:<9}", colour), finding.fact), soft_wrap=True)
        if finding.remedy:
            self._console.print(Text(f"  {'remedy':<9}{finding.remedy}"), soft_wrap=True)

    def end(self) -> int:
        """Print the verdict; the exit status is 1 when there is a problem."""
        problems, warnings = self._number("problem"), self._number("warning")
        if self._as_json:
            said = {"problems": problems, "warnings": warnings, "findings": [asdict(found) for found in self._findings]}
            self._console.print_json(json.dumps(said))
        else:
            self._console.print(f"\n{self._verdict(problems, warnings)}")
        return 1 if problems else 0

    def _verdict(self, problems: int, warnings: int) -> str:
        if problems or warnings:
            return f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}."
        return f"Everything{' that could be seen' if self._number('unknown') else ''} is in order."

    def _number(self, level: str) -> int:
        return sum(finding.level == level for finding in self._findings)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
