//! A metric with one label.

use std::sync::Arc;

use metrics::Recorder;

use crate::instrument::Instrument;

/// One series for each value that the label may have.
#[derive(Clone)]
pub struct Family<T> {
    members: Arc<[(&'static str, T)]>,
    stranger: T,
}

impl<T: Instrument> Family<T> {
    pub(crate) fn register(
        recorder: &dyn Recorder,
        name: &'static str,
        label: &'static str,
        values: &[&'static str],
    ) -> Self {
        let member = |value: &&'static str| (*value, T::register(recorder, name, &[(label, value)]));
        Self { members: values.iter().map(member).collect(), stranger: T::silent() }
    }
}

impl<T> Family<T> {
    /// The series of that value; one that nobody reads where the value is not on the list.
    pub fn of(&self, value: &str) -> &T {
        let member = self.members.iter().find(|(known, _)| *known == value);
        debug_assert!(member.is_some(), "{value} is not on the label's list");
        member.map_or(&self.stranger, |(_, series)| series)
    }
}
