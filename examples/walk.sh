#!/usr/bin/env bash
# A walk through the API with curl and jq: an account, a plant, its cost and what it rests on.
#
#   SAFIRE_URL=http://127.0.0.1:8000 bash examples/walk.sh
set -euo pipefail

url=${SAFIRE_URL:-http://127.0.0.1:8000}
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
files=$(mktemp -d)
trap 'rm -rf -- "$files"' EXIT

say() { printf '\n== %s\n' "$1"; }

# Sends a request: METHOD PATH [JSON]. An answer that is an error ends the walk, and is shown.
ask() {
  local body=(--data-binary "${3:-}" -H 'Content-Type: application/json')
  curl --silent --show-error --fail-with-body -X "$1" "$url/api/v1$2" "${auth[@]}" ${3:+"${body[@]}"}
}
auth=()

say "an account of one's own, and a token"
email=walk-$RANDOM$RANDOM@example.com
password=$(head -c 18 /dev/urandom | base64)
account=$(jq -n --arg email "$email" --arg password "$password" '{email: $email, name: "A walk", password: $password}')
ask POST /auth/register "$account" | jq -c '{email, role}'
token=$(ask POST /auth/login "$(jq 'del(.name)' <<<"$account")" | jq -r .access_token)
auth=(-H "Authorization: Bearer $token")

say "a project with a plant from the default set: its calculation begins at once"
made=$(ask POST /projects '{"name": "Houston", "process": "HEFA", "feedstock": "UCO", "country": "USA"}')
project=$(jq -r .id <<<"$made") scenario=$(jq -r .scenario.id <<<"$made")
until [[ $(ask GET "/scenarios/$scenario/calculate/status" | jq -r .status) =~ ^(calculated|failed)$ ]]; do sleep 0.1; done
ask GET "/scenarios/$scenario/result" | jq -c '.result | {lcop_usd_per_t, npv_usd, irr, payback_years}'

say "the same at half the size: inputs are quantities with a unit"
half=$(ask POST "/projects/$project/scenarios" '{"name": "half", "process": "HEFA", "feedstock": "UCO", "country": "USA",
  "inputs": {"plant": {"capacity": {"value": 250, "unit": "kt/yr"}}}}' | jq -r .id)
ask POST "/scenarios/$half/calculate/sync" | jq -c '.result | {lcop_usd_per_t, npv_usd}'

say "why: the step of the levelized cost, and where its inputs come from"
ask GET "/scenarios/$half/result?trace=true" | jq -c '(.trace[] | select(.name == "lcop") | {formula, inputs: [.inputs[].symbol]}),
  (.resolved_inputs[] | select(.pointer == "/plant/capacity" or .pointer == "/feedstocks/UCO/price"))'

say "what makes the difference"
ask GET "/scenarios/compare?ids=$scenario,$half&metric=npv" |
  jq -c '.contributions.changes // .contributions | tostring | .[0:160]'

say "how sure: 10,000 samples of the price of the feedstock"
ask POST "/scenarios/$half/calculate/sync" '{"analysis": "monte-carlo", "samples": 10000, "seed": 1, "metrics": ["npv"],
  "inputs": [{"input": "/feedstocks/UCO/price", "unit": "USD/t",
              "distribution": {"kind": "triangular", "min": 800, "mode": 930, "max": 1200}}]}' |
  jq -c '.analysis.metrics[0] | {metric, mean: .statistics.mean, percentiles: .statistics.percentiles}'

say "at which price of the feedstock it is worth nothing"
ask POST "/scenarios/$half/breakeven" '{"input": "/feedstocks/UCO/price", "metric": "npv"}' | jq -c '{answer, unit}'

say "many plants from a table"
operation=$(curl --silent --show-error --fail-with-body "$url/api/v1/projects/$project/import?calculate=true" \
  "${auth[@]}" -F "file=@$here/plants.csv" | jq -r .id)
until ask GET "/operations/$operation" | jq -e .finished_at >/dev/null; do sleep 0.1; done
ask GET "/operations/$operation" | jq -c '{state, rows, created, refused, calculated}'

say "a workbook that goes on calculating"
ask GET "/scenarios/$half/result?format=xlsx" >"$files/half.xlsx"
printf '%s bytes\n' "$(wc -c <"$files/half.xlsx")"

say "what is wrong is said by name"
curl --silent "$url/api/v1/calculate/quick" "${auth[@]}" -H 'Content-Type: application/json' \
  -d '{"process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": {"economics": {"lifetime": {"value": 2.5, "unit": "yr"}}}}' |
  jq -c '{status, code, errors: [.errors[] | {pointer, message}]}'
