//! Whether the apiserver runs with the admission plugin NodeRestriction, without which a kubelet
//! can write the label of its Node that workloads' parents hang on.
//!
//! No API tells it. The apiserver's metrics do: it times each admission plugin at each request, and
//! only after all that may change an object those that may refuse it. Where some of the latter were
//! timed, NodeRestriction was, too, or is not there.

use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, TryStreamExt as _};
use keylime_attestor_api::names::{event, label};
use kube::api::GetParams;
use kube::core::Request;
use kube::runtime::events::EventType;
use kube::runtime::reflector::Store;
use kube::{Client, Error, Resource as _};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use crate::cluster::Guarded;
use crate::events::{self, Events};

/// How long an apiserver keeps an Event, unless it is told otherwise.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Many times what comes up to the end of the series, which are among the first.
const MAX_READ: u64 = 4 << 20;

/// The series, for each plugin and operation.
const SERIES: &str = "apiserver_admission_controller_admission_duration_seconds_count{";

/// Asks now and each hour, and tells of an apiserver without the plugin in the log and by Events on
/// all resources, until it is asked to end.
pub(super) async fn tell(
    client: Client,
    events: Arc<Events>,
    resources: Vec<Store<Guarded>>,
    mut stop: watch::Receiver<bool>,
) {
    tokio::select! {
        never = tell_each_hour(&client, &events, &resources) => match never {},
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn tell_each_hour(client: &Client, events: &Events, resources: &[Store<Guarded>]) -> Infallible {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = timeout(ANSWER_TIMEOUT, ask(client)).await;
        match answer.unwrap_or_else(|late| Err(Error::Service(late.into()))) {
            Ok(Some(true)) => debug!("the apiserver runs with the admission plugin NodeRestriction"),
            Ok(Some(false)) => {
                warn!(
                    "the apiserver runs without the admission plugin NodeRestriction: turn it on, or a node's kubelet can write the label that its workloads' parents hang on"
                );
                publish(events, resources).await;
            }
            Ok(None) => info!("the apiserver's metrics do not tell whether it runs with NodeRestriction"),
            Err(error) => {
                info!(%error, "whether the apiserver runs with NodeRestriction is not known: its metrics were not read");
            }
        }
    }
}

/// An Event on each resource.
async fn publish(events: &Events, resources: &[Store<Guarded>]) {
    let note = format!(
        "The apiserver runs without the admission plugin NodeRestriction. Until the operator's next poll puts it right, a node's kubelet can write the \
         label {} of its Node, by which workloads get their parents, and take off the taint. Turn the plugin on: --enable-admission-plugins=NodeRestriction.",
        label::NODE_AGENT_ID
    );
    let event = events::event(EventType::Warning, event::NODE_RESTRICTION_OFF, "Watch", note);
    for store in resources {
        // Ended with the operator.
        if store.wait_until_ready().await.is_err() {
            return;
        }
        for resource in store.state() {
            if let Ok(resource) = &resource.0 {
                events.tell(&resource.object_ref(&()), &event).await;
            }
        }
    }
}

/// `GET /metrics`, of which no more is kept than the answer.
async fn ask(client: &Client) -> Result<Option<bool>, Error> {
    let request = Request::new("").get("metrics", &GetParams::default()).map_err(Error::BuildRequest)?;
    let metrics = pin!(client.request_stream(request).await?);
    restricts(metrics).await.map_err(|error| Error::Service(error.into()))
}

/// What metrics tell: [`None`] when the series are not there, or not up to their end.
async fn restricts(metrics: impl AsyncBufRead + Unpin) -> io::Result<Option<bool>> {
    let mut lines = metrics.take(MAX_READ).lines();
    let mut admission = Admission::default();
    while let Some(line) = lines.try_next().await? {
        if admission.read(&line).is_break() {
            return Ok(admission.restricts());
        }
    }
    Ok(None)
}

/// What the series tell, as far as they were read.
#[derive(Debug, Default)]
struct Admission {
    begun: bool,
    /// NodeRestriction was timed.
    restricted: bool,
    /// A request went through everything that may change its object.
    validated: bool,
    /// The apiserver was told not to name all plugins (`--allow-metric-labels`).
    unnamed: bool,
}

impl Admission {
    /// Reads a line. Breaks at what is written of the next metric.
    fn read(&mut self, line: &str) -> ControlFlow<()> {
        if self.begun && line.starts_with('#') {
            return ControlFlow::Break(());
        }
        let series = line.strip_prefix(SERIES).and_then(|rest| rest.split_once('}'));
        let Some((labels, _)) = series else { return ControlFlow::Continue(()) };
        let has = |label: &str| labels.split(',').any(|one| one == label);
        self.begun = true;
        self.restricted |= has(r#"name="NodeRestriction""#);
        // Of others, such as CONNECT, NodeRestriction is not asked.
        let writes = has(r#"operation="CREATE""#) || has(r#"operation="UPDATE""#);
        self.validated |= writes && has(r#"type="validate""#);
        self.unnamed |= has(r#"name="unexpected""#);
        ControlFlow::Continue(())
    }

    fn restricts(&self) -> Option<bool> {
        let is_known = self.restricted || (self.validated && !self.unnamed);
        is_known.then_some(self.restricted)
    }
}

#[cfg(test)]
mod tests;
