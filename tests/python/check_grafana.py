"""Checks alerts and dashboards: their form, that they ask only for metrics that exist, and their answers.

    check_grafana.py METRICS [PROMETHEUS_URL]

METRICS is a scrape of the service. With the URL of a Prometheus that scraped it under load, every query of a
dashboard must have an answer.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).parents[2]
RULES = ROOT / "grafana/rules/safire.yml"
CASES = ROOT / "grafana/tests/alerts.yml"
DASHBOARDS = sorted((ROOT / "grafana/dashboards").glob("*.json"))
DATASOURCE = ROOT / "grafana/provisioning/datasources/prometheus.yml"

# What Prometheus itself makes.
OTHERS = {"up", "ALERTS"}


def main(metrics, prometheus=None):
    known = {name for name in re.findall(r"^# TYPE (\S+) ", pathlib.Path(metrics).read_text(), re.MULTILINE)}
    wrong = [*alerts(known), *dashboards(known, prometheus)]
    if wrong:
        sys.exit("\n".join(wrong))


def alerts(known):
    runbook = (ROOT / "docs/runbook.md").read_text()
    headings = {line.lstrip("# ").strip() for line in runbook.splitlines() if line.startswith("#")}
    tested = {case["name"]: case for case in yaml.safe_load(CASES.read_text())["tests"]}
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    names = {rule["alert"] for rule in rules}
    for rule in rules:
        name, notes = rule["alert"], rule["annotations"]
        if rule["labels"].get("severity") not in ("warning", "critical"):
            yield f"{name}: its severity is neither warning nor critical"
        if not {"summary", "description"} <= notes.keys():
            yield f"{name}: no summary or no description"
        if notes.get("runbook_url") != f"docs/runbook.md#{name.lower()}" or name not in headings:
            yield f"{name}: not in the runbook"
        samples = [bool(test["exp_samples"]) for test in tested.get(name, {}).get("promql_expr_test", [])]
        if samples != [True, False]:
            yield f"{name}: no test that it fires and clears"
        yield from unknown(name, rule["expr"], known)
    yield from (f"{name}: tested, but no alert" for name in tested.keys() - names)
    alerts_in_runbook = {heading for heading in headings if re.fullmatch(r"([A-Z][a-z]+){2,}", heading)}
    yield from (f"{name}: in the runbook, but no alert" for name in alerts_in_runbook - names)


def unknown(where, query, known):
    bare = re.sub(r'"[^"]*"', "", re.sub(r"\b(by|on|ignoring)\s*\([^)]*\)", "", query))
    for name in re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?=\s*[{\[])|\b(?:safire|process)_\w+", bare):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if not {name, base} & (known | OTHERS):
            yield f"{where}: nobody tells {name}"


def dashboards(known, prometheus):
    (source,) = yaml.safe_load(DATASOURCE.read_text())["datasources"]
    uids = []
    for file in DASHBOARDS:
        board = json.loads(file.read_text())
        uids.append(board["uid"])
        panels = board["panels"]
        if len({panel["id"] for panel in panels}) != len(panels):
            yield f"{file.name}: two panels have one id"
        if not isinstance(board["schemaVersion"], int) or board.get("id") is not None:
            yield f"{file.name}: not to be provisioned"
        yield from overlaps(file, panels)
        queries = [(f"{file.name}: {panel['title']}", target) for panel in panels for target in panel.get("targets", [])]
        for where, target in queries:
            if target["datasource"] != {"type": "prometheus", "uid": source["uid"]}:
                yield f"{where}: another datasource than the provisioned one"
            yield from unknown(where, target["expr"], known)
        queries = [(where, plain(target["expr"])) for where, target in queries]
        yield from unparsable(file, queries)
        if prometheus:
            yield from (f"{where}: no answer to {query}" for where, query in queries if not ask(prometheus, query))
    if len(set(uids)) != len(uids):
        yield "two dashboards have one uid"


def overlaps(file, panels):
    taken = {}
    for panel in panels:
        at = panel["gridPos"]
        if at["x"] + at["w"] > 24:
            yield f"{file.name}: {panel['title']} is wider than the page"
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            if taken.setdefault(cell, panel["title"]) != panel["title"]:
                yield f"{file.name}: {panel['title']} lies over {taken[cell]}"
                break


def plain(query):
    """The query with Grafana's variables replaced as for one short look at everything."""
    return query.replace("$__rate_interval", "15s").replace("$instance", ".*")


def unparsable(file, queries):
    rules = [{"record": f"query:{number}", "expr": query} for number, (_, query) in enumerate(queries)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as made:
        json.dump({"groups": [{"name": "queries", "rules": rules}]}, made)
        made.flush()
        checked = subprocess.run(["promtool", "check", "rules", made.name], capture_output=True, text=True)
    if checked.returncode:
        yield f"{file.name}: {checked.stdout}{checked.stderr}"


def ask(prometheus, query):
    with urllib.request.urlopen(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}") as answer:
        return json.load(answer)["data"]["result"]


if __name__ == "__main__":
    main(*sys.argv[1:])
