"""`/docs`: what `/openapi.json` and `/asyncapi.json` describe, for people, without a line of JavaScript."""

from collections.abc import Iterable, Mapping
from html import escape
from itertools import groupby
from typing import Any, Final

from stability.http.asyncapi import EVENTS
from stability.http.pages import POLICY

HEADERS: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": POLICY}
_Schema = Mapping[str, Any]

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>API · Stability</title>
<link rel="icon" href="favicon.svg" type="image/svg+xml"><link rel="stylesheet" href="page.css"></head>
<body class="docs"><header class="top"><h1>Stability: API</h1>
<nav class="quiet" aria-label="For programs"><a href="openapi.json">OpenAPI</a>
<a href="asyncapi.json">AsyncAPI</a></nav></header><main>
{operations}
<section class="card" aria-labelledby="events"><header><h2 id="events">Events of the streams</h2></header>
{events}</section>
<section class="card" aria-labelledby="shapes"><header><h2 id="shapes">Shapes</h2></header>
{shapes}</section>
</main><footer><nav aria-label="Pages"><a href=".">The page</a></nav></footer></body></html>
"""


def page(document: Mapping[str, Any]) -> str:
    """The page about what this OpenAPI document describes."""
    asked = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    asked.sort(key=_group)  # keeps the paths in order
    sections = (
        f'<section class="card" aria-label="{escape(tag)}"><header><h2>{escape(tag)}</h2></header>'
        f"{''.join(_operation(*each) for each in group)}</section>"
        for tag, group in groupby(asked, _group)
    )
    shapes = (
        f'<h3 id="{escape(name)}">{escape(_named(name))}</h3>'
        f"<p>{escape(schema.get('description', ''))}</p>{_fields(schema)}"
        for name, schema in sorted(document["components"]["schemas"].items())
    )
    events = _table(
        ("Event", "What it says", "Data"),
        (
            (f"<code>{name}</code>", escape(title), ", ".join(data.get("properties", ())))
            for name, (title, data) in EVENTS.items()
        ),
    )
    return _PAGE.format(operations="\n".join(sections), events=events, shapes="\n".join(shapes))


def _group(asked: tuple[str, str, _Schema]) -> str:
    return str(asked[2].get("tags", ["Other"])[0])


def _operation(path: str, method: str, operation: _Schema) -> str:
    token = "<p>Needs the token.</p>" if "security" in operation else ""
    parameters = _table(
        ("Parameter", "In", "Type", "Default", "What it is"),
        (
            (
                f"<code>{escape(each['name'])}</code>",
                each["in"],
                _kind(each["schema"]),
                _otherwise(each["schema"]),
                escape(each.get("description", "")),
            )
            for each in operation.get("parameters", ())
        ),
    )
    body = operation.get("requestBody")
    answers = _table(
        ("Status", "Answer", "Type"),
        (
            (f"<code>{status}</code>", escape(answer["description"]), _content(answer))
            for status, answer in operation["responses"].items()
        ),
    )
    return (
        f'<details id="{operation["operationId"]}"><summary><code>{method.upper()} {escape(path)}</code> '
        f"{escape(operation['summary'])}</summary>{token}{parameters}"
        f"{f'<p>Body: {_content(body)}</p>' if body else ''}{answers}</details>"
    )


def _content(told: _Schema) -> str:
    return ", ".join(f"{escape(media)}: {_kind(one['schema'])}" for media, one in told.get("content", {}).items())


def _fields(schema: _Schema) -> str:
    if "properties" not in schema:
        return f"<p>{_kind(schema)}</p>"
    required = schema.get("required", ())
    return _table(
        ("Field", "Type", ""),
        (
            (f"<code>{escape(name)}</code>", _kind(field), "" if name in required else "optional")
            for name, field in schema["properties"].items()
        ),
    )


def _kind(schema: _Schema) -> str:
    """What a value is, in words; what has a shape of its own leads there."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f'<a href="#{escape(name)}">{escape(_named(name))}</a>'
    if several := schema.get("anyOf"):
        return " or ".join(map(_kind, several))
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in values)
    return _plain(schema)


def _plain(schema: _Schema) -> str:
    kind, values = schema.get("type", "anything"), schema.get("additionalProperties")
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if kind == "object" and isinstance(values, dict):
        return f"object of {_kind(values)}"
    if schema.get("format") == "date-time":
        return "time"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _otherwise(schema: _Schema) -> str:
    default = schema.get("default")
    return "" if default in {None, ""} else f"<code>{escape(str(default))}</code>"


def _named(name: str) -> str:
    """A model whose name others have as well bears its module's."""
    return " ".join(part for part in name.replace("stability__", "").split("__") if part not in {"api", "http"})


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    head = "".join(f"<th>{head}</th>" if head else "<td></td>" for head in heads)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>' if lines else ""
    )
