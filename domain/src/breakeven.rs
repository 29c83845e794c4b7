//! What users ask about breakevens, and what they are answered.

use safire_engine::{
    Allowed, Answer, BreakevenQuestion, BreakevenRefused, Metric, Quantity, Resolved, Violation,
    analysis::codes::UNKNOWN_INPUT,
    breakeven::Search,
    inputs::{code, fields::Field},
    units::UnitError,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far is looked when no range is given: so many times the input's value, to both sides.
const REACH: f64 = 10.0;

/// At which value of an input does a metric take a certain value?
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakevenRequest {
    /// The input, as a JSON pointer.
    #[schema(example = "/feedstocks/UCO/price")]
    pub input: String,
    /// The metric.
    pub metric: Metric,
    /// What the metric shall be, in its unit; 0 where left out.
    #[serde(default)]
    pub target: f64,
    /// Where to look. Where left out, ten times the input's value to both sides, within what it may have; all that it
    /// may have when it is 0.
    #[serde(default)]
    pub range: Option<Between>,
}

/// A range of an input's values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// Where it begins.
    #[schema(example = 0.0)]
    pub from: f64,
    /// Where it ends.
    #[schema(example = 5000.0)]
    pub to: f64,
    /// The unit of both.
    #[schema(example = "USD/t")]
    pub unit: String,
}

/// Where a metric takes the wanted value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BreakevenAnswer {
    /// The input, as a JSON pointer.
    #[schema(example = "/feedstocks/UCO/price")]
    pub input: String,
    /// The metric.
    pub metric: Metric,
    /// Its unit.
    #[schema(example = "USD")]
    pub metric_unit: String,
    /// What the metric shall be.
    pub target: f64,
    /// Where was looked.
    pub range: Between,
    /// The unit of the answer.
    #[schema(example = "USD/t")]
    pub unit: String,
    /// The input's value, or several, or why there is none.
    pub answer: Answer,
}

/// A question being answered.
pub struct Asked {
    request: BreakevenRequest,
    range: Between,
    search: Search,
}

impl BreakevenRequest {
    /// Gets ready to search, everything else staying as it is resolved; or says what is wrong with the question.
    pub fn of(self, resolved: &Resolved) -> Result<Asked, Vec<Violation>> {
        let Some(field) = Field::at(&self.input) else { return Err(vec![unknown(&self.input)]) };
        let [from, to] = match &self.range {
            Some(range) => range.in_base_unit(field)?,
            None => reach(field, resolved.document().get(&self.input)),
        };
        let (pointer, metric, target) = (self.input.clone(), self.metric, self.target);
        let question = BreakevenQuestion { pointer, metric, target, range: [from, to] };
        let search = Search::new(resolved.document().clone(), question).map_err(|refused| vec![violation(&refused)])?;
        let range = Between { from, to, unit: field.group.base_unit().into() };
        Ok(Asked { request: self, range, search })
    }
}

impl Asked {
    /// Takes a small step; the last gives the answer.
    pub fn step(mut self) -> Result<BreakevenAnswer, Self> {
        if self.search.step() { Err(self) } else { Ok(self.finish()) }
    }

    /// Does what is left to do, and answers.
    pub fn finish(self) -> BreakevenAnswer {
        let Self { request, range, search } = self;
        let found = search.finish();
        BreakevenAnswer {
            input: request.input,
            metric: request.metric,
            metric_unit: request.metric.unit().into(),
            target: request.target,
            range,
            unit: found.unit,
            answer: found.answer,
        }
    }
}

impl Between {
    fn in_base_unit(&self, field: &Field) -> Result<[f64; 2], Vec<Violation>> {
        let convert = |value| Quantity::new(value, self.unit.as_str()).in_base_unit(field.group);
        convert(self.from).and_then(|from| Ok([from, convert(self.to)?])).map_err(|error| {
            let code = match error {
                UnitError::Unknown { .. } => code::UNKNOWN_UNIT,
                UnitError::WrongGroup { .. } => code::WRONG_UNIT_GROUP,
            };
            vec![Violation { pointer: "/range/unit".into(), code, message: error.to_string(), allowed: None }]
        })
    }
}

/// Ten times the value to both sides, within the range of the field.
fn reach(field: &Field, present: Option<&Quantity>) -> [f64; 2] {
    let whole = [field.range.min, field.range.max];
    match present.and_then(|quantity| quantity.in_base_unit(field.group).ok()) {
        None | Some(0.0) => whole,
        Some(value) => {
            let reach = REACH * value.abs();
            [(value - reach).max(whole[0]), (value + reach).min(whole[1])]
        }
    }
}

fn unknown(input: &str) -> Violation {
    let message = format!("{input} is no input of this scenario");
    Violation { pointer: "/input".into(), code: UNKNOWN_INPUT, message, allowed: None }
}

fn violation(refused: &BreakevenRefused) -> Violation {
    match refused {
        BreakevenRefused::UnknownInput { pointer } => unknown(pointer),
        BreakevenRefused::Range { min, max, unit, .. } => Violation {
            pointer: "/range".into(),
            code: code::OUT_OF_RANGE,
            message: refused.to_string(),
            allowed: Some(Allowed { min: *min, max: *max, unit, min_exclusive: false }),
        },
    }
}

#[cfg(test)]
mod tests {
    use safire_engine::{InputDocument, resolve};

    use super::*;
    use crate::master_data::MasterData;

    fn asked(request: &str) -> Result<BreakevenAnswer, Vec<Violation>> {
        let resolved = resolve(&InputDocument::default(), Some(&MasterData::seed().defaults[0].inputs)).unwrap();
        let request: BreakevenRequest = serde_json::from_str(request).unwrap();
        request.of(&resolved).map(Asked::finish)
    }

    #[test]
    fn without_a_range_ten_times_the_value_is_looked_at() {
        let found = asked(r#"{ "input": "/products/jet/price", "metric": "npv" }"#).unwrap();
        assert_eq!((found.range.from, found.range.to), (0.0, 33_000.0));
        assert_eq!(format!("{:.2}", found.answer.value().unwrap()), "1679.10");
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_name() {
        let refused = |request: &str| {
            let violation = asked(request).unwrap_err().remove(0);
            (violation.pointer, violation.code, violation.message)
        };
        let (pointer, code, _) = refused(r#"{ "input": "/products/petrol/price", "metric": "npv" }"#);
        assert_eq!((pointer.as_str(), code), ("/input", UNKNOWN_INPUT));
        let range = |from, to, unit| {
            format!(
                r#"{{ "input": "/economics/tax_rate", "metric": "npv",
                      "range": {{ "from": {from}, "to": {to}, "unit": "{unit}" }} }}"#
            )
        };
        let (pointer, code, message) = refused(&range(0, 200, "%"));
        assert_eq!((pointer.as_str(), code), ("/range", code::OUT_OF_RANGE));
        assert!(message.contains("0 to 2 1 is not within the 0 to 1 1"), "{message}");
        assert_eq!(refused(&range(0, 1, "USD/t")).1, code::WRONG_UNIT_GROUP);
        assert_eq!(refused(&range(50, 10, "%")).1, code::OUT_OF_RANGE);
    }
}
