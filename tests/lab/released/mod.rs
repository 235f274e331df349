//! Releases as `make release` makes them, and a registry that holds them.

mod checkout;
mod registry;

pub use self::checkout::{Checkout, Dist};
pub use self::registry::Registry;

/// The version after this one.
pub const NEXT: &str = "99.0.0";
