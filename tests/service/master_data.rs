//! Master data: what is listed, what administrators change of it, and what that means for scenarios.

use safire::config::SecretUrl;
use safire_domain::master_data::MasterData;
use safire_test_support::{TestDatabase, TestRedis, on_both_engines};
use serde_json::{Value, json};

use crate::{
    app::{Client, TestApp, eventually, first_error, id},
    users::{errors, with},
};

const USA: &str = "/default-sets/HEFA/UCO/USA";

/// The body that stores the worked case's default set as it is.
fn usa() -> Value {
    let set = &MasterData::seed().defaults[0];
    json!({ "inputs": set.inputs, "notes": set.notes })
}

fn usd_per_t(value: f64) -> Value {
    json!({ "price": { "value": value, "unit": "USD/t" } })
}

fn codes(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|entry| entry["code"].as_str().expect("a code")).collect()
}

/// The entry's default sets, as process and country.
fn sets(entry: &Value) -> Vec<(&str, &str)> {
    let text = |set: &'_ Value, name: &str| set[name].as_str().expect("a code").to_owned();
    let all = entry["default_sets"].as_array().expect("default sets");
    let known = |set: &Value| match (text(set, "process").as_str(), text(set, "country").as_str()) {
        ("HEFA", "USA") => ("HEFA", "USA"),
        ("HEFA", "Malaysia") => ("HEFA", "Malaysia"),
        ("FT-BtL", "USA") => ("FT-BtL", "USA"),
        ("FT-BtL", "Malaysia") => ("FT-BtL", "Malaysia"),
        other => panic!("{other:?}"),
    };
    all.iter().map(known).collect()
}

async fn jet_price(user: &Client) -> f64 {
    let products = user.get("/products").await.is(200);
    products[0]["default_sets"][0]["inputs"]["price"]["value"].as_f64().expect("a price")
}

async fn edition(user: &Client) -> i64 {
    user.get("/master-data/fresh").await.is(200)["edition"].as_i64().expect("an edition")
}

