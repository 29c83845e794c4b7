"""The main job by the generated client: sign in, make a project, calculate, wait, read; and one mistake."""

import sys
import time

from safire_client import AuthenticatedClient, Client
from safire_client.api.auth import auth_login, auth_me, auth_register
from safire_client.api.calculation import calculation_result, calculation_status
from safire_client.api.projects import projects_change, projects_create, projects_read
from safire_client.api.scenarios import scenarios_create
from safire_client.models import (
    Credentials,
    EconomicInputs,
    InputDocument,
    NewProject,
    Problem,
    ProjectChange,
    Quantity,
    Registration,
    RunState,
    ScenarioText,
    Tokens,
)

base, password = sys.argv[1:]
email = "python@example.com"

anonymous = Client(base_url=base)
refused = auth_me.sync(client=anonymous)
assert isinstance(refused, Problem) and refused.code == "unauthorized", refused

user = auth_register.sync(client=anonymous, body=Registration(email=email, name="Python", password=password))
assert user.email == email, user
tokens = auth_login.sync(client=anonymous, body=Credentials(email=email, password=password))
assert isinstance(tokens, Tokens), tokens
client = AuthenticatedClient(base_url=base, token=tokens.access_token)

plant = NewProject(name="Houston", process="HEFA", feedstock="UCO", country="USA")
made = projects_create.sync(client=client, body=plant, idempotency_key="houston")
again = projects_create.sync(client=client, body=plant, idempotency_key="houston")
assert made.id == again.id, (made, again)

until = time.monotonic() + 20
while (run := calculation_status.sync(made.scenario.id, client=client)).state != RunState.SUCCEEDED:
    assert time.monotonic() < until, run
    time.sleep(0.05)
result = calculation_result.sync(made.scenario.id, client=client, trace=True)
assert not result.stale and result.trace, result

read = projects_read.sync_detailed(made.id, client=client)
tag = read.headers["ETag"]
unchanged = projects_read.sync_detailed(made.id, client=client, if_none_match=tag)
assert unchanged.status_code == 304, unchanged
change = ProjectChange(name="Houston II")
renamed = projects_change.sync(made.id, client=client, body=change, if_match=tag)
assert renamed.name == "Houston II", renamed
late = projects_change.sync(made.id, client=client, body=change, if_match=tag)
assert isinstance(late, Problem) and late.code == "version.changed", late

mistaken = InputDocument(economics=EconomicInputs(discount_rate=Quantity(value=-1.0, unit="1")))
text = ScenarioText(name="wrong", process="HEFA", feedstock="UCO", country="USA", inputs=mistaken)
wrong = scenarios_create.sync(made.id, client=client, body=text)
assert isinstance(wrong, Problem) and wrong.status == 422 and wrong.code == "inputs.invalid", wrong
(error,) = wrong.errors
assert error.pointer == "/inputs/economics/discount_rate", error
assert (error.allowed.min_, error.allowed.max_, error.allowed.unit) == (0, 1, "1"), error

print(f"LCOP {result.result.lcop_usd_per_t:.2f} USD/t")
