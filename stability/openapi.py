"""`/openapi.json`: every operation as its models describe it, for people, generated clients and fuzzers."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from stability import __version__
from stability.operations import JSON_SCHEMA, Error, Operation

_Mode: TypeAlias = Literal["validation", "serialization"]
_References: TypeAlias = Mapping[tuple[Any, _Mode], Mapping[str, Any]]


def routes(operations: Sequence[Operation], *, protected: bool) -> Sequence[BaseRoute]:
    """`GET /openapi.json`; `protected` says that the operations need a token."""
    described = document(operations, protected=protected)

    async def openapi(request: Request) -> Response:
        servers = [{"url": request.scope.get("root_path", "") or "/"}]
        return JSONResponse({**described, "servers": servers})

    return [Route("/openapi.json", openapi)]


def document(operations: Sequence[Operation], *, protected: bool) -> dict[str, Any]:
    """The OpenAPI 3.1 description of all of them."""
    inputs: dict[tuple[Any, _Mode], TypeAdapter[Any]] = {}
    for operation in operations:
        if operation.body:
            inputs[operation.body, "validation"] = TypeAdapter(operation.body)
        model: Any
        for model in (Error, *operation.answers.values()):
            inputs[model, "serialization"] = TypeAdapter(model)
    described = [(model, mode, adapter) for (model, mode), adapter in inputs.items()]
    references, schemas = TypeAdapter.json_schemas(described, ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(
            operation, references, protected=protected
        )
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
    errors = dict.fromkeys((*refused, 503), Error)
    told: dict[str, Any] = {"summary": operation.summary, "operationId": _name(operation)}
    if operation.tag:
        told["tags"] = [operation.tag]
    if operation.query:
        told["parameters"] = _parameters(operation)
    if operation.body:
        told["requestBody"] = {"required": True, "content": _json(references[operation.body, "validation"])}
    told["responses"] = {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "content": _json(references[model, "serialization"]),
        }
        for status, model in sorted({**errors, **operation.answers}.items())
    }
    if protected:
        told["security"] = [{"token": []}]
    return told


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _name(operation: Operation) -> str:
    words = [part.strip("{}").replace("-", "_") for part in operation.path.split("/") if part]
    return "_".join((operation.method.lower(), *words))


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    schema = operation.query.model_json_schema() if operation.query else {}
    found = []
    for name, described in schema.get("properties", {}).items():
        inside = f"{{{name}}}" in operation.path
        required = inside or name in schema.get("required", ())
        found.append({"name": name, "in": "path" if inside else "query", "required": required, "schema": described})
    return found
