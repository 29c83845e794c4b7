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
