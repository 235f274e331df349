//! SPIRE's configuration text: HCL version 1 and JSON, read with positions and edited in place.
//!
//! SPIRE hands a plugin its `plugin_data` as text that it printed from its own parse tree with Go's
//! `github.com/hashicorp/hcl` (version 1, which HCL 2 is not compatible with), or as the raw bytes
//! of `plugin_data_file`. That Go module is the reference of this crate: what it reads, this crate
//! reads the same, and what it refuses is refused here. The few differences are listed, each with
//! its reason, in the tests that compare the two (`src/reference/differences.rs`); in short,
//! whatever Go drops silently or crashes on is an error here.
//!
//! - [`from_str`] fills a type from a text and stops at the first problem.
//! - [`Fields`] takes a `plugin_data` text apart key by key and reports every problem at once.
//! - [`Port`] and [`Duration`] are the two kinds of value that SPIRE plugins write in more than one
//!   way.
//! - [`edit`] puts one `plugins.NodeAttestor` element into a whole SPIRE configuration and keeps
//!   every other byte.
//!
//! A text is JSON when its first character, white space apart, is `{`, as for Go. Texts are limited
//! to [`MAX_TEXT`] and their nesting to [`MAX_DEPTH`]. Nothing here does IO.
//!
//! Values are converted as Go's decoder does it: a number may be given where a string is asked for
//! (its spelling is kept) and a string of digits where an integer is asked for; nothing else is
//! converted, so `"true"` is no boolean. Keys match without regard to ASCII case. A null (`null` in
//! JSON, nothing after `=` in what SPIRE prints from it) is the same as no key at all. Unlike Go,
//! which lets the last one win, a key that is given twice is an error.

mod cursor;
mod de;
mod duration;
pub mod edit;
mod error;
mod fields;
mod heredoc;
mod json;
mod number;
mod parse;
mod port;
mod quoted;
mod scan;
mod tree;
mod value;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod reference;

pub use de::{from_str, from_str_as};
pub use duration::{Duration, InvalidDuration};
pub use error::{Error, Position, Reason};
pub use fields::{Fields, Problem};
pub use port::Port;

/// Longest text that is read, in bytes: what a ConfigMap can hold.
pub const MAX_TEXT: usize = 1 << 20;

/// Deepest nesting that is read; each object, list and further key of a block counts as one level.
pub const MAX_DEPTH: usize = 64;
