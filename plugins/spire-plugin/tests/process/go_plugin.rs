//! Health, broker, stdio, Init, and the ways in which a plugin ends or does not end.

use std::fs;

use anyhow::{Context, Result};
use keylime_attestor_proto::go_plugin::conn_info::Knock;
use keylime_attestor_proto::go_plugin::grpc_broker_client::GrpcBrokerClient;
use keylime_attestor_proto::go_plugin::{ConnInfo, grpc_stdio_client::GrpcStdioClient};
use lab::host::{Ended, Signal};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

use crate::{agent_plugin, configured, ends_well, server_plugin};

/// The log message of a plugin that ends before all calls have.
const CALLS_STILL_OPEN: &str = "ended with calls still open";

#[tokio::test]
async fn health() -> Result<()> {
    let host = server_plugin().start().await?;
    let mut health = HealthClient::new(host.channel());
    let plugin = HealthCheckRequest { service: "plugin".to_owned() };
    let answer = health.check(plugin.clone()).await?.into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
    let other = HealthCheckRequest { service: "other".to_owned() };
    assert_eq!(health.check(other).await.unwrap_err().code(), Code::NotFound);

    let mut watch = health.watch(plugin).await?.into_inner();
    assert_eq!(watch.message().await?.context("no status")?.status(), ServingStatus::Serving);
    ends_well(host).await?;
    while let Ok(Some(_)) = watch.message().await {}
    Ok(())
}

#[tokio::test]
async fn init_names_the_services() -> Result<()> {
    for (start, attestor) in [
        (server_plugin(), "spire.plugin.server.nodeattestor.v1.NodeAttestor"),
        (agent_plugin(), "spire.plugin.agent.nodeattestor.v1.NodeAttestor"),
    ] {
        let host = start.start().await?;
        assert_eq!(host.plugin_services(), [attestor, "spire.service.common.config.v1.Config"]);
        ends_well(host).await?;
    }
    Ok(())
}

/// An agent's plugin has no service of a server's; and no plugin has a method of a version that is
/// yet to come.
#[tokio::test]
async fn what_is_not_there_is_unimplemented_with_a_text() -> Result<()> {
    let host = agent_plugin().start().await?;
    for path in [
        "/spire.plugin.server.nodeattestor.v1.NodeAttestor/Attest",
        "/spire.plugin.agent.nodeattestor.v1.NodeAttestor/Foresee",
        "/spire.service.common.config.v1.Config/Foresee",
    ] {
        let mut client = Grpc::new(host.channel());
        client.ready().await?;
        let codec = ProstCodec::<(), ()>::default();
        let status =
            client.unary(Request::new(()), PathAndQuery::from_static(path), codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
        assert!(status.message().contains("has no such service or method"), "{path}: {status:?}");
    }
    ends_well(host).await
}

#[tokio::test]
async fn streams_that_only_wait_do_not_delay_the_end() -> Result<()> {
    let host = server_plugin().start().await?;
    let mut stdio = GrpcStdioClient::new(host.channel()).stream_stdio(()).await?.into_inner();
    let plugin = HealthCheckRequest { service: "plugin".to_owned() };
    let _watch = HealthClient::new(host.channel()).watch(plugin).await?.into_inner();
    let Ended { status, stdout, log } = host.shut_down().await?;
    assert!(status.success() && stdout.is_empty());
    assert!(stdio.message().await?.is_none(), "something came over stdio");
    assert!(!log.lines().iter().any(|line| line.contains(CALLS_STILL_OPEN)));
    Ok(())
}

#[tokio::test]
async fn a_call_that_does_not_end_does_not_keep_the_process() -> Result<()> {
    let host = configured().await?;
    let _hanging = host.plugin().attest("hang").await?;
    host.log().wait_for_message("hanging").await?;
    let Ended { status, log, .. } = host.shut_down().await?;
    assert!(status.success());
    assert!(log.lines().iter().any(|line| line.contains(CALLS_STILL_OPEN)));
    Ok(())
}

#[tokio::test]
async fn sigint_is_ignored() -> Result<()> {
    let host = configured().await?;
    for _ in 0..3 {
        host.signal(Signal::INT)?;
        host.plugin().attest("address").await?.attributes().await?;
    }
    ends_well(host).await
}

#[tokio::test]
async fn sigterm_ends_it_well() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let host = server_plugin().env("PLUGIN_UNIX_SOCKET_DIR", directory.path()).start().await?;
    host.signal(Signal::TERM)?;
    let Ended { status, stdout, .. } = host.ended().await?;
    assert!(status.success() && stdout.is_empty());
    assert_eq!(fs::read_dir(directory.path())?.count(), 0, "something was left behind");
    Ok(())
}

#[tokio::test]
async fn a_knock_is_answered_with_no() -> Result<()> {
    let host = server_plugin().start().await?;
    let knock = Knock { knock: true, ..Knock::default() };
    let question = ConnInfo { service_id: 7, knock: Some(knock.clone()), ..ConnInfo::default() };
    let answer_of_another =
        ConnInfo { service_id: 8, knock: Some(Knock { ack: true, ..knock }), ..ConnInfo::default() };
    let infos = tokio_stream::iter([answer_of_another, question]);
    let mut answers = GrpcBrokerClient::new(host.channel()).start_stream(infos).await?.into_inner();
    let answer = answers.message().await?.context("no answer")?;
    assert_eq!(answer.service_id, 7);
    let knock = answer.knock.context("no knock")?;
    assert!(knock.knock && !knock.ack && !knock.error.is_empty());
    assert!(answers.message().await?.is_none(), "the stream was not closed with the host's");
    ends_well(host).await
}
