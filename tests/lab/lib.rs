//! lab

pub mod fake_keylime;
pub mod soft_ak;
pub mod swtpm;
