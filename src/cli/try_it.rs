//! `safire try-it`: the main job, as any client of the API would do it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rand::RngExt;
use reqwest::{Client, Response, StatusCode};
use safire_domain::{run::Computed, scenario::Pathway};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::show;
use crate::report;

/// How long the calculation is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct Project {
    id: String,
    scenario: Scenario,
}

#[derive(Deserialize)]
struct Scenario {
    id: String,
    status: String,
}

pub(super) async fn run(url: &str, account: Option<(String, String)>) -> anyhow::Result<()> {
    let client = Client::builder().timeout(PATIENCE).build()?;
    let api = format!("{}/api/v1", url.trim_end_matches('/'));

    let (email, password) = match account {
        Some(account) => account,
        None => register(&client, &api).await?,
    };
    let login = client.post(format!("{api}/auth/login")).json(&json!({ "email": email, "password": password }));
    let token: Token = answer(login.send().await.context("the service does not answer")?).await?;
    show(&format!("signed in as {email}\n"))?;

    let pathway = Pathway { process: "HEFA".into(), feedstock: "UCO".into(), country: "USA".into() };
    let project: Project = {
        let mut body = serde_json::to_value(&pathway)?;
        body["name"] = "Try it".into();
        answer(client.post(format!("{api}/projects")).bearer_auth(&token.access_token).json(&body).send().await?)
            .await?
    };
    show(&format!("made project {}\n", project.id))?;

    let scenario = format!("{api}/scenarios/{}", project.scenario.id);
    let begun = Instant::now();
    let get = async |path: &str| -> anyhow::Result<Response> {
        Ok(client.get(format!("{scenario}{path}")).bearer_auth(&token.access_token).send().await?)
    };
    if project.scenario.status == "draft" {
        let calculate = client.post(format!("{scenario}/calculate")).bearer_auth(&token.access_token);
        answer::<Value>(calculate.send().await?).await?;
    }
    loop {
        let now: Scenario = answer(get("").await?).await?;
        show(&format!("scenario {} is {}\n", now.id, now.status))?;
        match now.status.as_str() {
            "calculated" => break,
            "failed" => bail!("the calculation failed: {}", get("/result").await?.text().await?),
            _ => ensure!(begun.elapsed() < PATIENCE, "the calculation takes longer than {PATIENCE:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let computed: Computed = answer(get("/result").await?).await?;
    show(&format!("\n{}", report::table(&pathway, &computed)))
}

/// Makes an account of its own, so that nobody's password is needed.
async fn register(client: &Client, api: &str) -> anyhow::Result<(String, String)> {
    let random: u128 = rand::rng().random();
    let email = format!("try-it-{:08x}@example.com", random as u32);
    let password = format!("{random:032x}");
    let account = json!({ "email": email, "name": "Try it", "password": password });
    let registered = client.post(format!("{api}/auth/register")).json(&account).send().await;
    let registered = registered.context("the service does not answer")?;
    ensure!(
        registered.status() != StatusCode::TOO_MANY_REQUESTS,
        "the service makes no more accounts for now; sign in as somebody with --email and --password \
         (the administrator's were printed at its first start)"
    );
    answer::<Value>(registered).await?;
    Ok((email, password))
}

async fn answer<T: DeserializeOwned>(response: Response) -> anyhow::Result<T> {
    let status = response.status();
    let body = response.text().await?;
    ensure!(status.is_success(), "the service answers {status}: {body}");
    serde_json::from_str(&body).with_context(|| format!("the service answers something unexpected: {body}"))
}
