//! `spec.keylime`: the servers, the agents, and the credentials for both.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{self, Rule};
use crate::{Duration, Verifiers};

/// Where Keylime's servers and agents listen, and how they are spoken to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [ADDRESSES_DIFFER, NO_ADMIN_ON_NODES]))]
pub struct Keylime {
    /// The verifiers, which decide about the nodes: one, or several that share the nodes out. Each
    /// agent belongs to the verifier that knows it; an agent that two of them know is reported, and
    /// refused.
    #[schemars(length(min = 1, max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host", "port"]))]
    pub verifiers: Verifiers,

    /// The registrar, which knows every node's attestation key. Left out, it is on the host of the
    /// first verifier.
    #[serde(default)]
    pub registrar: Registrar,

    /// The credentials for verifier and registrar. Both are spoken to by https with a client
    /// certificate, and by nothing else.
    pub tls: KeylimeTls,

    /// The Keylime agent on each node, as the SPIRE agent on that node reaches it. Of SPIRE's agents
    /// that have a keylimeAgent of their own, that one counts.
    #[serde(default)]
    pub agent: KeylimeAgent,

    /// Longest time for one request to Keylime, at least 1s. Written like 10s, 1m or 1m30s. A
    /// server that does not answer in time counts as unreachable, and an attestation that needs it
    /// is refused as unavailable; SPIRE's agent tries again by itself.
    #[serde(default = "request_timeout")]
    #[schemars(extend("x-kubernetes-validations" = [REQUEST_TIMEOUT]))]
    pub request_timeout: Duration,
}

/// Keylime's registrar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registrar {
    /// Host of the registrar, as seen from SPIRE's server pod and from the operator: a DNS name, an
    /// IPv4 or an IPv6 address, without scheme and port. Left out, it is the host of the
    /// first verifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::host")]
    pub host: Option<String>,

    /// The registrar's https port, not the http port that agents register at.
    #[serde(default = "registrar_port")]
    #[schemars(schema_with = "schema::port")]
    pub port: u16,
}

/// The credentials for verifier and registrar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeylimeTls {
    /// Name of a Secret in the namespace of SPIRE's server with the keys ca.crt (the only CA
    /// certificates that Keylime's servers are trusted by), tls.crt (a client certificate that they
    /// accept) and tls.key (its key), all PEM, as cert-manager writes them. It is mounted into
    /// SPIRE's server pod and followed there when it changes, and the operator reads it to ask
    /// Keylime itself. Secrets of other namespaces cannot be used: copy the Secret, or have it
    /// issued where SPIRE's server runs.
    #[schemars(schema_with = "schema::object_name")]
    pub secret_name: String,

    /// Name that the certificates of verifier and registrar are expected to have. Left out, it is
    /// the host that is connected to. Certificates that Keylime makes for itself are often for
    /// localhost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::host")]
    pub server_name: Option<String>,
}

/// The Keylime agent on each node: one that listens (pull model), or one that opens no port (push
/// model) and has a keylime-attestor-quoter beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [ONE_ADDRESS, PINNED_BEYOND_LOOPBACK]))]
pub struct KeylimeAgent {
    /// Unix socket of the keylime-attestor-quoter on the same node, where the Keylime agent opens no
    /// port (push model); in place of host, port and tls. A file in /run/keylime-attestor, the only
    /// folder of the nodes that is ever mounted into SPIRE's agents. The quoter's own default is
    /// /run/keylime-attestor/quoter.sock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quoter_socket")]
    pub socket: Option<String>,

    /// Host of the Keylime agent, as seen from the SPIRE agent on the same node, 127.0.0.1 where it
    /// is left out: a DNS name, an IPv4 or an IPv6 address, without scheme and port. 127.0.0.1 is
    /// right where SPIRE's agents use the host's network, as they do in SPIFFE's charts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::host")]
    pub host: Option<String>,

    /// Port of the Keylime agent, 9002 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::port")]
    pub port: Option<u16>,

