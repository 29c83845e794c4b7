"""Checks what starts the service in containers: the compose file's form, and that it agrees with everything else.

    check_compose.py SAFIRE

SAFIRE is the program: it is asked whether it takes each service's environment.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib import resources

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).parents[2]


def main(safire):
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    dockerfile = (ROOT / "Dockerfile").read_text()
    config = configuration(safire, {})
    wrong = [
        *form(compose),
        *references(compose),
        *mounts(compose),
        *ports(compose, dockerfile, config),
        *environments(compose, safire),
        *manifests(dockerfile),
        *scraped(compose, config),
    ]
    wrong += [f"{name}: no health check" for name, service in compose["services"].items() if not checked(service, dockerfile)]
    if wrong:
        sys.exit("\n".join(wrong))


def form(compose):
    """What compose's own schema says."""
    schema = json.loads((resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
    for error in jsonschema.Draft7Validator(schema).iter_errors(compose):
        yield f"docker-compose.yml {error.json_path}: {error.message}"


def references(compose):
    """What services name is there, and starts whenever they do."""
    services = compose["services"]
    for name, service in services.items():
        for kind in ("secrets", "networks"):
            yield from (f"{name}: {kind} {used} is not declared" for used in service.get(kind, []) if used not in compose[kind])
        for needed, how in service.get("depends_on", {}).items():
            if not set(service["profiles"]) <= set(services.get(needed, {}).get("profiles", [])):
                yield f"{name}: {needed} is not started with it"
            if how["condition"] != "service_healthy":
                yield f"{name}: does not wait until {needed} is healthy"
    for profile in ("full", "replicas", "sqlite"):
        published = [port for service in services.values() if profile in service["profiles"] for port in service.get("ports", [])]
        if "127.0.0.1:8000" not in [port.rsplit(":", 1)[0] for port in published] or len(set(published)) != len(published):
            yield f"{profile}: not exactly one service on port 8000"


def mounts(compose):
    declared, made = compose["volumes"], set()
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([ROOT / "scripts/secrets.sh", directory], check=True, stdout=subprocess.DEVNULL)
        made = {path.name for path in pathlib.Path(directory).iterdir()}
    for name, secret in compose["secrets"].items():
        if secret["file"] != f"./secrets/{name}" or name not in made:
            yield f"secrets: nobody makes {name}"
    for name, service in compose["services"].items():
        for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
            if not (ROOT / source).exists() if source.startswith(".") else source not in declared:
                yield f"{name}: there is no {source}"
        for key, value in service.get("environment", {}).items():
            secret = re.fullmatch(r"/run/secrets/(\w+)", value)
            if secret and secret[1] not in service.get("secrets", []):
                yield f"{name}: {key} names a secret that it is not given"
            if re.search(r"(PASSWORD|SECRET|TOKEN)$", key) and not secret:
                yield f"{name}: {key} is a secret in the open"


def ports(compose, dockerfile, config):
    exposed = re.search(r"^EXPOSE (\d+) (\d+)$", dockerfile, re.MULTILINE)
    expected = [str(config["http"]["port"]), str(config["metrics"]["port"])]
    if not exposed or list(exposed.groups()) != expected:
        yield f"Dockerfile: exposes other ports than {expected}"
    balancer = (ROOT / "deploy/nginx.conf").read_text()
    if f"server replicas:{config['http']['port']} " not in balancer:
        yield "nginx.conf: replicas do not listen there"
    published = compose["services"]["balancer"]["ports"][0].rsplit(":", 1)[1]
    if f"listen {published};" not in balancer:
        yield "nginx.conf: not the port that is published"


def environments(compose, safire):
    """The program itself reads the environment, with files where the secrets will be."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([ROOT / "scripts/secrets.sh", directory], check=True, stdout=subprocess.DEVNULL)
        image = dict(re.findall(r"(SAFIRE_\w+)=(\S+)", (ROOT / "Dockerfile").read_text()))
        for name, service in compose["services"].items():
            if "build" not in service:
                continue
            own = {key: value.replace("/run/secrets", directory) for key, value in service["environment"].items()}
            try:
                config = configuration(safire, {**image, **own})
            except subprocess.CalledProcessError as refused:
                yield f"{name}: {refused.stderr}"
                continue
            grace, drain = int(service["stop_grace_period"].rstrip("s")), config["shutdown"]["drain_s"]
            if grace <= drain + config["shutdown"]["linger_ms"] / 1000:
                yield f"{name}: killed before it has drained"
            if service["read_only"] is not True:
                yield f"{name}: not read-only"
            written = [volume.split(":")[1] for volume in service.get("volumes", [])]
            written += [mount.split(":")[0] for mount in service["tmpfs"]]
            if config["data_dir"] not in written:
                yield f"{name}: cannot write to {config['data_dir']}"
            proxies = config["http"]["trusted_proxies"]
            networks = [subnet["subnet"] for subnet in compose["networks"]["safire"]["ipam"]["config"]]
            if "replicas" in service["profiles"] and proxies != networks:
                yield f"{name}: trusts {proxies}, and the balancer is in {networks}"


def configuration(safire, environment):
    with tempfile.TemporaryDirectory() as directory:
        shown = subprocess.run(
            [safire, "config", "check"], cwd=directory, env=environment, check=True, capture_output=True, text=True
        )
    return tomllib.loads(shown.stdout)


def manifests(dockerfile):
    """The layer of dependencies knows every member of the workspace, and every target that has to have a file."""
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    benches = sorted(bench["name"] for bench in manifest["bench"])
    if f"benches/{{{','.join(benches)}}}.rs" not in dockerfile:
        yield f"Dockerfile: makes other empty benches than {benches}"
    members = manifest["workspace"]["members"]
    for member in members:
        if f"COPY {member}/Cargo.toml {member}/\n" not in dockerfile:
            yield f"Dockerfile: does not copy the manifest of {member}"
    (ignored,) = [(ROOT / ".dockerignore").read_text().split()]
    needed = {member.split("/")[0] for member in members} | {"src", "benches", "migrations", "Cargo.toml", "Cargo.lock"}
    yield from (f".dockerignore: leaves out {name}" for name in needed if f"!{name}" not in ignored)


def scraped(compose, config):
    prometheus = yaml.safe_load((ROOT / "grafana/prometheus.yml").read_text())
    (discovery,) = [found for job in prometheus["scrape_configs"] for found in job["dns_sd_configs"]]
    if discovery["port"] != config["metrics"]["port"]:
        yield "prometheus.yml: not the port of the metrics"
    watched = {name for name, service in compose["services"].items() if "build" in service and "sqlite" not in service["profiles"]}
    if set(discovery["names"]) != watched:
        yield f"prometheus.yml: scrapes {discovery['names']}, there are {watched}"
    (source,) = yaml.safe_load((ROOT / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    if source["url"] != "http://prometheus:9090":
        yield "Grafana asks another Prometheus"
    (provider,) = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/safire.yml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    if provider["options"]["path"] not in mounted:
        yield "Grafana looks for dashboards where none are"


def checked(service, dockerfile):
    return "healthcheck" in service or ("build" in service and "\nHEALTHCHECK " in dockerfile)


if __name__ == "__main__":
    main(*sys.argv[1:])
