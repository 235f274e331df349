//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// In Unix seconds. A clock before 1970 counts as 1970: then no last success can be young enough.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
