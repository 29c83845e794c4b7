//! Prices of the master data: one figure that several default sets share.

use safire_engine::{
    InputDocument, Quantity,
    inputs::{FeedstockInputs, ProductInputs, Violation},
};

use serde::Deserialize;

use crate::master_data::{DefaultSet, Entry, MasterData, unknown};

/// What has a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ware {
    /// Bought, by the tonne.
    Feedstock,
    /// Bought: hydrogen and electricity.
    Utility,
    /// Sold, by the tonne.
    Product,
}

impl Ware {
    /// Whether the master data has that code in the ware's list.
    pub fn is_listed(self, code: &str, known: &MasterData) -> bool {
        let has = |list: &[Entry]| list.iter().any(|entry| entry.code == code);
        match self {
            Self::Feedstock => has(&known.feedstock_entries()),
            Self::Utility => has(&known.utilities),
            Self::Product => has(&known.products),
        }
    }
}

/// A price for every default set that has the ware, or for those of one country.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPrice {
    /// What it is the price of.
    pub ware: Ware,
    /// The ware's code.
    pub code: String,
    /// The country, by code; all where there is none.
    pub country: Option<String>,
    /// The price.
    pub price: Quantity,
}

impl NewPrice {
    /// What is wrong with price and country, at `/price` and `/country`.
    pub fn check(&self, known: &MasterData) -> Vec<Violation> {
        let mut found = Vec::new();
        if let Err(invalid) = self.alone().check() {
            let at_price = |violation| Violation { pointer: "/price".into(), ..violation };
            found.extend(invalid.into_violations().into_iter().map(at_price));
        }
        let is_listed = |code: &String| known.countries.iter().any(|entry| entry.code == *code);
        if let Some(code) = self.country.as_ref().filter(|code| !is_listed(code)) {
            found.push(unknown("/country".into(), "country", code, &known.countries));
        }
        found
    }

    /// Writes the price into a set; `false` when it is not meant for that set.
    pub fn write(&self, set: &mut DefaultSet) -> bool {
        if self.country.as_ref().is_some_and(|country| *country != set.pathway.country) {
            return false;
        }
        let Some(price) = self.place(&mut set.inputs) else { return false };
        *price = Some(self.price.clone());
        true
    }

    /// A document with this price and nothing else.
    fn alone(&self) -> InputDocument {
        let mut document = InputDocument::default();
        match self.ware {
            Ware::Feedstock => drop(document.feedstocks.insert(self.code.clone(), FeedstockInputs::default())),
            Ware::Product => drop(document.products.insert(self.code.clone(), ProductInputs::default())),
            Ware::Utility => {}
        }
        if let Some(price) = self.place(&mut document) {
            *price = Some(self.price.clone());
        }
        document
    }

    fn place<'d>(&self, document: &'d mut InputDocument) -> Option<&'d mut Option<Quantity>> {
        match (self.ware, self.code.as_str()) {
            (Ware::Feedstock, code) => document.feedstocks.get_mut(code).map(|feedstock| &mut feedstock.price),
            (Ware::Product, code) => document.products.get_mut(code).map(|product| &mut product.price),
            (Ware::Utility, "hydrogen") => Some(&mut document.utilities.hydrogen.price),
            (Ware::Utility, "electricity") => Some(&mut document.utilities.electricity.price),
            (Ware::Utility, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(ware: Ware, code: &str, country: Option<&str>, value: f64, unit: &str) -> NewPrice {
        NewPrice { ware, code: code.into(), country: country.map(str::to_owned), price: Quantity::new(value, unit) }
    }

    fn written(price: &NewPrice) -> Vec<(String, String)> {
        let sets = MasterData::seed().defaults.iter().cloned();
        let hit = sets.filter_map(|mut set| price.write(&mut set).then_some(set.pathway));
        hit.map(|pathway| (pathway.process, pathway.country)).collect()
    }

    #[test]
    fn a_price_is_meant_for_the_sets_that_have_the_ware_in_that_country() {
        let name = |process: &str, country: &str| (process.to_owned(), country.to_owned());
        let uco = price(Ware::Feedstock, "UCO", None, 900.0, "USD/t");
        assert_eq!(written(&uco), [name("HEFA", "USA"), name("HEFA", "Malaysia")]);
        let power = price(Ware::Utility, "electricity", Some("USA"), 60.0, "USD/MWh");
        assert_eq!(written(&power), [name("HEFA", "USA"), name("FT-BtL", "USA")]);
        assert_eq!(written(&price(Ware::Product, "gasoline", None, 1.0, "USD/t")), []);
        assert_eq!(written(&price(Ware::Utility, "steam", None, 1.0, "USD/t")), []);
        let mut set = MasterData::seed().defaults[0].clone();
        assert!(price(Ware::Product, "jet", None, 2.5, "USD/kg").write(&mut set));
        assert_eq!(set.inputs.products["jet"].price, Some(Quantity::new(2.5, "USD/kg")));
    }

    #[test]
    fn what_is_wrong_with_a_price_is_said_by_the_rules_of_the_input() {
        let wrong = |price: NewPrice| -> Vec<(String, &'static str)> {
            price.check(MasterData::seed()).into_iter().map(|v| (v.pointer, v.code)).collect()
        };
        assert_eq!(wrong(price(Ware::Feedstock, "UCO", Some("USA"), -50.0, "USD/t")), []);
        assert_eq!(wrong(price(Ware::Product, "jet", None, -50.0, "USD/t")), [("/price".into(), "out_of_range")]);
        let power = price(Ware::Utility, "electricity", Some("Utopia"), 1.0, "USD/t");
        assert_eq!(wrong(power), [("/price".into(), "unit.wrong_group"), ("/country".into(), "code.unknown")]);
    }
}
