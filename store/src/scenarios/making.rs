//! How scenarios are stored when they are made.

use std::collections::HashMap;

use safire_domain::{scenario::Scenario, user::Access};
use sqlx::types::Json;

use super::{StatusRow, told};
use crate::{
    Connection, Result,
    access::{Right, Written},
    connection::on,
    events, projects,
};

/// Stores a new scenario in a project that the user may change, and tells of it: to be called in a transaction.
pub async fn insert(connection: &mut Connection, access: Access, scenario: &Scenario) -> Result<Written> {
    let right = projects::right_for_share(connection, access, scenario.project_id).await?;
    if right != Right::Write {
        return Ok(Written::refused(right));
    }
    insert_all(connection, std::slice::from_ref(scenario)).await?;
    Ok(Written::Yes)
}

/// Stores new scenarios in projects that the user may change, and tells of them: the caller has made sure of it in
/// this transaction.
pub(crate) async fn insert_all(connection: &mut Connection, scenarios: &[Scenario]) -> Result<()> {
    for some in scenarios.chunks(AT_ONCE) {
        on!(&mut *connection, c => {
            let mut query = sqlx::QueryBuilder::new(
                "INSERT INTO scenarios (id, project_id, name, process, feedstock, country, inputs, revision,
                                        status, run_id, rest_status, rest_run_id, version, created_at, updated_at) ",
            );
            query.push_values(some, |mut row, scenario| {
                let status = StatusRow::write(scenario.status);
                row.push_bind(scenario.id.uuid())
                    .push_bind(scenario.project_id.uuid())
                    .push_bind(scenario.name.as_str())
                    .push_bind(&scenario.pathway.process)
                    .push_bind(&scenario.pathway.feedstock)
                    .push_bind(&scenario.pathway.country)
                    .push_bind(Json(&scenario.inputs))
                    .push_bind(scenario.revision)
                    .push_bind(status.status)
                    .push_bind(status.run_id)
                    .push_bind(status.rest_status)
                    .push_bind(status.rest_run_id)
                    .push_bind(scenario.version)
                    .push_bind(scenario.created_at)
                    .push_bind(scenario.updated_at);
            });
            query.build().execute(c).await.map(drop)
        })?;
        let created: Vec<_> = some.iter().map(|scenario| (scenario, told(scenario))).collect();
        events::append_created(connection, &created).await?;
    }
    Ok(())
}

/// Rows of one statement.
const AT_ONCE: usize = 250;

/// Stores those of some new scenarios whose projects the user may change; tells of each how that went.
pub async fn insert_batch(
    connection: &mut Connection,
    access: Access,
    scenarios: Vec<Scenario>,
) -> Result<Vec<Written>> {
    let mut rights = HashMap::new();
    let (mut written, mut allowed) = (Vec::with_capacity(scenarios.len()), Vec::new());
    for scenario in scenarios {
        let project = scenario.project_id;
        let right = match rights.get(&project) {
            Some(right) => *right,
            None => projects::right_for_share(connection, access, project).await?,
        };
        rights.insert(project, right);
        if right == Right::Write {
            written.push(Written::Yes);
            allowed.push(scenario);
        } else {
            written.push(Written::refused(right));
        }
    }
    insert_all(connection, &allowed).await?;
    Ok(written)
}