on_both_engines! {
    async fn the_lists_say_what_the_default_sets_know(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let processes = ana.get("/process-technologies").await.is(200);
        assert_eq!(codes(&processes), ["HEFA", "FT-BtL", "ATJ", "CHJ"]);
        assert_eq!(sets(&processes[0]), [("HEFA", "USA"), ("HEFA", "Malaysia")]);
        assert_eq!(sets(&processes[2]), []);
        let countries = ana.get("/countries").await.is(200);
        assert_eq!(codes(&countries), ["USA", "Malaysia"]);
        assert_eq!(sets(&countries[0]), [("HEFA", "USA"), ("FT-BtL", "USA")]);
        let feedstocks = ana.get("/feedstocks").await.is(200);
        assert_eq!(codes(&feedstocks), ["UCO", "lignocellulosic-biomass", "animal-manure"]);
        assert_eq!(feedstocks[0]["name"], "Used cooking oil");
        let uco = &feedstocks[0]["default_sets"][0];
        assert_eq!((&uco["inputs"]["price"], &uco["feedstock"]), (&json!({ "value": 930.0, "unit": "USD/t" }), &json!("UCO")));
        assert_eq!(uco["inputs"]["carbon_content"], json!({ "value": 0.78, "unit": "kg/kg" }));
        // No default set has it, but something is known of it.
        let manure = &feedstocks[2];
        assert_eq!((&manure["default_sets"], &manure["yield"]["value"]), (&json!([]), &json!(8.5)));
        assert_eq!(manure["carbon_content"], json!({ "value": 0.4, "unit": "kg/kg" }));
        let utilities = ana.get("/utilities").await.is(200);
        assert_eq!(codes(&utilities), ["hydrogen", "electricity"]);
        assert_eq!(utilities[1]["default_sets"][0]["inputs"]["price"], json!({ "value": 55.0, "unit": "USD/MWh" }));
        let products = ana.get("/products").await.is(200);
        assert_eq!(codes(&products), ["jet", "diesel", "gasoline", "propane", "naphtha"]);
        assert_eq!(products[0]["default_sets"][0]["inputs"]["energy_content"], json!({ "value": 43.8, "unit": "MJ/kg" }));
        assert_eq!(sets(&products[1]), [("HEFA", "USA"), ("HEFA", "Malaysia")]);
        assert_eq!(sets(&products[2]), []);

        let all = ana.get("/default-sets").await.is(200);
        assert_eq!(all, ana.get("/master-data").await.is(200)["defaults"]);
        let one = ana.get(USA).await;
        assert_eq!(one.header("etag"), "\"1\"");
        let one = one.is(200);
        assert_eq!((&one["inputs"], &one["edition"]), (&all[0]["inputs"], &json!(1)));
        for nowhere in ["/default-sets/ATJ/UCO/USA", "/default-sets/HEFA/UCO/Utopia", "/default-sets/a/%2F/%FF"] {
            ana.get(nowhere).await.refused(404, "not_found");
        }
        // One read of the database for all of them.
        assert_eq!(ana.get("/cache/stats").await.is(200)["loads"], 1);
        app.stop().await;
    }

    async fn a_default_set_is_replaced_and_everybody_sees_it_at_once(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (admin, ana) = (app.as_admin().await, app.register().await);
        assert_eq!(jet_price(&ana).await, 3000.0);
        let mut set = usa();
        set["inputs"]["products"]["jet"]["price"]["value"] = json!(2700);
        set["notes"] = json!(["jet: of the day"]);
        let put = admin.put(USA, set.clone()).await;
        assert_eq!(put.header("etag"), "\"2\"");
        let put = put.is(200);
        assert_eq!((&put["edition"], &put["notes"], &put["process"]), (&json!(2), &set["notes"], &json!("HEFA")));
        assert_eq!(ana.get(USA).await.is(200), put);
        assert_eq!(jet_price(&ana).await, 2700.0);
        assert_eq!(ana.get("/master-data").await.is(200)["edition"], 2);
        // Stored again it is the same, and no new edition.
        assert_eq!(admin.put(USA, set).await.is(200), put);

        let new = admin.sending("if-none-match", "*").put("/default-sets/ATJ/UCO/Malaysia", usa()).await.is(201);
        assert_eq!((&new["edition"], &new["country"]), (&json!(3), &json!("Malaysia")));
        let quick = json!({ "process": "ATJ", "feedstock": "UCO", "country": "Malaysia" });
        ana.post("/calculate/quick", quick).await.is(200);
        app.stop().await;
    }

    async fn a_default_set_is_made_where_there_is_none_and_replaced_where_there_is_one(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        let new = "/default-sets/ATJ/UCO/Malaysia";
        for replacing in ["*", "\"1\""] {
            admin.sending("if-match", replacing).put(new, usa()).await.refused(412, "version.changed");
        }
        admin.get(new).await.refused(404, "not_found");
        let making = admin.sending("if-none-match", "*");
        let made = making.put(new, usa()).await;
        let tag = made.header("etag").to_owned();
        let made = made.is(201);
        making.put(new, usa()).await.refused(412, "version.exists");
        making.put(USA, usa()).await.refused(412, "version.exists");
        assert_eq!(admin.get(new).await.is(200), made);

        let mut other = usa();
        other["notes"] = json!(["jet: of the day"]);
        let replaced = admin.sending("if-match", &tag).put(new, other.clone()).await.is(200);
        assert_eq!((&replaced["notes"], &replaced["edition"]), (&other["notes"], &json!(3)));
        admin.sending("if-match", &tag).put(new, usa()).await.refused(412, "version.changed");
        admin.sending("if-match", "*").put(new, usa()).await.is(200);
        let url = format!("http://{}/api/v1{new}", app.service().address());
        let bare = reqwest::Client::new().put(url).json(&usa()).bearer_auth(admin.token.as_ref().unwrap());
        let refused = bare.send().await.unwrap();
        assert_eq!(refused.status(), 428);
        assert!(refused.json::<Value>().await.unwrap()["detail"].as_str().unwrap().contains("If-None-Match: *"));
        app.stop().await;
    }

    async fn of_many_who_make_one_default_set_one_succeeds(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let making = app.as_admin().await.sending("if-none-match", "*");
        let answers = futures::future::join_all([(); 8].map(|()| making.put("/default-sets/ATJ/UCO/Malaysia", usa())));
        let mut statuses: Vec<_> = answers.await.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 412, 412, 412, 412, 412, 412, 412]);
        app.stop().await;
    }

    async fn a_default_set_that_is_not_right_is_refused_field_by_field(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        let before = admin.get("/master-data/fresh").await.is(200);
        let mut set = usa();
        set["inputs"]["economics"]["discount_rate"]["value"] = json!(-1);
        set["inputs"]["plant"].as_object_mut().unwrap().remove("capacity");
        set["inputs"]["products"]["kerosene"] = set["inputs"]["products"]["naphtha"].clone();
        let refused = admin.put(USA, set).await.refused(422, "inputs.invalid");
        let found = errors(&refused);
        for expected in [
            ("/inputs/products/kerosene", "code.unknown"),
            ("/inputs/plant/capacity", "required"),
            ("/inputs/economics/discount_rate", "out_of_range"),
        ] {
            assert!(found.contains(&expected), "{expected:?}: {found:?}");
        }
        let rate = refused["errors"].as_array().unwrap().iter().find(|e| e["code"] == "out_of_range").unwrap();
        assert_eq!(rate["allowed"]["max"], 1.0);

        let refused = admin.put("/default-sets/HEFA/animal-manure/USA", usa()).await.refused(422, "inputs.invalid");
        assert_eq!(first_error(&refused), ("/inputs/feedstocks/animal-manure", "required"));
        let refused = admin.put("/default-sets/HEFA/tallow/USA", usa()).await.refused(404, "not_found");
        assert!(refused["detail"].as_str().unwrap().contains("tallow"), "{refused}");
        let refused = admin.put(USA, json!({ "inputs": {} })).await.refused(422, "inputs.invalid");
        assert!(errors(&refused).len() > 10);
        let many = with(&usa(), "notes", json!(vec!["n"; 51]));
        assert_eq!(first_error(&admin.put(USA, many).await.refused(422, "inputs.invalid")), ("/notes", "out_of_range"));
        for (body, pointer, code) in [
            (json!({}), "/inputs", "required"),
            (with(&usa(), "notes", json!(["two\nlines"])), "/notes/0", "type"),
            (with(&usa(), "edition", json!(9)), "/edition", "field.unknown"),
            (with(&usa(), "process", json!("ATJ")), "/process", "field.unknown"),
            (json!({ "inputs": { "plant": { "capacity": 5 } } }), "/inputs/plant/capacity", "type"),
        ] {
            let refused = admin.put(USA, body).await.refused(422, "body.invalid");
            assert_eq!(first_error(&refused), (pointer, code), "{refused}");
        }
        assert_eq!(admin.get("/master-data/fresh").await.is(200), before);
        app.stop().await;
    }

    async fn a_price_counts_in_every_default_set_that_has_it(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (admin, ana) = (app.as_admin().await, app.register().await);
        assert_eq!(jet_price(&ana).await, 3000.0);
        let put = admin.put("/products/jet/price", usd_per_t(2600.0)).await;
        assert_eq!(put.header("etag"), "\"2\"");
        let put = put.is(200);
        assert_eq!((&put["code"], &put["edition"], &put["country"]), (&json!("jet"), &json!(2), &Value::Null));
        assert_eq!(sets(&put).len(), 4);
        assert_eq!(jet_price(&ana).await, 2600.0);
        // The same price is no change.
        assert_eq!(admin.put("/products/jet/price", usd_per_t(2600.0)).await.is(200), put);

        let here = with(&usd_per_t(900.0), "country", json!("Malaysia"));
        let put = admin.put("/feedstocks/UCO/price", here).await.is(200);
        assert_eq!((sets(&put), &put["edition"]), (vec![("HEFA", "Malaysia")], &json!(3)));
        let power = json!({ "price": { "value": 0.06, "unit": "USD/kWh" } });
        assert_eq!(sets(&admin.put("/utilities/electricity/price", power).await.is(200)).len(), 4);
        assert_eq!(edition(&ana).await, 4);
        let set = ana.get(USA).await.is(200);
        assert_eq!(set["inputs"]["utilities"]["electricity"]["price"], json!({ "value": 0.06, "unit": "USD/kWh" }));
        assert_eq!(set["inputs"]["feedstocks"]["UCO"]["price"]["value"], 930.0);
        app.stop().await;
    }

    async fn a_price_that_is_wrong_changes_nothing(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        let per_mwh = json!({ "price": { "value": 1, "unit": "USD/MWh" } });
        for (path, body, pointer, code) in [
            ("/products/jet/price", usd_per_t(-1.0), "/price", "out_of_range"),
            ("/products/jet/price", per_mwh.clone(), "/price", "unit.wrong_group"),
            ("/utilities/hydrogen/price", per_mwh, "/price", "unit.wrong_group"),
            ("/feedstocks/UCO/price", json!({ "price": { "value": 1, "unit": "EUR/t" } }), "/price", "unit.unknown"),
            ("/feedstocks/UCO/price", with(&usd_per_t(1.0), "country", json!("Utopia")), "/country", "code.unknown"),
        ] {
            let refused = admin.put(path, body).await.refused(422, "inputs.invalid");
            assert_eq!(first_error(&refused), (pointer, code), "{path}");
        }
        for (body, pointer, code) in [
            (json!({}), "/price", "required"),
            (json!({ "price": 5 }), "/price", "type"),
            (with(&usd_per_t(1.0), "edition", json!(7)), "/edition", "field.unknown"),
            (with(&usd_per_t(1.0), "code", json!("diesel")), "/code", "field.unknown"),
        ] {
            let refused = admin.put("/products/jet/price", body).await.refused(422, "body.invalid");
            assert_eq!(first_error(&refused), (pointer, code));
        }
        for path in ["/products/kerosene/price", "/utilities/steam/price", "/feedstocks/jet/price"] {
            admin.put(path, usd_per_t(1.0)).await.refused(404, "not_found");
        }
        admin.put("/products/gasoline/price", usd_per_t(1.0)).await.refused(409, "price.unused");
        assert_eq!(edition(&admin).await, 1);
        app.stop().await;
    }

    async fn a_result_of_other_defaults_is_stale_until_it_is_calculated_again(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (admin, ana) = (app.as_admin().await, app.register().await);
        let project = ana.project().await;
        let touched = ana.scenario(&project, json!({})).await;
        let own = json!({ "feedstocks": { "UCO": { "price": { "value": 930, "unit": "USD/t" } } } });
        let untouched = ana.scenario(&project, own).await;
        for scenario in [&touched, &untouched] {
            ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        }
        let path = format!("/scenarios/{touched}/result");
        let tag = ana.get(&path).await.header("etag").to_owned();
        let has = ana.sending("if-none-match", &tag);
        has.get(&path).await.is(304);
        admin.put("/feedstocks/UCO/price", usd_per_t(1000.0)).await.is(200);
        assert_eq!(has.get(&path).await.is(200)["stale"], true);
        let result = async |scenario: &str| ana.get(&format!("/scenarios/{scenario}/result")).await.is(200);
        let old = result(&touched).await;
        assert_eq!((&old["stale"], &old["run"]["edition"]), (&json!(true), &json!(1)));
        assert_eq!(old["result"]["feedstocks"][0]["usd_per_yr"], 562_650_000.0);
        assert_eq!(result(&untouched).await["stale"], false);

        let new = ana.post(&format!("/scenarios/{touched}/calculate/sync"), None).await.is(200);
        assert_eq!((&new["stale"], &new["run"]["edition"]), (&json!(false), &json!(2)));
        assert_eq!(new["result"]["feedstocks"][0]["usd_per_yr"], 605_000_000.0);
        assert_eq!(result(&touched).await["run"]["id"].as_str().unwrap(), id(&new["run"]));
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_change_through_one_replica_is_seen_through_the_other() {
    let database = &TestDatabase::postgres().await;
    let redis = TestRedis::start();
    let with_redis = || {
        TestApp::with(database, |config, _| {
            config.cache.redis_url = Some(SecretUrl::from(redis.url()));
        })
    };
    let (first, second) = (with_redis().await, with_redis().await);
    for app in [&first, &second] {
        eventually("Redis", async || {
            let health = app.anonymous().get("/health").await.is(200);
            if health["status"] == "healthy" && health["redis"]["total_keys"].is_u64() { Ok(()) } else { Err(health) }
        })
        .await;
    }
    let admin = first.as_admin().await;
    let there = second.anonymous().with_token(admin.token.as_ref().unwrap());
    for value in [2900.0, 2800.0, 2700.0] {
        jet_price(&admin).await;
        jet_price(&there).await;
        admin.put("/products/jet/price", usd_per_t(value)).await.is(200);
        assert_eq!(jet_price(&admin).await, value);
        // By the announcement: long before the copy in memory expires.
        eventually("the new price", async || {
            let seen = jet_price(&there).await;
            if seen == value { Ok(()) } else { Err(seen) }
        })
        .await;
    }
    first.stop().await;
    second.stop().await;
}
