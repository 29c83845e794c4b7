"""What schemathesis asks before it sends a request."""

import itertools

import schemathesis

EXAMPLE = "0f0c7a5e-houston"

numbers = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    """A key that belongs to another request is refused: the example of a key is made a new one each time."""
    if case.headers and case.headers.get("Idempotency-Key") == EXAMPLE:
        case.headers["Idempotency-Key"] = f"{EXAMPLE}-{next(numbers)}"
    for name in ("If-Match", "If-None-Match"):
        value = case.headers.get(name) if case.headers else None
        # Of the entity tag "0", which it means to be right, schemathesis sends the number.
        if value == "0" and case.meta and case.meta.generation.mode.is_positive:
            case.headers[name] = '"0"'
