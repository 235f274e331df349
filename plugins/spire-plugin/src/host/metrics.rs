//! Measurements on their way to SPIRE.

use std::sync::Arc;
use std::time::Duration;

use keylime_attestor_proto::metrics::{
    AddSampleRequest, IncrCounterRequest, Label, SetGaugeRequest, metrics_client::MetricsClient,
    metrics_server,
};
use tokio::sync::mpsc;
use tonic::Status;

use super::Found;

/// Most measurements that wait.
pub(super) const QUEUE_LENGTH: usize = 1024;

/// The longest time of a delivery, with finding SPIRE's host services.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// A measurement.
#[derive(Debug)]
pub(super) enum Measurement {
    Counter(IncrCounterRequest),
    Sample(AddSampleRequest),
    Gauge(SetGaugeRequest),
}

impl Measurement {
    pub(super) fn counter(key: &[&str], labels: &[(&str, &str)]) -> Self {
        Self::Counter(IncrCounterRequest { key: owned(key), val: 1.0, labels: labelled(labels) })
    }

    pub(super) fn gauge(key: &[&str], val: f32) -> Self {
        Self::Gauge(SetGaugeRequest { key: owned(key), val, labels: Vec::new() })
    }

    pub(super) fn sample(key: &[&str], val: f32, labels: &[(&str, &str)]) -> Self {
        Self::Sample(AddSampleRequest { key: owned(key), val, labels: labelled(labels) })
    }
}

/// Delivers measurements one after the other, until no [`Host`](super::Host) is left.
pub(super) async fn deliver(found: Arc<Found>, mut queue: mpsc::Receiver<Measurement>) {
    while let Some(measurement) = queue.recv().await {
        if found.is_offered(metrics_server::SERVICE_NAME) {
            // One that SPIRE does not take, or not in time, is lost.
            let _ = tokio::time::timeout(TIME_LIMIT, send(&found, measurement)).await;
        }
    }
}

async fn send(found: &Found, measurement: Measurement) -> Result<(), Status> {
    let mut metrics = MetricsClient::new(found.channel().await?);
    match measurement {
        Measurement::Counter(counter) => metrics.incr_counter(counter).await?,
        Measurement::Sample(sample) => metrics.add_sample(sample).await?,
        Measurement::Gauge(gauge) => metrics.set_gauge(gauge).await?,
    };
    Ok(())
}

fn owned(key: &[&str]) -> Vec<String> {
    key.iter().map(|&part| part.to_owned()).collect()
}

fn labelled(labels: &[(&str, &str)]) -> Vec<Label> {
    labels.iter().map(|&(name, value)| Label { name: name.to_owned(), value: value.to_owned() }).collect()
}
