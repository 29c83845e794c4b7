//! `safire healthcheck`: for containers, where nothing else is there to ask.

use std::time::Duration;

use anyhow::{Context, bail};

use super::show;
use crate::config::Config;

pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let host = match config.http.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let url = format!("http://{}/health/ready", address(host, config.http.port));
    let client = reqwest::Client::builder().timeout(Duration::from_secs(3)).build()?;
    let answer = client.get(&url).send().await.with_context(|| format!("no answer from {url}"))?;
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    if !status.is_success() {
        bail!("{url} answers {status}: {body}");
    }
    show(&format!("{body}\n"))
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
