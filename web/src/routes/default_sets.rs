//! Default sets: what a pathway's inputs are unless a scenario gives others.

use axum::{Json, extract::State, response::Response};
use http::StatusCode;
use safire_domain::{
    engine::InputDocument,
    master_data::{DefaultSet, MasterData},
    name::Note,
};
use safire_store::master_data::{self, Edited};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    App, Problem,
    auth::{Admin, Caller},
    body::Body,
    conditional::{Expected, Has, IfMatch, Tagged},
    extract::InPathway,
    problem::{FieldError, field_errors},
};

/// Lines of notes at most.
const MOST_NOTES: usize = 50;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read, replace))
}

/// A default set and the edition of the master data that it is of.
#[derive(Serialize, ToSchema)]
struct DefaultSetView {
    #[serde(flatten)]
    set: DefaultSet,
    /// Counts the changes of the master data.
    #[schema(example = 2)]
    edition: i64,
}

/// A default set, whole.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DefaultSetText {
    /// Every input: nothing fills up what a default set leaves out.
    inputs: InputDocument,
    /// Where figures come from that need saying, up to 50 lines.
    #[serde(default)]
    #[schema(max_items = 50)]
    notes: Vec<Note>,
}

/// The edition after a change, and what the change came upon.
pub(super) fn edited<T>(outcome: Edited<T>, if_match: &IfMatch) -> Result<(i64, T), Problem> {
    match outcome {
        Edited::Done { edition, found } => Ok((edition, found)),
        Edited::Stale { .. } => Err(if_match.lost()),
    }
}

fn example() -> serde_json::Value {
    let set = &MasterData::seed().defaults[0];
    serde_json::json!({
        "process": set.pathway.process, "feedstock": set.pathway.feedstock, "country": set.pathway.country,
        "inputs": set.inputs, "notes": set.notes, "edition": 2,
    })
}

fn example_text() -> serde_json::Value {
    let set = &MasterData::seed().defaults[0];
    serde_json::json!({ "inputs": set.inputs, "notes": set.notes })
}

/// All default sets.
///
/// As they are cached, for up to an hour on replicas without Redis.
#[utoipa::path(
    get, path = "/default-sets", tag = "master data",
    responses(
        (status = 200, description = "All default sets", body = Vec<DefaultSet>,
            example = json!([MasterData::seed().defaults[0]])),
    )
)]
async fn list(State(app): State<App>, _: Caller) -> Result<Json<Vec<DefaultSet>>, Problem> {
    Ok(Json(app.master_data().await?.defaults))
}

/// The default set of one pathway, as it is now.
///
/// Its entity tag is the edition of the master data.
#[utoipa::path(
    get, path = "/default-sets/{process}/{feedstock}/{country}", tag = "master data",
    params(
        ("process" = String, Path, description = "The process technology's code", example = "HEFA"), ("feedstock" = String, Path, description = "The feedstock's code", example = "UCO"),
        ("country" = String, Path, description = "The country's code", example = "USA"), ("If-None-Match" = Option<String>, Header),
    ),
    responses(
        (status = 200, description = "The default set",
            headers(("ETag")),
            body = DefaultSetView, example = json!(example())),
        (status = 404, description = "The pathway has no default set"),
    )
)]
async fn read(State(app): State<App>, _: Caller, InPathway(pathway): InPathway, has: Has) -> Result<Response, Problem> {
    let (edition, set) =
        app.database.read(move |c| Box::pin(async move { master_data::defaults_of(c, &pathway).await })).await?;
    let set = set.ok_or_else(|| Problem::not_found("default set"))?;
    Ok(has.or(Tagged::new(edition, DefaultSetView { set, edition })))
}

/// Makes or replaces the default set of a pathway (administrators).
///
/// `If-None-Match: *` makes one where there is none; `If-Match` replaces the one that there is. Scenarios that it fills
/// up show as stale when their result was of other inputs; results are kept until they are calculated again.
#[utoipa::path(
    put, path = "/default-sets/{process}/{feedstock}/{country}", tag = "master data",
    params(
        ("process" = String, Path, description = "The process technology's code", example = "HEFA"), ("feedstock" = String, Path, description = "The feedstock's code", example = "UCO"),
        ("country" = String, Path, description = "The country's code", example = "USA"),
        ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header),
    ),
    request_body(content = DefaultSetText, example = json!(example_text())),
    responses(
        (status = 200, description = "The default set, replaced, or as it was when nothing differs",
            headers(("ETag")),
            body = DefaultSetView, example = json!(example())),
        (status = 201, description = "The default set of a pathway that had none",
            headers(("ETag")),
            body = DefaultSetView, example = json!(example())),
        (status = 403, description = "The caller is no administrator"),
        (status = 404, description = "No such process technology, feedstock or country"),
        (status = 412, description = "`version.changed`: there is none, or not the edition in If-Match; \
            `version.exists`: there is one already, and If-None-Match asks for none"),
        (status = 422, description = "`inputs.invalid`: an input is missing, wrong or unknown; nothing was stored"),
    )
)]
async fn replace(
    State(app): State<App>,
    _: Admin,
    InPathway(pathway): InPathway,
    expected: Expected,
    Body(text): Body<DefaultSetText>,
) -> Result<(StatusCode, Tagged<DefaultSetView>), Problem> {
    let notes = text.notes.into_iter().map(String::from).collect();
    let set = DefaultSet { pathway, inputs: text.inputs, notes };
    check(&app, &set).await?;
    let (row, precondition) = (set.clone(), expected.clone());
    let allows = move |edition| precondition.allows(edition);
    let outcome = app.database.write(move |c| Box::pin(master_data::put_default_set(c, row, allows))).await;
    app.master_data_changed().await;
    let Edited::Done { edition, found: is_new } = outcome? else { return Err(expected.failed()) };
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Tagged::new(edition, DefaultSetView { set, edition })))
}

/// What is wrong in the path is not there; what is wrong in the body is refused, all of it at once.
async fn check(app: &App, set: &DefaultSet) -> Result<(), Problem> {
    let violations = app.master_data().await?.check_default_set(set);
    let (in_body, in_path): (Vec<_>, Vec<_>) = violations.into_iter().partition(|v| v.pointer.starts_with("/inputs"));
    if let Some(violation) = in_path.into_iter().next() {
        return Err(Problem::not_found(&format!("default set: {}", violation.message)));
    }
    let mut errors = field_errors("", &in_body);
    if set.notes.len() > MOST_NOTES {
        let message = format!("there are {} notes, allowed are up to {MOST_NOTES}", set.notes.len());
        errors.push(FieldError::new("/notes", "out_of_range", message));
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid("inputs.invalid", errors)) }
}

impl App {
    /// The master data was written: what is cached of it is out of date. Called also when a write was not
    /// answered, because it may have been committed.
    pub(super) async fn master_data_changed(&self) {
        if let Err(unavailable) = self.cache.invalidate(crate::app::MASTER_DATA).await {
            tracing::warn!(%unavailable, "other replicas may list the old master data until it expires");
        }
    }
}
