//! The wait for the apiserver, before all other requests.

use std::time::Duration;

use kube::api::GetParams;
use kube::core::Request;
use kube::{Client, Error};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

/// The longest time for an answer that is waited for, and the pause before the next request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How long an apiserver may refuse to tell whether it is ready: several times what one needs,
/// after its start, to read who may ask.
const REFUSES: Duration = Duration::from_secs(30);

/// Waits until the apiserver says that it is ready: away, it answers nothing, and for a while after
/// its start it refuses what it allows later, this question too. One that goes on refusing is taken
/// as ready, and what it refuses then says why.
pub(super) async fn ready(client: &Client) {
    let (mut told, mut refused) = (false, None);
    loop {
        let Err(error) = ask(client).await else { return };
        if refuses(&error) {
            if refused.get_or_insert_with(Instant::now).elapsed() >= REFUSES {
                return warn!(%error, "the apiserver does not tell whether it is ready");
            }
        } else {
            refused = None;
        }
        if !told {
            warn!(%error, "waits for the apiserver");
            told = true;
        }
        sleep(ASK_AGAIN).await;
    }
}

fn refuses(error: &Error) -> bool {
    matches!(error, Error::Api(status) if (400..500).contains(&status.code) && status.code != 429)
}

/// `GET /readyz`: Kubernetes lets everybody ask, by the ClusterRole `system:public-info-viewer`.
async fn ask(client: &Client) -> Result<(), Error> {
    let request = Request::new("").get("readyz", &GetParams::default()).map_err(Error::BuildRequest)?;
    let answer = timeout(ANSWER_TIMEOUT, client.request_text(request)).await;
    answer.map_err(|late| Error::Service(late.into()))?.map(drop)
}
