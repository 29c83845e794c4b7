"""Writes engine/src/policy/corsia_table.rs from corsia_default_lca.json: `python corsia_table.py > ...`.

Rows whose value is a formula are left out. The two palm-oil rows differ in what becomes of the biogas of the
mill's ponds, as in ICAO's table.
"""

import json
import pathlib

data = json.loads((pathlib.Path(__file__).parent / "corsia_default_lca.json").read_text())
PONDS = {37.4: "Palm oil, closed pond", 60.0: "Palm oil, open pond"}

print("//! Written by `engine/data/corsia_table.py` from `corsia_default_lca.json`, which names its sources.\n")
print("use super::corsia::{CorsiaDefault, Mode};\n")
print("/// CORSIA's default life-cycle values.")
print("#[rustfmt::skip]\npub const CORSIA_DEFAULTS: &[CorsiaDefault] = &[")
for row in data["rows"]:
    if "lsf_gco2e_per_mj" not in row:
        continue
    core, iluc = float(row["core_gco2e_per_mj"]), float(row["iluc_gco2e_per_mj"])
    feedstock = PONDS[core] if row["feedstock"] == "Palm oil" else row["feedstock"]
    texts = ", ".join(json.dumps(text, ensure_ascii=False) for text in (row["process"], feedstock, row["region"]))
    print(f"    CorsiaDefault::new({texts}, Mode::{row['mode']}, {core}, {iluc}),")
print("];")
