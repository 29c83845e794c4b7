//! Values that tests need in order to get to their point.

use safire_domain::{
    Clock, ProjectId, ScenarioId, Timestamp, UserId,
    clock::SystemClock,
    engine::InputDocument,
    lifecycle::Status,
    name::{Description, Email, Name},
    project::Project,
    scenario::{Pathway, Scenario},
    user::{Role, User},
};

/// The present.
pub fn now() -> Timestamp {
    SystemClock.now()
}

fn name(text: &str) -> Name {
    Name::try_from(text.to_owned()).expect("a name")
}

/// An analyst with an address of their own.
pub fn analyst() -> User {
    let id = UserId::new(now());
    let email = Email::try_from(format!("{id}@example.com")).expect("an address");
    let created_at = now();
    User { id, global_id: id.to_string(), name: name("Ana"), email: Some(email), role: Role::Analyst, created_at }
}

/// A project of that user.
pub fn project(owner: &User) -> Project {
    let now = now();
    let description = Description::try_from(String::new()).expect("a description");
    let id = ProjectId::new(now);
    Project { id, owner_id: owner.id, name: name("Plants"), description, version: 1, created_at: now, updated_at: now }
}

/// A draft of the worked case in that project, with nothing given.
pub fn scenario(project: &Project) -> Scenario {
    let now = now();
    Scenario {
        id: ScenarioId::new(now),
        project_id: project.id,
        name: name("Scenario"),
        pathway: Pathway { process: "HEFA".into(), feedstock: "UCO".into(), country: "USA".into() },
        inputs: InputDocument::default(),
        revision: 1,
        status: Status::DRAFT,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}
