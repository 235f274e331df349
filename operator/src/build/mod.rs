//! The objects that should be: pure, from a [`Desired`](crate::model::target::Desired).

pub(crate) mod covers;
pub(crate) mod in_place;
mod install;
pub(crate) mod overlay;

#[cfg(test)]
mod tests;
