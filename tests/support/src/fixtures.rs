//! Values that tests need in order to get to their point.

use safire_domain::{
    Clock, ProjectId, ScenarioId, Timestamp, UserId,
    clock::SystemClock,
    engine::InputDocument,
    lifecycle::Status,
    name::{Description, Email, Name},
    project::Project,
    scenario::{Pathway, Scenario},
    user::User,
    zone::Zone,
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
    let now = now();
    let id = UserId::new(now);
    let email = Email::try_from(format!("{id}@example.com")).expect("an address");
    User { email: Some(email), ..User::new(id, name("Ana"), now) }
}

/// A zone with that id.
pub fn zone(id: &str) -> Zone {
    let now = now();
    let description = Description::try_from(String::new()).expect("a description");
    let zone_id = id.parse().expect("a zone's id");
    Zone { zone_id, name: name("Zone"), description, version: 1, created_at: now, updated_at: now }
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
