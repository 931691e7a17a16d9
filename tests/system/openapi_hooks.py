"""For schemathesis (test_openapi.py): waits that the server would grant are made short."""
import schemathesis

LONGEST = {"wait_ms": 30_000, "wait": 60}  # more than that is refused, which is to be seen


def number(value):
    try:
        return float(value)  # those of a query are texts
    except (TypeError, ValueError):
        return 0


def shorten(values):
    for name, most in LONGEST.items():
        if 0 < number(values.get(name)) <= most:
            values[name] = type(values[name])(0)


@schemathesis.hook
def before_call(context, case, kwargs):
    for values in (case.query, case.body):
        if isinstance(values, dict):
            shorten(values)
