//! The wait for the apiserver, before all other requests.

use std::time::Duration;

use kube::api::GetParams;
use kube::core::Request;
use kube::{Client, Error};
use tokio::time::{sleep, timeout};
use tracing::warn;

/// The longest time for an answer that is waited for, and the pause before the next request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Waits until the apiserver says that it is ready: away, it answers nothing, and for a while after
/// its start it refuses what it allows later. One that does not tell us is taken as ready, and what
/// it refuses then says why.
pub(super) async fn ready(client: &Client) {
    let mut told = false;
    loop {
        match timeout(ANSWER_TIMEOUT, ask(client)).await {
            Ok(Ok(())) => return,
            Ok(Err(Error::Api(status))) if status.code < 500 && status.code != 429 => {
                return warn!(%status, "the apiserver does not tell whether it is ready");
            }
            _ if told => {}
            Ok(Err(error)) => warn!(%error, "waits for the apiserver"),
            Err(late) => warn!(error = %late, "waits for the apiserver"),
        }
        told = true;
        sleep(ASK_AGAIN).await;
    }
}

/// `GET /readyz`: open to everybody (kube-apiserver's `--authorization-always-allow-paths`).
async fn ask(client: &Client) -> Result<(), Error> {
    let request = Request::new("").get("readyz", &GetParams::default()).map_err(Error::BuildRequest)?;
    client.request_text(request).await.map(drop)
}
