"""Checks that a file is a valid OpenAPI document whose examples are what their schemas say."""

import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator


def main(path):
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    wrong = [f"{list(error.absolute_path)}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    count = 0
    for where, schema, example in examples(document, ""):
        count += 1
        rooted = {**schema, "components": document["components"]}
        errors = Draft202012Validator(rooted).iter_errors(example)
        wrong += [f"{where}{error.json_path[1:]}: {error.message}" for error in errors]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"valid, with {count} examples")


def examples(node, where):
    """Every schema that has examples beside it, or in it, with each of them."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from examples(item, f"{where}/{index}")
    if not isinstance(node, dict):
        return
    schema = node.get("schema", node if "type" in node or "oneOf" in node or "allOf" in node else None)
    if isinstance(schema, dict):
        if "example" in node:
            yield where, schema, node["example"]
        for name, example in node["examples"].items() if isinstance(node.get("examples"), dict) else ():
            yield f"{where}/{name}", schema, example["value"]
    for key, value in node.items():
        if key not in ("example", "examples"):
            yield from examples(value, f"{where}/{key}")


main(sys.argv[1])
