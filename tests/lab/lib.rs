//! lab

pub mod fake_keylime;
