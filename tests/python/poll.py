"""A client as many are written: send the inputs, poll the status, read the result."""

import sys
import time

import requests

base, token, *scenarios = sys.argv[1:]
http = requests.Session()
http.trust_env = False
http.headers["Authorization"] = f"Bearer {token}"

for scenario, capacity in zip(scenarios, [{"value": 250, "unit": "kt/yr"}, {"value": 1, "unit": "t/yr"}]):
    url = f"{base}/scenarios/{scenario}"
    answer = http.post(f"{url}/calculate", json={"inputs": {"plant": {"capacity": capacity}}})
    answer.raise_for_status()
    until = time.monotonic() + 30
    while True:
        status = http.get(f"{url}/calculate/status").json()
        if status["status"] in ("calculated", "failed"):
            break
        assert time.monotonic() < until, status
        time.sleep(0.05)
    if status["status"] == "failed":
        print("failed", f"{status['failure']['code']}: {status['failure']['message']}")
        continue
    result = http.get(f"{url}/result").json()
    stored = next(i for i in result["resolved_inputs"] if i["pointer"] == "/plant/capacity")
    assert result["result"]["npv_usd"] is not None, result
    print("calculated", f"{stored['value']:.0f} {stored['unit']}")
