//! Requests that nothing can go on without.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::warn;

/// The longest time for an answer that is waited for, and the pause before the next request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Asks again and again until the apiserver itself answers, be it with a refusal: for requests that
/// nothing can go on without.
pub(crate) async fn answered<T>(ask: impl AsyncFn() -> kube::Result<T>) -> kube::Result<T> {
    let mut told = false;
    loop {
        match timeout(ANSWER_TIMEOUT, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(kube::Error::Api(status))) if status.code < 500 && status.code != 429 => {
                return Err(kube::Error::Api(status));
            }
            _ if told => {}
            Ok(Err(error)) => warn!(%error, "waits for the apiserver"),
            Err(late) => warn!(error = %late, "waits for the apiserver"),
        }
        told = true;
        sleep(ASK_AGAIN).await;
    }
}
