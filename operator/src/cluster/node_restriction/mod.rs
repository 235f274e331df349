//! Whether the apiserver runs with the admission plugin NodeRestriction.
//!
//! No API tells it. The apiserver's metrics do: it times each admission plugin at each request, and
//! only after all that may change an object those that may refuse it. Where some of the latter were
//! timed, NodeRestriction was, too, or is not there.

use std::io;
use std::ops::ControlFlow;
use std::pin::pin;
use std::time::Duration;

use futures_util::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, TryStreamExt as _};
use kube::api::GetParams;
use kube::core::Request;
use kube::{Client, Error};
use tokio::time::timeout;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Many times what comes up to the end of the series, which are among the first.
const MAX_READ: u64 = 4 << 20;

/// The series, for each plugin and operation.
const SERIES: &str = "apiserver_admission_controller_admission_duration_seconds_count{";

/// Whether the plugin is on; [`None`] where the metrics do not tell.
///
/// # Errors
/// The apiserver's refusal, or that it gave no answer in time.
pub(crate) async fn restricts_nodes(client: &Client) -> Result<Option<bool>, Error> {
    timeout(ANSWER_TIMEOUT, ask(client)).await.unwrap_or_else(|late| Err(Error::Service(late.into())))
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
