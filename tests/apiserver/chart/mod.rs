//! The chart, by the real Helm 3 and Helm 4 and on a real apiserver: what it renders, what it lets
//! through, what its operator may do, and how a release comes, changes and goes.

mod accepted;
mod generated;
pub(crate) mod helm;
pub(crate) mod hook;
mod monitoring;
mod policies;
mod quoter;
mod release;
mod rendered;
mod rights;
mod values;
