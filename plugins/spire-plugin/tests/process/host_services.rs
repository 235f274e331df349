//! Calls of the plugin to SPIRE's host services.

use anyhow::Result;
use keylime_attestor_proto::{agent_store::agent_store_server, metrics::metrics_server};
use lab::host::{AgentStoreMode, Host, Measurement};
use tonic::{Code, Status};

use crate::{TRUST_DOMAIN, configured, ends_well, server_plugin};

const AGENT: &str = "spiffe://example.org/spire/agent/test/1";

#[tokio::test]
async fn known_and_unknown_agents() -> Result<()> {
    let host = configured().await?;
    assert_eq!(ask(&host).await?, "known:false");
    host.services().know_agent(AGENT);
    assert_eq!(ask(&host).await?, "known:true");
    ends_well(host).await
}

#[tokio::test]
async fn an_agent_store_that_fails_says_nothing_of_the_agent() -> Result<()> {
    let host = configured().await?;
    // Also codes that would mean something else as an attestation's own.
    for code in [Code::FailedPrecondition, Code::PermissionDenied, Code::Internal] {
        host.services().set_agent_store(AgentStoreMode::Fail(Status::new(code, "not now")));
        let status = ask(&host).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), format!("SPIRE's AgentStore did not answer: {code:?}: not now"));
    }
    host.services().set_agent_store(AgentStoreMode::Answer);
    assert_eq!(ask(&host).await?, "known:false");
    ends_well(host).await
}

#[tokio::test]
async fn an_agent_store_that_hangs_holds_nobody_up_forever() -> Result<()> {
    let host = configured().await?;
    host.services().set_agent_store(AgentStoreMode::Hang);
    assert_eq!(ask(&host).await.unwrap_err().code(), Code::Unavailable);
    ends_well(host).await
}

#[tokio::test]
async fn an_agent_store_that_is_gone() -> Result<()> {
    let host = configured().await?;
    assert_eq!(ask(&host).await?, "known:false");
    host.services().stop().await;
    assert_eq!(ask(&host).await.unwrap_err().code(), Code::Unavailable);
    measure(&host).await?;
    ends_well(host).await
}

#[tokio::test]
async fn host_services_that_are_never_found() -> Result<()> {
    let host = server_plugin().without_broker().start().await?;
    host.plugin().configure(TRUST_DOMAIN, "hello").await?;
    measure(&host).await?;
    let status = ask(&host).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "SPIRE's AgentStore was not found or did not answer within 5s");
    ends_well(host).await
}

#[tokio::test]
async fn host_services_that_are_not_offered_are_not_called() -> Result<()> {
    let host = server_plugin().offer(&[metrics_server::SERVICE_NAME]).start().await?;
    host.plugin().configure(TRUST_DOMAIN, "hello").await?;
    let status = ask(&host).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "SPIRE does not offer its AgentStore to this plugin");
    measure(&host).await?;
    host.services().wait_for_measurement(|one| one.method == "AddSample").await?;
    ends_well(host).await?;

    let host = server_plugin().offer(&[agent_store_server::SERVICE_NAME]).start().await?;
    host.plugin().configure(TRUST_DOMAIN, "hello").await?;
    measure(&host).await?;
    assert_eq!(ask(&host).await?, "known:false");
    assert!(host.services().measurements().is_empty());
    ends_well(host).await
}

#[tokio::test]
async fn measurements_arrive() -> Result<()> {
    let host = configured().await?;
    measure(&host).await?;
    let text = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect::<Vec<_>>();
    let sample = host.services().wait_for_measurement(|one| one.method == "AddSample").await?;
    assert_eq!(
        sample,
        Measurement {
            method: "AddSample",
            key: text(&["test", "duration"]),
            value: 12.5,
            labels: Vec::new()
        }
    );
    let labels = [("outcome", "accepted"), ("reason", "none")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let counter = Measurement {
        method: "IncrCounter",
        key: text(&["test", "attestations"]),
        value: 1.0,
        labels: labels.into(),
    };
    // What was told at Configure came first.
    assert_eq!(host.services().measurements()[1..], [counter, sample]);
    ends_well(host).await
}

/// Has the plugin ask whether the agent is known.
async fn ask(host: &Host) -> Result<String, Status> {
    let attributes = host.plugin().attest(format!("known {AGENT}")).await?.attributes().await?;
    Ok(attributes.selector_values.last().cloned().unwrap_or_default())
}

/// Has the plugin send measurements.
async fn measure(host: &Host) -> Result<()> {
    host.plugin().attest("measure").await?.attributes().await?;
    Ok(())
}
