//! What the sections of the document have in common.

use crate::units::Quantity;

use super::fields::Field;

/// A leaf of the document: its field and what is given for it.
pub(crate) type Leaf<'a> = (&'static Field, &'a Option<Quantity>);

/// A choice that is made: its JSON pointer and the code that was chosen.
pub(crate) type Chosen = (String, &'static str);

/// Declares a section whose members are quantities, with the field behind each, and choices by code.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident [$expecting:literal] {
        $($(#[$member_doc:meta])* $member:ident: $field:ident,)+
    } $(choices { $($(#[$choice_doc:meta])* $choice:ident: $kind:ty,)+ })?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(remote = "Self", default, deny_unknown_fields, expecting = $expecting)]
        pub struct $name {
            $($(
                $(#[$choice_doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $choice: Option<$kind>,
            )+)?
            $(
                $(#[$member_doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $member: Option<$crate::units::Quantity>,
            )+
        }

        $crate::inputs::object::objects_only!($name);

        impl $name {
            /// Whether nothing is given.
            pub fn is_empty(&self) -> bool {
                $($(if self.$choice.is_some() { return false; })+)?
                self.leaves().iter().all(|(_, given)| given.is_none())
            }

            pub(crate) fn leaves(&self) -> Vec<$crate::inputs::section::Leaf<'_>> {
                vec![$((&$crate::inputs::fields::$field, &self.$member)),+]
            }

            pub(super) fn slot(&mut self, name: &str) -> Option<&mut Option<$crate::units::Quantity>> {
                $(if name == $crate::inputs::fields::$field.name { return Some(&mut self.$member); })+
                None
            }

            $(pub(crate) fn choices(&self) -> Vec<(&'static str, &'static str)> {
                let mut made = Vec::new();
                $(made.extend(self.$choice.map(|chosen| (stringify!($choice), chosen.code())));)+
                made
            }

            /// Takes over every choice, made or not.
            pub(crate) fn choose_like(&mut self, other: &Self) {
                $(self.$choice = other.$choice;)+
            })?

            pub(crate) fn fill_from(&mut self, other: &Self) {
                $($(self.$choice = self.$choice.or(other.$choice);)+)?
                $(
                    if self.$member.is_none() {
                        self.$member.clone_from(&other.$member);
                    }
                )+
            }
        }
    };
}

/// Declares what may be chosen, with the code of each.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $code)] $variant,)+
        }

        impl $name {
            /// Everything that may be chosen.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code in documents.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }
        }
    };
}

pub(crate) use {choice, section};
