//! Panics: logged where they happen, and the end of one call only. Nobody restarts a plugin that
//! dies.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tonic::Status;

/// The log message of a panic, which has the place as a field.
const PANIC: &str = "a call ended in a panic: this is a bug in the plugin";

/// Logs the place of every panic instead of printing its text, which may show what must not be
/// seen: a panic of `unwrap` or of slicing quotes the value at hand.
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, "{PANIC}");
    }));
}

/// Makes a panic of the plugin the `Internal` status of this call. The plugin's shared state is as
/// the panic left it; that is safe because the only state kept for it here, its configuration,
/// never changes in place.
pub(crate) async fn catch<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let panicked =
        |_| Err(Status::internal(format!("the plugin failed; SPIRE's log has the place beside {PANIC:?}")));
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(panicked)
}
