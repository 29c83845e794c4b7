//! Numbers of a document by their JSON pointer.

use crate::units::Quantity;

use super::document::InputDocument;
use super::fields::Field;
use super::pointer::unescaped;

impl InputDocument {
    /// Puts a quantity at a JSON pointer such as `/products/jet/price`, and says whether there is such a place:
    /// the field must exist, and a feedstock or product must already be in the document.
    ///
    /// ```
    /// use safire_engine::{InputDocument, Quantity};
    ///
    /// let mut document = InputDocument::default();
    /// assert!(document.set("/economics/discount_rate", Quantity::new(9.0, "%")));
    /// assert_eq!(document.economics.discount_rate, Some(Quantity::new(9.0, "%")));
    /// assert!(!document.set("/products/jet/price", Quantity::new(900.0, "USD/t")));
    /// ```
    #[must_use]
    pub fn set(&mut self, pointer: &str, quantity: Quantity) -> bool {
        match self.place(pointer) {
            Some(slot) => {
                *slot = Some(quantity);
                true
            }
            None => false,
        }
    }

    /// The quantity at a JSON pointer, where one is given.
    pub fn get(&self, pointer: &str) -> Option<&Quantity> {
        let leaves = self.leaves().into_iter();
        let mut found = leaves.filter(|(code, (field, _))| field.pointer(*code) == pointer);
        found.next().and_then(|(_, (_, quantity))| quantity.as_ref())
    }

    pub(crate) fn place(&mut self, pointer: &str) -> Option<&mut Option<Quantity>> {
        let field = Field::at(pointer)?;
        let (section, name) = pointer.rsplit_once('/')?;
        let code = || section.rsplit_once('/').map(|(_, code)| unescaped(code));
        match field.section {
            "/plant" => self.plant.slot(name),
            "/feedstocks/*" => self.feedstocks.get_mut(&code()?)?.slot(name),
            "/utilities/hydrogen" => self.utilities.hydrogen.slot(name),
            "/utilities/electricity" => self.utilities.electricity.slot(name),
            "/products/*" => self.products.get_mut(&code()?)?.slot(name),
            "/economics" => self.economics.slot(name),
            "/fossil" => self.fossil.slot(name),
            "/finance" => self.finance.slot(name),
            "/policy" => self.policy.slot(name),
            "/carbon" => self.carbon.slot(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::fields;

    #[test]
    fn every_field_has_a_place_in_the_document() {
        let mut document = InputDocument::default();
        document.feedstocks.insert("a/b".into(), Default::default());
        document.products.insert("a/b".into(), Default::default());
        for field in fields::ALL {
            let pointer = field.pointer(Some("a/b"));
            let quantity = Quantity::new(1.0, field.group.base_unit());
            assert!(document.set(&pointer, quantity.clone()), "{pointer}");
            assert_eq!(document.get(&pointer), Some(&quantity), "{pointer}");
        }
    }
}
