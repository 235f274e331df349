//! A plugin for the tests, of SPIRE's agent with the argument `agent` and of its server otherwise.
//! It does what the payload of an attestation tells it to.

#![expect(clippy::panic, reason = "panics are among what is tested")]

use std::process::ExitCode;
use std::sync::Arc;

use spire_plugin::{
    About, AgentAttestation, AgentAttributes, AgentNodeAttestor, Configure, Host, ServerAttestation,
    ServerNodeAttestor, Status, TrustDomain,
};
use tracing::Instrument;

const ABOUT: About = About { name: "test-plugin", version: "1.2.3", description: "does what tests want" };

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("agent") => spire_plugin::serve_agent_node_attestor(ABOUT, TestPlugin),
        _ => spire_plugin::serve_server_node_attestor(ABOUT, TestPlugin),
    }
}

struct TestPlugin;

struct Config {
    trust_domain: TrustDomain,
    greeting: String,
}

impl Configure for TestPlugin {
    type Config = Config;

    /// Takes any text for the greeting. Each line that begins with `bad` is a problem.
    async fn configure(&self, trust_domain: &TrustDomain, text: &str) -> Result<Config, Vec<String>> {
        assert!(text != "panic", "secret of the configuration");
        let problems: Vec<_> =
            text.lines().filter(|line| line.starts_with("bad")).map(str::to_owned).collect();
        if problems.is_empty() {
            Ok(Config { trust_domain: trust_domain.clone(), greeting: text.to_owned() })
        } else {
            Err(problems)
        }
    }

    /// Tells SPIRE how long the greeting is.
    fn in_force(&self, config: &Arc<Config>, host: &Host) {
        assert!(config.greeting != "panic in force", "secret of the configuration");
        host.set_gauge(
            &["test", "greeting"],
            f32::from(u8::try_from(config.greeting.len()).unwrap_or(u8::MAX)),
        );
    }
}

impl ServerNodeAttestor for TestPlugin {
    async fn attest(
        &self,
        config: Arc<Config>,
        attestation: &mut ServerAttestation,
    ) -> Result<AgentAttributes, Status> {
        let payload = String::from_utf8_lossy(&attestation.payload().await?).into_owned();
        let (order, argument) = payload.split_once(' ').unwrap_or((&payload, ""));
        let mut selector_values = vec![format!("trust_domain:{}", config.trust_domain)];
        match order {
            "greet" => {
                let response = attestation.challenge(config.greeting.clone().into_bytes()).await?;
                selector_values.push(format!("greeting:{}", config.greeting));
                selector_values.push(format!("response:{}", String::from_utf8_lossy(&response)));
            }
            "refuse" => return Err(Status::permission_denied("refused as asked")),
            "panic" => panic!("secret of {argument}"),
            "hang" => hang().await,
            "address" => selector_values.push(format!("address:{:?}", attestation.client_ip())),
            "known" => {
                let known = attestation.host().agent_is_known(argument).await?;
                selector_values.push(format!("known:{known}"));
            }
            "measure" => measure(attestation),
            "log" => log().instrument(tracing::info_span!("attestation", agent_id = "node-1")).await,
            _ => return Err(Status::invalid_argument("unknown order")),
        }
        Ok(AgentAttributes {
            spiffe_id: format!("spiffe://{}/spire/agent/test/1", config.trust_domain),
            selector_values,
            can_reattest: true,
        })
    }
}

impl AgentNodeAttestor for TestPlugin {
    async fn aid_attestation(
        &self,
        config: Arc<Config>,
        attestation: &mut AgentAttestation,
    ) -> Result<(), Status> {
        attestation.send_payload(config.greeting.clone().into_bytes()).await?;
        while let Some(challenge) = attestation.next_challenge().await? {
            attestation.host().incr_counter(&["challenges"], &[]);
            match challenge.as_slice() {
                b"panic" => panic!("secret of the agent"),
                b"refuse" => return Err(Status::permission_denied("refused as asked")),
                _ => attestation.respond([b"response to ", challenge.as_slice()].concat()).await?,
            }
        }
        Ok(())
    }
}

/// Never ends. Says when it is given up.
async fn hang() {
    struct SayWhenDropped;
    impl Drop for SayWhenDropped {
        fn drop(&mut self) {
            tracing::info!("given up");
        }
    }
    let _guard = SayWhenDropped;
    tracing::info!("hanging");
    std::future::pending().await
}

fn measure(attestation: &ServerAttestation) {
    let host = attestation.host();
    host.incr_counter(&["test", "attestations"], &[("outcome", "accepted"), ("reason", "none")]);
    host.add_sample(&["test", "duration"], 12.5, &[]);
}

/// Logs what is hard to log.
async fn log() {
    tracing::trace!("a trace");
    tracing::debug!("a debug");
    tracing::warn!(target: "h2::proto", "a warning of a dependency");
    tracing::debug!(target: "h2::proto", "a debug of a dependency");
    tracing::info!("@level" = 5, "@message" = true, "@timestamp" = 1.5, "@module" = "other", "at signs");
    tracing::info!(text = "a\n\"b\"\u{1}ü", number = -7, yes = true, "values");
    let error: &dyn std::error::Error = &std::io::Error::other("disk full");
    tracing::error!(error, optional = None::<&str>, "an error");
    tracing::info!(agent_id = "node-2", "inner wins");
    tracing::info!(count = 3);
    tracing::info!("{}", "long \u{1}".repeat(100_000));
    tracing::info!(body = "\u{1}".repeat(100_000), tail = "kept", "long field");
}
