//! Models of what many processes do to one run. They are checked by the tests of this crate; nothing else
//! uses it.
//!
//! What may follow upon what is decided here by [`safire_domain::lifecycle`], as it is in the service.

pub mod lease;
