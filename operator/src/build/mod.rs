//! The objects to apply, from a [`Desired`](crate::model::target::Desired). Pure.

pub(crate) mod covers;
pub(crate) mod in_place;
mod install;
pub(crate) mod overlay;

#[cfg(test)]
mod tests;
