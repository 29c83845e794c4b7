//! Who gave what: the user, the finance profile, or the default set.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::InputDocument;
use super::section::Chosen;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The user gave it.
    User,
    /// The finance profile filled it in.
    Profile,
    /// The default set, or a convention, filled it in.
    Default,
}

/// One number that the calculation used, as it was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "pointer": "/plant/capacity", "value": 500, "unit": "kt/yr", "source": "default" }))]
pub struct ResolvedInput {
    /// Where it is in the document, as a JSON pointer.
    pub pointer: String,
    /// The number as given.
    pub value: f64,
    /// Its unit as given.
    pub unit: String,
    /// Who gave it.
    pub source: Source,
}

/// One choice that the calculation followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "pointer": "/finance/depreciation", "code": "straight-line", "source": "profile" }))]
pub struct ResolvedChoice {
    /// Where it is in the document, as a JSON pointer.
    pub pointer: String,
    /// The code that was chosen.
    pub code: String,
    /// Who chose it.
    pub source: Source,
}

/// Where a number is: the code of its feedstock or product, its section and its name.
type Place<'a> = (Option<&'a str>, &'static str, &'static str);

/// Who gave what.
pub(super) struct Sources<'a> {
    user: HashSet<Place<'a>>,
    profile: HashSet<Place<'a>>,
    chosen_by_user: Vec<Chosen>,
    chosen_by_profile: Vec<Chosen>,
}

impl<'a> Sources<'a> {
    pub fn of(given: &'a InputDocument, profile: Option<&'a InputDocument>) -> Self {
        Self {
            user: places(given),
            profile: profile.map(places).unwrap_or_default(),
            chosen_by_user: given.choices(),
            chosen_by_profile: profile.map(InputDocument::choices).unwrap_or_default(),
        }
    }

    pub fn values(&self, merged: &InputDocument) -> Vec<ResolvedInput> {
        let mut values = Vec::new();
        for (code, (field, quantity)) in merged.leaves() {
            let Some(quantity) = quantity else { continue };
            let place = (code, field.section, field.name);
            values.push(ResolvedInput {
                pointer: field.pointer(code),
                value: quantity.value,
                unit: quantity.unit.clone(),
                source: source(self.user.contains(&place), self.profile.contains(&place)),
            });
        }
        values
    }

    pub fn choices(&self, merged: &InputDocument) -> Vec<ResolvedChoice> {
        let made = |by: &[Chosen], pointer: &str| by.iter().any(|(chosen, _)| chosen == pointer);
        let choices = merged.choices().into_iter();
        let resolved = choices.map(|(pointer, code)| {
            let source = source(made(&self.chosen_by_user, &pointer), made(&self.chosen_by_profile, &pointer));
            ResolvedChoice { pointer, code: code.into(), source }
        });
        resolved.collect()
    }
}

fn source(by_user: bool, by_profile: bool) -> Source {
    match (by_user, by_profile) {
        (true, _) => Source::User,
        (false, true) => Source::Profile,
        (false, false) => Source::Default,
    }
}

/// Where a document gives a number.
fn places(document: &InputDocument) -> HashSet<Place<'_>> {
    let leaves = document.leaves().into_iter();
    let given = leaves.filter(|(_, (_, quantity))| quantity.is_some());
    given.map(|(code, (field, _))| (code, field.section, field.name)).collect()
}
