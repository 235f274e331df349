//! Configure and Validate.

use anyhow::Result;
use keylime_attestor_proto::config::{ConfigureRequest, ValidateRequest, config_client::ConfigClient};
use tonic::Code;

use crate::{TRUST_DOMAIN, agent_plugin, configured, ends_well, server_plugin};

#[tokio::test]
async fn before_it_is_configured_nothing_is_attested() -> Result<()> {
    let host = server_plugin().start().await?;
    assert_eq!(host.plugin().attest("greet").await.unwrap_err().code(), Code::FailedPrecondition);
    ends_well(host).await?;

    let host = agent_plugin().start().await?;
    assert_eq!(host.plugin().aid_attestation().await.unwrap_err().code(), Code::FailedPrecondition);
    ends_well(host).await
}

#[tokio::test]
async fn configure_tells_every_problem_and_keeps_the_old_configuration() -> Result<()> {
    let host = configured().await?;
    let refused = host.plugin().configure(TRUST_DOMAIN, "bad host\ngood\nbad port").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "configuration is not valid: bad host; bad port");
    assert_eq!(host.plugin().attest("greet").await?.challenge().await?, b"hello");
    ends_well(host).await
}

#[tokio::test]
async fn validate_has_one_note_for_each_problem_and_changes_nothing() -> Result<()> {
    let host = configured().await?;
    let answer = host.plugin().validate(TRUST_DOMAIN, "bad host\nbad port").await?;
    assert!(!answer.valid);
    assert_eq!(answer.notes, ["bad host", "bad port"]);
    let answer = host.plugin().validate(TRUST_DOMAIN, "other").await?;
    assert!(answer.valid && answer.notes.is_empty());
    assert_eq!(host.plugin().attest("greet").await?.challenge().await?, b"hello");
    ends_well(host).await
}

#[tokio::test]
async fn a_plugin_is_told_what_is_in_force_and_not_what_is_only_validated() -> Result<()> {
    let host = server_plugin().start().await?;
    host.plugin().validate(TRUST_DOMAIN, "four").await?;
    host.plugin().configure(TRUST_DOMAIN, "bad host").await.unwrap_err();
    host.plugin().configure(TRUST_DOMAIN, "hello").await?;
    let told = host.services().wait_for_measurement(|told| told.key == ["test", "greeting"]).await?;
    assert_eq!((told.method, told.value), ("SetGauge", 5.0));

    let status = host.plugin().configure(TRUST_DOMAIN, "panic in force").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    host.plugin().configure(TRUST_DOMAIN, "hello!").await?;
    host.services().wait_for_measurement(|told| told.value == 6.0).await?;
    assert_eq!(host.services().measurements().len(), 2);
    ends_well(host).await
}

#[tokio::test]
async fn a_trust_domain_is_needed() -> Result<()> {
    let host = server_plugin().start().await?;
    for (trust_domain, problem) in
        [("", "trust domain is empty"), ("Example.org", "trust domain has the character 'E'")]
    {
        let refused = host.plugin().configure(trust_domain, "hello").await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(problem), "{refused}");
        let answer = host.plugin().validate(trust_domain, "hello").await?;
        assert!(!answer.valid);
        assert!(matches!(answer.notes.as_slice(), [note] if note.starts_with(problem)), "{answer:?}");
    }

    let mut config = ConfigClient::new(host.channel());
    let missing = "core configuration is missing: expected SPIRE to tell the trust domain";
    let refused = config.configure(ConfigureRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), format!("configuration is not valid: {missing}"));
    let answer = config.validate(ValidateRequest::default()).await?.into_inner();
    assert!(!answer.valid);
    assert_eq!(answer.notes, [missing]);
    ends_well(host).await
}

#[tokio::test]
async fn an_attestation_keeps_the_configuration_that_it_began_with() -> Result<()> {
    let host = configured().await?;
    let mut session = host.plugin().attest("greet").await?;
    assert_eq!(session.challenge().await?, b"hello");
    host.plugin().configure("other.org", "welcome").await?;
    session.respond("hi");
    let attributes = session.attributes().await?;
    assert_eq!(attributes.selector_values, ["trust_domain:example.org", "greeting:hello", "response:hi"]);
    assert_eq!(attributes.spiffe_id, "spiffe://example.org/spire/agent/test/1");
    assert_eq!(host.plugin().attest("greet").await?.challenge().await?, b"welcome");
    ends_well(host).await
}

#[tokio::test]
async fn a_panic_is_an_internal_error_of_the_call() -> Result<()> {
    let host = configured().await?;
    let configure = host.plugin().configure(TRUST_DOMAIN, "panic").await.unwrap_err();
    let validate = host.plugin().validate(TRUST_DOMAIN, "panic").await.unwrap_err();
    for status in [configure, validate] {
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("secret"), "{status}");
    }
    assert_eq!(host.plugin().attest("greet").await?.challenge().await?, b"hello");
    host.plugin().configure(TRUST_DOMAIN, "welcome").await?;
    ends_well(host).await
}

#[tokio::test]
async fn a_configuration_that_is_too_large_is_refused() -> Result<()> {
    let host = configured().await?;
    let text = "x".repeat(2 * 1024 * 1024);
    assert!(host.plugin().configure(TRUST_DOMAIN, &text).await.is_err());
    assert_eq!(host.plugin().attest("greet").await?.challenge().await?, b"hello");
    ends_well(host).await
}
