//! What a program says about itself.

/// Who the program is: for its log, and for people who start it by hand.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The program's name; the `@module` of its log lines.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it does, in a few words that follow "a SPIRE plugin: ".
    pub description: &'static str,
}
