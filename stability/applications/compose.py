"""Where an application's compose file lies, and what compose calls its project."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stability.applications.settings import ApplicationSettings

_SLUG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def is_slug(text: str) -> bool:
    """Whether it may be a part of a path."""
    return bool(_SLUG.fullmatch(text))


def normalised(project: str) -> str:
    """The project's name as compose makes it: lower case, letters, digits, - and _, no sign in front."""
    return re.sub(r"[^a-z0-9_-]", "", project.lower()).lstrip("_-")


@dataclass(frozen=True, slots=True)
class Places:
    """Where an application's compose file lies, and what its project is called, by the settings' templates."""

    root: Path | None
    file: str
    name: str

    @classmethod
    def of(cls, settings: ApplicationSettings) -> "Places":
        """Those of the settings."""
        return cls(settings.applications_root, settings.applications_file, settings.applications_project)

    def project(self, model_slug: str, app_number: int) -> str:
        """What its containers are labelled with."""
        return normalised(_filled(self.name, model_slug, app_number))

    def has_file(self, model_slug: str, app_number: int) -> bool | None:
        """Whether there is a compose file; None where nobody can say.

        Wherever symbolic links lead, it has to lie in the root.
        """
        if self.root is None:
            return None
        if not is_slug(model_slug) or app_number < 0:
            return False
        try:
            root = self.root.resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        try:
            file = (root / _filled(self.file, model_slug, app_number)).resolve(strict=True)
            return file.is_relative_to(root) and file.is_file()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, RuntimeError):  # a loop of links is the latter up to Python 3.12
            return None


def _filled(template: str, model_slug: str, app_number: int) -> str:
    return template.replace("{app_number}", str(app_number)).replace("{model_slug}", model_slug)
