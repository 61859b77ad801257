"""The OpenAPI description names every address of the API, and nothing else."""

from __future__ import annotations

import inspect
import re

from flaxchar.serve import guard
from flaxchar.serve.api import make_app
from flaxchar.serve.openapi import describe_api

PAGE = {"/", "/openapi.json"}


def test_every_address_is_described():
    routes = {route.path: route.methods - {"HEAD"} for route in make_app(None, None).routes}
    api = {path: methods for path, methods in routes.items() if path not in PAGE and "." not in path}
    described = {path: {method.upper() for method in item} for path, item in describe_api()["paths"].items()}
    assert described == api


def test_every_reference_leads_somewhere():
    description = describe_api()

    def references(value):
        if isinstance(value, dict):
            for key, item in value.items():
                yield from [item] if key == "$ref" else references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    found = set(references(description))
    assert found
    assert {reference.rpartition("/")[2] for reference in found} == set(description["components"]["schemas"])


def test_every_refusal_of_a_request_is_described():
    refused = set(re.findall(r"_Refusal\((4\d+)", inspect.getsource(guard)))
    assert {"401", "403", "413", "421", "429"} <= refused
    assert refused <= set(describe_api()["paths"]["/generate"]["post"]["responses"])
    of_headers = refused - {"400", "408", "413", "415"}  # those of the body
    assert of_headers <= set(describe_api()["paths"]["/runs"]["get"]["responses"])
