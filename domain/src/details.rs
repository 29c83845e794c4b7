//! What a base analysis rests on and leads to: years, prices, policy, balances and choices.

use safire_engine::{
    Balances, CashFlowTable, Failure, PolicyReport, Prices, Resolved, balances, cash_flow, inputs::ResolvedChoice,
    policy, prices,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The details of a base analysis, worked out again from its inputs and never stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Details {
    /// The cash flow by year, with every column.
    pub cash_flow: CashFlowTable,
    /// What every product must cost and costs to make, per mass, volume and energy.
    pub prices: Prices,
    /// What each scheme says about the main product.
    pub policy: PolicyReport,
    /// Mass, carbon and energy of an ordinary year.
    pub balances: Balances,
    /// The choices of methods, with their sources.
    pub choices: Vec<ResolvedChoice>,
}

impl Details {
    /// Works the details of a scenario out.
    pub fn of(resolved: &Resolved) -> Result<Self, Failure> {
        let inputs = &resolved.inputs;
        Ok(Self {
            cash_flow: cash_flow(inputs)?,
            prices: prices(inputs)?,
            policy: policy(inputs)?,
            balances: balances(inputs)?,
            choices: resolved.choices.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use safire_engine::{InputDocument, Source, resolve};

    use super::*;
    use crate::master_data::MasterData;

    #[test]
    fn the_details_of_a_profile_say_what_it_chose_and_survive_their_json() {
        let given: InputDocument = serde_json::from_str(r#"{ "finance": { "profile": "nrel-nth-plant" } }"#).unwrap();
        let resolved = resolve(&given, Some(&MasterData::seed().defaults[0].inputs)).unwrap();
        let details = Details::of(&resolved).unwrap();
        assert_eq!(details.cash_flow.years[0].year, -2);
        let depreciation = details.choices.iter().find(|choice| choice.pointer == "/finance/depreciation").unwrap();
        assert_eq!((depreciation.code.as_str(), depreciation.source), ("macrs_7", Source::Profile));
        let json = serde_json::to_string(&details).unwrap();
        assert_eq!(serde_json::from_str::<Details>(&json).unwrap(), details);
    }
}
