//! Traces: what the log says of a request and its run, and what a collector is sent.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Any, trace::v1::Span,
};
use prost::Message;
use safire_test_support::{TestDatabase, free_port, on_both_engines};
use serde_json::{Value, json};

use crate::{
    app::{ADMIN, BUSY, Client, PASSWORD, SECRET, eventually, id},
    process::Server,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const VERBOSE: &str = "log.filter=info,safire=debug,safire_web=debug,safire_actors=debug";

type Spans = Arc<Mutex<Vec<Span>>>;

/// Takes spans by OTLP over HTTP.
struct Collector {
    address: SocketAddr,
    spans: Spans,
}

impl Collector {
    async fn start() -> Self {
        let spans = Spans::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { address, spans }
    }
}

async fn take(State(spans): State<Spans>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    for of_resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let resource = of_resource.resource.unwrap();
        let service = resource.attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
        assert_eq!(service.value.clone().unwrap().value, Some(Any::StringValue("safire".into())));
        spans.lock().unwrap().extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute<'s>(span: &'s Span, name: &str) -> Option<&'s str> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text),
        _ => None,
    }
}

/// The span of the line of that trace that says so.
fn span_of(server: &Server, message: &str) -> Value {
    let log = server.log.lock().unwrap();
    let mut lines = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = lines.rfind(|line| line["message"] == message && line["span"]["trace_id"] == TRACE);
    found.unwrap_or_else(|| panic!("nothing says {message} in {log:#?}"))["span"].clone()
}

on_both_engines! {
    async fn a_trace_leads_from_a_request_to_its_run_in_the_log_and_at_a_collector(database: &TestDatabase) {
        let collector = Collector::start().await;
        let endpoint = format!("traces.endpoint=http://{}", collector.address);
        let mut server = Server::start_with(database, &["--set", &endpoint, "--set", VERBOSE]);
        let ana = server.nobody().register().await;
        let scenario = ana.plant(500_000.0).await;
        let in_trace = |who: &Client| {
            who.sending("traceparent", &format!("00-{TRACE}-{PARENT}-01")).sending("x-request-id", "notebook-7")
        };
        let (traced, admin) = (in_trace(&ana), server.nobody().login(ADMIN.0, ADMIN.1).await);
        in_trace(&admin).get("/users-dict").await.is(200);
        traced.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        let run = id(&ana.get(&format!("/scenarios/{scenario}/runs")).await.is(200)["items"][0]);
        assert_eq!(server.terminate().0.code(), Some(0));

        let request = span_of(&server, "answered");
        let route = "/api/v1/scenarios/{id}/calculate/sync";
        assert_eq!(request, json!({
            "name": "request", "request.id": "notebook-7", "trace_id": TRACE, "span_id": request["span_id"],
            "parent_id": PARENT, "method": "POST", "route": route, "status": 200,
        }));
        let of_run = span_of(&server, "the run has ended");
        assert_eq!(of_run, json!({
            "name": "run", "run.id": run, "scenario.id": scenario, "attempt": of_run["attempt"],
            "request.id": "notebook-7", "trace_id": TRACE, "span_id": of_run["span_id"], "parent_id": request["span_id"],
        }));

        let spans = collector.spans.lock().unwrap();
        let of_trace: Vec<_> = spans.iter().filter(|span| hex(&span.trace_id) == TRACE).collect();
        let one = |name: &str| *of_trace.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"));
        let (sent_request, sent_run, question) = (one(&format!("POST {route}")), one("run"), one("scenario"));
        assert_eq!(request["span_id"], hex(&sent_request.span_id));
        assert_eq!(hex(&sent_request.parent_span_id), PARENT);
        assert_eq!(of_run["span_id"], hex(&sent_run.span_id));
        assert_eq!(sent_run.parent_span_id, sent_request.span_id);
        assert_eq!(question.parent_span_id, sent_request.span_id);
        for span in [sent_run, question] {
            assert_eq!(attribute(span, "scenario.id"), Some(&*scenario));
            assert_eq!(attribute(span, "request.id"), Some("notebook-7"));
        }
        assert_eq!(attribute(sent_run, "run.id"), Some(&*run));
        // The result was committed for the run, the run accepted for the request.
        let committed = of_trace.iter().filter(|span| span.name == "database" && span.parent_span_id == sent_run.span_id);
        assert!(committed.count() >= 1, "{of_trace:#?}");
        // What the cache did not have was read for the request that asked for it.
        let read = one("GET /api/v1/users-dict");
        let of_read = |name: &str| of_trace.iter().any(|span| span.name == name && span.parent_span_id == read.span_id);
        assert!(of_read("cache") && of_read("database"), "{of_trace:#?}");
        let told = format!("{spans:?}");
        for secret in [ana.token.as_ref().unwrap(), SECRET, ADMIN.1, PASSWORD, "postgres://"] {
            assert!(!told.contains(secret), "a span tells a secret: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_or_is_away_holds_nobody_up() {
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [hangs.local_addr().unwrap().port(), free_port()] {
        let database = TestDatabase::sqlite();
        let endpoint = format!("traces.endpoint=http://127.0.0.1:{port}");
        let mut server = Server::start_with(&database, &["--set", &endpoint]);
        let ana = server.nobody().register().await;
        for _ in 0..100 {
            let begun = Instant::now();
            ana.get("/projects").await.is(200);
            assert!(begun.elapsed() < BUSY, "a request took {:?}", begun.elapsed());
        }
        let log = Arc::clone(&server.log);
        eventually("a word in the log", async || match log.lock().unwrap().join("\n") {
            said if said.contains("spans are not exported") => Ok(()),
            said => Err(said),
        })
        .await;
        let (status, took) = server.terminate();
        assert_eq!(status.code(), Some(0));
        assert!(took < Duration::from_secs(8), "it took {took:?} to end");
    }
}