    /// The credentials for Keylime's agents. Left out, they are spoken to by plain http, which they
    /// must have been set up for (enable_agent_mtls = false); the plugin then warns in the SPIRE
    /// agent's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<KeylimeAgentTls>,
}

/// The credentials for Keylime's agents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeylimeAgentTls {
    /// Name of a Secret in the namespace of SPIRE's agents with the keys tls.crt (a client
    /// certificate of a CA in the Keylime agents' trusted_client_ca) and tls.key (its key), both
    /// PEM. It is mounted into SPIRE's agent pods and followed there when it changes. It must not
    /// be the Secret of spec.keylime.tls. Secrets of other namespaces cannot be used.
    #[schemars(schema_with = "schema::object_name")]
    pub secret_name: String,

    /// Whether the Secret also has server.crt, the one certificate that every Keylime agent shows,
    /// compared byte for byte. Needed when the agent's host is not the node itself.
    #[serde(default)]
    pub pin_server_certificate: bool,
}

const ADDRESSES_DIFFER: Rule = Rule {
    rule: "self.verifiers.all(v, v.host != (has(self.registrar.host) ? self.registrar.host : \
        self.verifiers[0].host) || v.port != self.registrar.port)",
    message: "a verifier and the registrar cannot be the same host and port: Keylime's defaults are 8881 for the \
        verifier and 8891 for the registrar",
};

const NO_ADMIN_ON_NODES: Rule = Rule {
    rule: "!has(self.agent.tls) || self.agent.tls.secretName != self.tls.secretName",
    message: "agent.tls.secretName must not be tls.secretName: that Secret would be mounted on every node, and who \
        holds it may change every node's policy at the verifier; issue the agents a client certificate of \
        their own",
};

const REQUEST_TIMEOUT: Rule =
    Rule { rule: "duration(self) >= duration('1s')", message: "requestTimeout must be at least 1s" };

const ONE_ADDRESS: Rule = Rule {
    rule: "!has(self.socket) || !(has(self.host) || has(self.port) || has(self.tls))",
    message: "socket takes the place of host, port and tls, which are for a Keylime agent that listens: remove \
        those, or socket where the nodes' Keylime agents listen",
};

const PINNED_BEYOND_LOOPBACK: Rule = Rule {
    rule: "!has(self.tls) || self.tls.pinServerCertificate || !has(self.host) || self.host == 'localhost' || \
        (isIP(self.host) && ip(self.host).isLoopback())",
    message: "tls.pinServerCertificate must be true when host is not 127.0.0.0/8, ::1 or localhost: Keylime's \
        agents sign their certificates themselves, so that nothing else tells who answers",
};

impl Default for Registrar {
    fn default() -> Self {
        Self { host: None, port: registrar_port() }
    }
}

/// The way to a node's Keylime agent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AgentAddress<'a> {
    /// The file of a quoter's socket.
    Socket(&'a str),
    /// An agent that listens.
    Port {
        /// Its host.
        host: &'a str,
        /// Its port.
        port: u16,
        /// The credentials for it; [`None`] for plain http.
        tls: Option<&'a KeylimeAgentTls>,
    },
}

impl KeylimeAgent {
    /// The way to it, with what was left out.
    pub fn address(&self) -> AgentAddress<'_> {
        match &self.socket {
            Some(socket) => AgentAddress::Socket(socket),
            None => AgentAddress::Port {
                host: self.host.as_deref().unwrap_or("127.0.0.1"),
                port: self.port.unwrap_or(9002),
                tls: self.tls.as_ref(),
            },
        }
    }

    /// Name of the Secret with the credentials for it.
    pub fn secret_name(&self) -> Option<&str> {
        match self.address() {
            AgentAddress::Port { tls: Some(tls), .. } => Some(&tls.secret_name),
            AgentAddress::Port { tls: None, .. } | AgentAddress::Socket(_) => None,
        }
    }
}

fn request_timeout() -> Duration {
    Duration::from_secs(10)
}

fn registrar_port() -> u16 {
    8891
}
