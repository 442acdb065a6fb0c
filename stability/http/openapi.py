"""`/openapi.json`: every operation as its models describe it, for people, generated clients and fuzzers."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, TypeAdapter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from stability import __version__
from stability.http import docs
from stability.http.access import is_open
from stability.http.operations import JSON_SCHEMA, Described, Error, Media, Operation

_Mode: TypeAlias = Literal["validation", "serialization"]
_References: TypeAlias = Mapping[tuple[Any, _Mode], Mapping[str, Any]]


def operations(others: Sequence[Operation], *, protected: bool) -> Sequence[Operation]:
    """`GET /openapi.json`, and the same for people at `/docs`; `protected` says that the others need a token."""

    async def openapi(request: Request) -> Response:
        servers = [{"url": request.scope.get("root_path", "") or "/"}]
        return JSONResponse({**described, "servers": servers})

    async def page(_request: Request) -> Response:
        return HTMLResponse(shown, headers=docs.HEADERS)

    whole, html = Media("application/json", "OpenAPI 3.1", {"type": "object"}), Media("text/html", "For people")
    own = (
        Operation("GET", "/openapi.json", "What may be asked", openapi, {200: whole}, tag="Server", asks=False),
        Operation("GET", "/docs", "The same to be read", page, {200: html}, tag="Server", asks=False),
    )
    described = document([*others, *own], protected=protected)
    shown = docs.page(described)
    return own


def document(operations: Sequence[Operation], *, protected: bool) -> dict[str, Any]:
    """The OpenAPI 3.1 description of all of them."""
    inputs: dict[tuple[Any, _Mode], TypeAdapter[Any]] = {}
    for operation in operations:
        if operation.body:
            inputs[operation.body, "validation"] = TypeAdapter(operation.body)
        model: Any
        for model in (Error, *operation.answers.values()):
            if isinstance(model, type):
                inputs[model, "serialization"] = TypeAdapter(model)
    described = [(model, mode, adapter) for (model, mode), adapter in inputs.items()]
    references, schemas = TypeAdapter.json_schemas(described, ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = operation.path.replace(":path}", "}")  # which says that it may hold slashes
        needs = protected and not is_open(operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation, references, protected=needs)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Stability", "version": __version__},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": {**schemas.get("$defs", {}), "Json": JSON_SCHEMA}},
    }
    if protected:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    whole: dict[str, Any] = _with_json(document)
    return whole


def _with_json(part: Any) -> Any:
    """Any JSON refers to itself, which no model can say."""
    if part == {"$json": True}:
        return {"$ref": "#/components/schemas/Json"}
    if isinstance(part, dict):
        return {name: _with_json(value) for name, value in part.items()}
    return [_with_json(value) for value in part] if isinstance(part, list) else part


def _described(operation: Operation, references: _References, *, protected: bool) -> dict[str, Any]:
    refused = [400] if operation.query or operation.body else []
    refused += [404] if "{" in operation.path else []
    refused += [413, 415] if operation.body else []
    refused += [401] if protected else []
    refused += [403] if operation.method != "GET" else []
    refused += [503] if operation.asks else []
    errors = dict.fromkeys(refused, Error)
    told: dict[str, Any] = {"summary": operation.summary, "operationId": _name(operation)}
    if operation.tag:
        told["tags"] = [operation.tag]
    if query := operation.query or operation.reads:
        told["parameters"] = _parameters(operation.path, query)
    if operation.body:
        told["requestBody"] = {"required": True, "content": _json(references[operation.body, "validation"])}
    told["responses"] = {
        str(status): _answer(status, answer, references)
        for status, answer in sorted({**errors, **operation.answers}.items())
    }
    if protected:
        told["security"] = [{"token": []}]
    return told


def _answer(status: int, answer: Described, references: _References) -> dict[str, Any]:
    if isinstance(answer, Media):
        return {"description": answer.description, "content": {answer.type: {"schema": answer.schema}}}
    content = {"content": _json(references[answer, "serialization"])} if answer else {}
    return {"description": HTTPStatus(status).phrase, **content}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _name(operation: Operation) -> str:
    words = [part.strip("{}").removesuffix(":path").replace("-", "_") for part in operation.path.split("/") if part]
    return "_".join((operation.method.lower(), *words))


def _parameters(path: str, query: type[BaseModel]) -> list[dict[str, Any]]:
    schema = query.model_json_schema()
    found = []
    for name, described in schema.get("properties", {}).items():
        inside = f"{{{name}}}" in path.replace(":path}", "}")
        required = inside or name in schema.get("required", ())
        said = {"description": described.pop("description")} if "description" in described else {}
        place = "path" if inside else "query"
        found.append({"name": name, "in": place, **said, "required": required, "schema": described})
    return found
