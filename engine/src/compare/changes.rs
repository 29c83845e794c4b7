//! Which inputs differ between two documents, and which of them change together.

use std::collections::BTreeMap;

use crate::inputs::InputDocument;
use crate::inputs::fields::{self, Field};

use super::ChangedInput;

/// Inputs that change together.
pub(super) struct Player {
    tie: Tie,
    pub inputs: Vec<ChangedInput>,
}

/// What ties inputs together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Tie {
    /// Which feedstocks and products there are, their yields and carbon: the balances hold between them.
    Materials,
    /// Lifetime, construction, debt and incentives, with their choices.
    Calendar,
    /// Inventory, default value and allocation of emissions.
    Emissions,
    /// Nothing: an input of its own.
    None(String),
}

impl Tie {
    fn of(field: &Field, pointer: &str) -> Self {
        let is = |others: &[&Field]| others.contains(&field);
        let materials =
            [&fields::FEEDSTOCK_YIELD, &fields::FEEDSTOCK_CARBON, &fields::PRODUCT_YIELD, &fields::PRODUCT_CARBON];
        let calendar = [
            &fields::LIFETIME,
            &fields::DEBT_SHARE,
            &fields::DEBT_TERM,
            &fields::FIRST_YEAR,
            &fields::PRODUCT_DENSITY,
            &fields::CONSTRUCTION_1,
            &fields::CONSTRUCTION_2,
            &fields::CONSTRUCTION_3,
            &fields::CONSTRUCTION_4,
            &fields::CONSTRUCTION_5,
        ];
        let emissions = [
            &fields::PROCESS_CI,
            &fields::FEEDSTOCK_CI,
            &fields::HYDROGEN_CI,
            &fields::ELECTRICITY_CI,
            &fields::DEFAULT_CI,
        ];
        match () {
            () if is(&materials) => Self::Materials,
            () if is(&calendar) || field.section == "/policy" => Self::Calendar,
            () if is(&emissions) => Self::Emissions,
            () => Self::None(pointer.to_owned()),
        }
    }
}

/// What differs between two documents, grouped.
pub(super) fn players(from: &InputDocument, to: &InputDocument) -> Vec<Player> {
    let mut ties: BTreeMap<Tie, Vec<ChangedInput>> = BTreeMap::new();
    let mut add = |tie, input| ties.entry(tie).or_default().push(input);
    for (pointer, field) in pointers(from, to) {
        let (before, after) = (from.get(&pointer), to.get(&pointer));
        let base = |document: &InputDocument| document.get(&pointer).map(|given| given.in_base_unit(field.group));
        if base(from) == base(to) {
            continue;
        }
        let lonely = !(has_code(from, &pointer) && has_code(to, &pointer));
        let tie = if lonely { Tie::Materials } else { Tie::of(field, &pointer) };
        let input = ChangedInput { from: before.cloned(), to: after.cloned(), pointer };
        add(tie, input);
    }
    let named = |pointer: &str| ChangedInput { pointer: pointer.into(), from: None, to: None };
    if from.main_product != to.main_product {
        add(Tie::Materials, named("/main_product"));
    }
    for pointer in changed_choices(from, to) {
        let tie = if pointer.starts_with("/carbon") { Tie::Emissions } else { Tie::Calendar };
        add(tie, named(&pointer));
    }
    ties.into_iter().map(|(tie, inputs)| Player { tie, inputs }).collect()
}

/// Every number that either document has room for.
fn pointers(from: &InputDocument, to: &InputDocument) -> BTreeMap<String, &'static Field> {
    let leaves = from.leaves().into_iter().chain(to.leaves());
    leaves.map(|(code, (field, _))| (field.pointer(code), field)).collect()
}

/// Whether a document has the feedstock or product that a pointer leads into.
fn has_code(document: &InputDocument, pointer: &str) -> bool {
    document.leaves().into_iter().any(|(code, (field, _))| field.pointer(code) == pointer)
}

fn changed_choices(from: &InputDocument, to: &InputDocument) -> Vec<String> {
    let (before, after) = (from.choices(), to.choices());
    let mut changed: Vec<String> = Vec::new();
    for (chosen, others) in [(&before, &after), (&after, &before)] {
        changed.extend(chosen.iter().filter(|choice| !others.contains(choice)).map(|(pointer, _)| pointer.clone()));
    }
    changed.sort();
    changed.dedup();
    changed
}

impl Player {
    /// Makes the change in `document`.
    pub(super) fn apply(&self, document: &mut InputDocument, to: &InputDocument) {
        match self.tie {
            Tie::Materials => exchange_materials(document, to),
            Tie::Calendar => {
                document.finance.choose_like(&to.finance);
                document.policy.choose_like(&to.policy);
            }
            Tie::Emissions => document.carbon.choose_like(&to.carbon),
            Tie::None(_) => {}
        }
        for input in &self.inputs {
            if let Some(place) = document.place(&input.pointer) {
                *place = to.get(&input.pointer).cloned();
            }
        }
    }
}

/// Gives a document the feedstocks and products of another; those that it has keep their numbers.
fn exchange_materials(document: &mut InputDocument, to: &InputDocument) {
    document.main_product.clone_from(&to.main_product);
    document.feedstocks.retain(|code, _| to.feedstocks.contains_key(code));
    document.products.retain(|code, _| to.products.contains_key(code));
    for (code, feedstock) in &to.feedstocks {
        document.feedstocks.entry(code.clone()).or_insert_with(|| feedstock.clone());
    }
    for (code, product) in &to.products {
        document.products.entry(code.clone()).or_insert_with(|| product.clone());
    }
}
