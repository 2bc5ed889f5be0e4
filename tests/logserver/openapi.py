# SPDX-License-Identifier: GPL-2.0
"""Whether an answer is as the server's description of its interface says."""

import json
import os

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "../../logserver/openapi.json"), encoding="utf-8") as description:
    DOCUMENT = json.load(description)

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
         "number": (int, float), "integer": int}


def resolve(thing):
    while "$ref" in thing:
        found = DOCUMENT
        for step in thing["$ref"].lstrip("#/").split("/"):
            found = found[step]
        thing = found
    return thing


def mismatch(value, schema, where="$"):
    """What is wrong with a value, None if nothing. The keywords that the description uses."""
    schema = resolve(schema)
    unknown = set(schema) - {"type", "const", "enum", "oneOf", "properties", "required", "items",
                             "additionalProperties", "maxProperties", "minimum", "maximum",
                             "minLength", "maxLength", "maxItems", "description"}
    if unknown:
        return f"{where}: this check does not know {unknown}"
    if not set(schema) - {"description"}:
        return None
    if "oneOf" in schema:
        fits = [one for one in schema["oneOf"] if mismatch(value, one) is None]
        return None if len(fits) == 1 else f"{where}: {value!r} fits {len(fits)} of oneOf"
    if "const" in schema and value != schema["const"]:
        return f"{where}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where}: {value!r} is none of {schema['enum']}"
    wanted = schema.get("type")
    if wanted and (not isinstance(value, TYPES[wanted]) or
                   isinstance(value, bool) and wanted != "boolean"):
        return f"{where}: {value!r} is no {wanted}"
    if wanted in ("number", "integer") and not (
            schema.get("minimum", value) <= value <= schema.get("maximum", value)):
        return f"{where}: {value!r} is out of range"
    if wanted == "string" and not (schema.get("minLength", 0) <= len(value) and
                                   len(value.encode()) <= schema.get("maxLength", 1 << 30)):
        return f"{where}: its length is {len(value)}"
    if wanted == "array":
        for index, item in enumerate(value):
            wrong = mismatch(item, schema.get("items", {}), f"{where}[{index}]")
            if wrong:
                return wrong
    if wanted == "object":
        for name in schema.get("required", []):
            if name not in value:
                return f"{where}: {name} is missing"
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name)
            if inner is None:
                inner = schema.get("additionalProperties", {})
            if inner is False:
                return f"{where}: {name} is not described"
            wrong = mismatch(item, inner, f"{where}.{name}")
            if wrong:
                return wrong
    return None


def check(method, path, status, headers, body):
    """Raise AssertionError unless the answer to this request is described as it is."""
    what = f"{method} {path[:60]} {status}"
    operations = DOCUMENT["paths"].get(path.split("?")[0].replace("%67", "g"))
    operation = operations.get(method.lower()) if operations else None
    described = operation["responses"].get(str(status)) if operation else None
    if described is None and status not in (404, 405, 414) and not (
            operation is None and status in (400, 401)):
        raise AssertionError(what + " is not described")
    kind = headers["Content-Type"]
    if described is None or status >= 400:
        content = DOCUMENT["components"]["responses"]["BadRequest"]["content"]
    else:
        content = resolve(described).get("content")
    if method == "HEAD" or not content:
        if body:
            raise AssertionError(what + " has a body")
        return
    media = content.get((kind or "").split(";")[0])
    if media is None:
        raise AssertionError(f"{what} is {kind} instead of one of {list(content)}")
    if kind in ("application/json", "application/problem+json") and not headers["Content-Encoding"]:
        wrong = mismatch(json.loads(body), media["schema"])
        if wrong:
            raise AssertionError(f"{what}: {wrong}")
