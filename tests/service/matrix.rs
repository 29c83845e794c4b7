//! Who may do what: every documented operation, asked by everybody there is.
//!
//! `ownership.rs` sees to it that the table has every operation of the API's description.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Method;
use safire_domain::master_data::MasterData;
use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::{
    app::{Client, PANICS, PASSWORD, TestApp, id},
    users::{make_member, make_zone},
};

/// Mate and viewer are of the owner's zone, the stranger is of another; all but viewer and administrator are
/// analysts.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    Owner,
    Mate,
    Viewer,
    Stranger,
    Zoneless,
    Admin,
    Anonymous,
}

/// Who may; the number is what they are answered.
#[derive(Clone, Copy)]
pub enum Class {
    Everybody(u16),
    SignedIn(u16),
    /// Everybody signed in, but only those inside the zone and administrators find the owner there.
    List,
    /// Everybody signed in, but only those inside the zone and administrators find the owner's zone, or name, there.
    Named(&'static str),
    /// Everybody signed in but viewers.
    Writers(u16),
    /// Those inside the zone and administrators; for others there is nothing.
    Read,
    /// The same, but others are told that they may not.
    Inside,
    /// The owner and administrators; those inside the zone may not, and for others there is nothing.
    Write(u16),
    /// The owner alone; for others there is nothing.
    Own(u16),
    Admins(u16),
}

/// Whose id stands in the path.
#[derive(Clone, Copy)]
pub enum Of {
    Nothing,
    /// A new project of the owner.
    Project,
    /// A new scenario of the owner, calculated.
    Scenario,
    /// The run of such a scenario, with the scenario's id.
    Run,
    /// A new scenario of the owner, and its run, which failed.
    Failed,
    /// Two of them, with a comma between their ids.
    Pair,
    /// An import into a new project of the owner, ended.
    Operation,
    /// A new API key of the owner.
    Key,
    Owner,
    /// A new user of the owner's zone.
    User,
    /// The owner's zone.
    Zone,
    /// A new zone.
    EmptyZone,
    /// HEFA, UCO and USA, and the codes of UCO, hydrogen and jet.
    Defaults,
}

use Class::{Admins, Everybody, Inside, List, Named, Own, Read, SignedIn, Write, Writers};
use Of::{Defaults, EmptyZone, Failed, Key, Nothing, Operation, Owner, Pair, Project, Run, Scenario, User, Zone};

const PLANT: &str = r#"{ "name": "$new", "process": "HEFA", "feedstock": "UCO", "country": "USA" }"#;
const BATCH: &str = r#"{ "scenarios": [{ "project_id": "01a1f914-e4c8-7d26-be8e-d1e3f79d9011", "name": "$new",
    "process": "HEFA", "feedstock": "UCO", "country": "USA" }] }"#;
const IMPORT: &str = "POST /projects/{id}/import";
const FILE: &[u8] = b"name,process,feedstock,country\nHouston,HEFA,UCO,USA\nNowhere,HEFA,UCO,XX\n";
const QUICK: &str = r#"{ "process": "HEFA", "feedstock": "UCO", "country": "USA" }"#;
const PLANTS: &str = r#"{ "plants": [{ "process": "HEFA", "feedstock": "UCO", "country": "USA" }] }"#;
const BREAKEVEN: &str = r#"{ "input": "/feedstocks/UCO/price", "metric": "npv" }"#;
const QUICK_BREAKEVEN: &str = r#"{ "process": "HEFA", "feedstock": "UCO", "country": "USA",
    "breakeven": { "input": "/products/jet/price", "metric": "irr", "target": 0.15 } }"#;
const NAMED: &str = r#"{ "name": "$new" }"#;
const TEXT: &str = r#"{ "name": "$new", "description": "d" }"#;
const USER: &str = r#"{ "name": "$new", "global_id": "$new", "role": "admin" }"#;
const ACCOUNT: &str = r#"{ "name": "N", "email": "$new@example.com", "password": "$password" }"#;
const LOGIN: &str = r#"{ "email": "owner@example.com", "password": "$password" }"#;
const TOKEN: &str = r#"{ "refresh_token": "$token" }"#;
const PER_TONNE: &str = r#"{ "price": { "value": 999, "unit": "USD/t" } }"#;

