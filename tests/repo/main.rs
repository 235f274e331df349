//! What the repository promises of itself. Needs nothing but the built programs and git.

mod readme;
