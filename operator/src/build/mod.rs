//! The objects that should be: pure, from a [`Plan`](crate::target::Plan).

pub(crate) mod covers;
pub(crate) mod derived;
pub(crate) mod in_place;
pub(crate) mod overlay;
pub(crate) mod parent;
pub(crate) mod plugin_data;

#[cfg(test)]
mod golden_tests;
