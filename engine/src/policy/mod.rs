//! Policy.

pub(crate) mod incentives;
pub mod schemes;
