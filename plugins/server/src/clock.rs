//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time in Unix seconds. A clock before 1970 counts as 1970, at which no last success is young
/// enough.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