/// Every operation, below `/api/v1` unless it is at the root; with a body that is right. In a body, `$new`
/// is new each time, `$token` a new refresh token of the owner, and `$defaults` the inputs of a default set.
pub const TABLE: &[(&str, Class, Of, &str)] = &[
    ("GET /health", Everybody(200), Nothing, ""),
    ("GET /health/live", Everybody(200), Nothing, ""),
    ("GET /health/ready", Everybody(200), Nothing, ""),
    ("POST /auth/register", Everybody(201), Nothing, ACCOUNT),
    ("POST /auth/login", Everybody(200), Nothing, LOGIN),
    ("POST /auth/refresh", Everybody(200), Nothing, TOKEN),
    ("POST /auth/logout", Everybody(204), Nothing, TOKEN),
    ("GET /auth/me", SignedIn(200), Nothing, ""),
    ("GET /auth/keys", SignedIn(200), Nothing, ""),
    ("POST /auth/keys", SignedIn(201), Nothing, NAMED),
    ("DELETE /auth/keys/{id}", Own(204), Key, ""),
    ("GET /users", List, Nothing, ""),
    ("POST /users", Admins(201), Nothing, USER),
    ("POST /users/bulk", Admins(201), Nothing, r#"{ "users": [{ "name": "$new" }] }"#),
    ("GET /users/{id}", Read, Owner, ""),
    ("PATCH /users/{id}", Write(200), Owner, NAMED),
    ("PUT /users/{id}", Admins(200), User, USER),
    ("DELETE /users/{id}", Admins(204), User, ""),
    ("POST /users/{id}/transfer", Admins(200), User, r#"{ "zone_id": "south" }"#),
    ("GET /users-dict", Named("g:owner"), Nothing, ""),
    ("GET /stats/users", Named("north"), Nothing, ""),
    ("GET /stats/zones", Named("north"), Nothing, ""),
    ("GET /zones", SignedIn(200), Nothing, ""),
    ("POST /zones", Admins(201), Nothing, r#"{ "zone_id": "$new", "name": "Z" }"#),
    ("GET /zones/{zone_id}", SignedIn(200), Zone, ""),
    ("GET /zones/{zone_id}/users", Inside, Zone, ""),
    ("PUT /zones/{zone_id}", Admins(200), EmptyZone, TEXT),
    ("DELETE /zones/{zone_id}", Admins(204), EmptyZone, ""),
    ("GET /projects", List, Project, ""),
    ("POST /projects", Writers(201), Nothing, NAMED),
    ("GET /projects/{id}", Read, Project, ""),
    ("PUT /projects/{id}", Write(200), Project, TEXT),
    ("PATCH /projects/{id}", Write(200), Project, NAMED),
    ("DELETE /projects/{id}", Write(204), Project, ""),
    ("GET /projects/{id}/scenarios", Read, Project, ""),
    ("POST /projects/{id}/scenarios", Write(201), Project, PLANT),
    ("POST /scenarios:batch", Writers(200), Nothing, BATCH),
    (IMPORT, Write(202), Project, ""),
    ("GET /operations", List, Operation, ""),
    ("GET /operations/{id}", Read, Operation, ""),
    ("GET /operations/{id}/created", Read, Operation, ""),
    ("GET /operations/{id}/refused", Read, Operation, ""),
    ("GET /operations/{id}/rows.csv", Read, Operation, ""),
    // It has ended.
    ("DELETE /operations/{id}", Write(409), Operation, ""),
    ("GET /scenarios/{id}", Read, Scenario, ""),
    ("PUT /scenarios/{id}", Write(200), Scenario, PLANT),
    ("PATCH /scenarios/{id}", Write(200), Scenario, NAMED),
    ("DELETE /scenarios/{id}", Write(204), Scenario, ""),
    ("POST /scenarios/{id}/duplicate", Write(201), Scenario, ""),
    ("GET /scenarios/compare?ids={id}", Read, Pair, ""),
    ("POST /scenarios/{id}/breakeven", Read, Scenario, BREAKEVEN),
    ("GET /scenarios/{id}/result", Read, Scenario, ""),
    ("GET /scenarios/{id}/runs", Read, Scenario, ""),
    ("GET /scenarios/{id}/runs/{run_id}", Read, Run, ""),
    ("GET /scenarios/{id}/runs/{run_id}/result", Read, Run, ""),
    ("GET /scenarios/{id}/calculate/status", Read, Scenario, ""),
    ("POST /scenarios/{id}/calculate", Write(200), Scenario, ""),
    ("POST /scenarios/{id}/calculate/sync", Write(200), Scenario, ""),
    ("POST /scenarios/{id}/runs/{run_id}/retry", Write(202), Failed, ""),
    // Nothing is in motion.
    ("DELETE /scenarios/{id}/calculate", Write(409), Scenario, ""),
    ("DELETE /scenarios/{id}/runs/{run_id}", Write(409), Run, ""),
    ("POST /calculate/quick", SignedIn(200), Nothing, QUICK),
    ("POST /calculate:batch", SignedIn(200), Nothing, PLANTS),
    ("POST /calculate/breakeven", SignedIn(200), Nothing, QUICK_BREAKEVEN),
    ("GET /master-data", SignedIn(200), Nothing, ""),
    ("GET /master-data/fresh", SignedIn(200), Nothing, ""),
    ("GET /process-technologies", SignedIn(200), Nothing, ""),
    ("GET /feedstocks", SignedIn(200), Nothing, ""),
    ("GET /countries", SignedIn(200), Nothing, ""),
    ("GET /utilities", SignedIn(200), Nothing, ""),
    ("GET /products", SignedIn(200), Nothing, ""),
    ("GET /corsia-defaults", SignedIn(200), Nothing, ""),
    ("GET /units", SignedIn(200), Nothing, ""),
    ("GET /default-sets", SignedIn(200), Nothing, ""),
    ("GET /default-sets/{process}/{feedstock}/{country}", SignedIn(200), Defaults, ""),
    ("PUT /default-sets/{process}/{feedstock}/{country}", Admins(200), Defaults, r#"{ "inputs": $defaults }"#),
    ("PUT /feedstocks/{code}/price", Admins(200), Defaults, PER_TONNE),
    ("PUT /utilities/{code}/price", Admins(200), Defaults, PER_TONNE),
    ("PUT /products/{code}/price", Admins(200), Defaults, PER_TONNE),
    ("GET /events", SignedIn(200), Nothing, ""),
    ("POST /events/ticket", SignedIn(201), Nothing, ""),
    ("GET /messages/recent", SignedIn(200), Nothing, ""),
    // No request for a WebSocket.
    ("GET /ws", SignedIn(400), Nothing, ""),
    ("GET /ws/alerts", SignedIn(400), Nothing, ""),
    ("GET /cache/status", SignedIn(200), Nothing, ""),
    ("GET /cache/stats", SignedIn(200), Nothing, ""),
    ("POST /cache/invalidate", Admins(200), Nothing, ""),
    ("POST /cache/invalidate/users-dict", Admins(200), Nothing, ""),
];

/// Everybody there is.
pub const PEOPLE: [Who; 7] =
    [Who::Owner, Who::Mate, Who::Viewer, Who::Stranger, Who::Zoneless, Who::Admin, Who::Anonymous];

/// The operation as the API's description names it.
pub fn documented(operation: &str) -> &str {
    operation.split_once('?').map_or(operation, |(path, _)| path)
}

/// The path with that id, or with two of them, or with codes that there are.
fn path(template: &str, id: &str) -> String {
    let (id, run) = id.split_once('/').unwrap_or((id, ""));
    let code = match template.split('/').nth(1) {
        Some("feedstocks") => "UCO",
        Some("utilities") => "hydrogen",
        _ => "jet",
    };
    let path = template.replace("{id}", id).replace("{run_id}", run).replace("{zone_id}", id).replace("{code}", code);
    path.replace("{process}", "HEFA").replace("{feedstock}", "UCO").replace("{country}", "USA")
}

impl Class {
    /// What they are answered.
    pub fn status(self, who: Who) -> u16 {
        use Who::{Admin, Anonymous, Mate, Stranger, Viewer, Zoneless};
        match (self, who) {
            (Everybody(ok), _) => ok,
            (_, Anonymous) => 401,
            (Writers(_), Viewer) => 403,
            (SignedIn(ok) | Writers(ok), _) => ok,
            (List | Named(_), _) => 200,
            (Read | Write(_), Stranger | Zoneless) => 404,
            (Inside, Stranger | Zoneless) => 403,
            (Read | Inside, _) => 200,
            (Write(_), Mate | Viewer) => 403,
            (Write(ok), _) => ok,
            (Own(ok), Who::Owner) => ok,
            (Own(_), _) => 404,
            (Admins(ok), Admin) => ok,
            (Admins(_), _) => 403,
        }
    }
}

struct World {
    owner: Client,
    owner_id: String,
    admin: Client,
    people: Vec<(Who, Client)>,
}

impl World {
    async fn of(app: &TestApp) -> Self {
        let admin = app.as_admin().await;
        make_zone(&admin, "north").await;
        make_zone(&admin, "south").await;
        let (owner_id, owner) = make_member(&admin, "owner", "analyst", Some("north")).await;
        let mut people = Vec::new();
        for who in PEOPLE {
            let person = match who {
                Who::Owner => owner.clone(),
                Who::Mate => make_member(&admin, "mate", "analyst", Some("north")).await.1,
                Who::Viewer => make_member(&admin, "viewer", "viewer", Some("north")).await.1,
                Who::Stranger => make_member(&admin, "stranger", "analyst", Some("south")).await.1,
                Who::Zoneless => make_member(&admin, "zoneless", "analyst", None).await.1,
                Who::Admin => admin.clone(),
                Who::Anonymous => app.anonymous(),
            };
            people.push((who, person));
        }
        Self { owner, owner_id, admin, people }
    }

    /// The id for the path, and what a refusal has to leave as it is.
    async fn subject(&self, of: Of) -> (String, Vec<String>) {
        match of {
            Nothing => (String::new(), vec!["/stats/users".into(), "/stats/zones".into()]),
            Project => {
                let id = self.owner.project().await;
                (id.clone(), vec![format!("/projects/{id}"), format!("/projects/{id}/scenarios")])
            }
            Scenario => {
                let id = self.calculated().await;
                (id.clone(), vec![format!("/scenarios/{id}"), format!("/scenarios/{id}/runs")])
            }
            Run => {
                let id = self.calculated().await;
                let runs = format!("/scenarios/{id}/runs");
                let run = crate::app::id(&self.owner.get(&runs).await.is(200)["items"][0]);
                (format!("{id}/{run}"), vec![runs])
            }
            Failed => {
                let id = self.owner.plant(PANICS).await;
                let run = self.owner.calculate(&id).await;
                self.owner.reaches(&id, "failed").await;
                (format!("{id}/{run}"), vec![format!("/scenarios/{id}"), format!("/scenarios/{id}/runs")])
            }
            Pair => {
                let (one, other) = (self.calculated().await, self.calculated().await);
                (format!("{one},{other}"), vec![format!("/scenarios/{one}"), format!("/scenarios/{other}")])
            }
            Operation => {
                let project = self.owner.project().await;
                let id = crate::app::id(&self.owner.import(&project, FILE, "").await.is(202));
                self.owner.ends(&id).await;
                (id.clone(), vec![format!("/operations/{id}"), format!("/projects/{project}/scenarios")])
            }
            Defaults => (String::new(), vec!["/master-data/fresh".into(), "/master-data".into()]),
            Key => {
                let key = id(&self.owner.post("/auth/keys", json!({ "name": "notebook" })).await.is(201));
                (key, vec!["/auth/keys".into()])
            }
            Owner => (self.owner_id.clone(), vec![format!("/users/{}", self.owner_id)]),
            User => {
                let user = json!({ "name": "Una", "zone_id": "north" });
                let id = id(&self.admin.post("/users", user).await.is(201));
                (id.clone(), vec![format!("/users/{id}")])
            }
            Zone => ("north".into(), vec!["/zones/north?include=users".into()]),
            EmptyZone => {
                let zone = new();
                make_zone(&self.admin, &zone).await;
                (zone.clone(), vec![format!("/zones/{zone}")])
            }
        }
    }

    /// A new scenario of the owner, calculated.
    async fn calculated(&self) -> String {
        let project = self.owner.project().await;
        let id = self.owner.scenario(&project, json!({})).await;
        self.owner.post(&format!("/scenarios/{id}/calculate/sync"), None).await.is(200);
        id
    }

    /// What there is, as one sees it who sees everything there.
    async fn seen(&self, of: Of, paths: &[String]) -> Vec<Value> {
        let witness = if matches!(of, Key) { &self.owner } else { &self.admin };
        let mut all = Vec::new();
        for path in paths {
            all.push(witness.get(path).await.is(200));
        }
        all
    }

    async fn body(&self, text: &str) -> Option<Value> {
        let mut text = text.replace("$new", &new()).replace("$password", PASSWORD);
        if text.contains("$token") {
            let account = json!({ "email": "owner@example.com", "password": PASSWORD });
            let tokens = self.owner.post("/auth/login", account).await.is(200);
            text = text.replace("$token", tokens["refresh_token"].as_str().expect("a refresh token"));
        }
        if text.contains("$defaults") {
            let inputs = &MasterData::seed().defaults[0].inputs;
            text = text.replace("$defaults", &serde_json::to_string(inputs).expect("JSON"));
        }
        (!text.is_empty()).then(|| serde_json::from_str(&text).expect("JSON"))
    }
}

fn new() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("new-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

on_both_engines! {
    async fn everybody_may_do_what_the_matrix_says_and_a_refusal_changes_nothing(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let world = World::of(&app).await;
        let mut wrong = Vec::new();
        for (operation, class, of, body) in TABLE {
            let (method, template) = operation.split_once(' ').expect("a method and a path");
            let method: Method = method.parse().expect("a method");
            for (who, person) in &world.people {
                let (id, witnesses) = world.subject(*of).await;
                let body = world.body(body).await;
                let before = world.seen(*of, &witnesses).await;
                let answer = match *operation {
                    IMPORT => person.import(&id, FILE, "").await,
                    _ => person.send(method.clone(), &path(template, &id), body).await,
                };
                let expected = class.status(*who);
                let code = match expected {
                    401 => json!("unauthorized"),
                    403 => json!("forbidden"),
                    404 => json!("not_found"),
                    409 if operation.contains("/operations") => json!("operation.ended"),
                    409 => json!("run.not_in_motion"),
                    _ => answer.json["code"].clone(),
                };
                if (answer.status, &answer.json["code"]) != (expected, &code) {
                    wrong.push(format!("{operation} as {who:?}: {expected}, not {} {}", answer.status, answer.json));
                }
                if answer.status >= 400 && world.seen(*of, &witnesses).await != before {
                    wrong.push(format!("{operation} as {who:?}: refused, but it changed something"));
                }
                let outside = matches!(who, Who::Stranger | Who::Zoneless);
                let told = match class {
                    List => Some(world.owner_id.as_str()),
                    Named(name) => Some(*name),
                    _ => None,
                };
                let finds = told.is_some_and(|told| answer.json.to_string().contains(told));
                if told.is_some() && answer.status == 200 && finds == outside {
                    wrong.push(format!("{operation} as {who:?}: shows the owner's: {finds}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        app.stop().await;
    }
}
