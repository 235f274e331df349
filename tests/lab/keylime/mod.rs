//! A real Keylime on loopback: verifier, registrar and nodes, each node a software TPM with a
//! Keylime agent.
//!
//! All of them are of Keylime's Python packages, which `make setup` installs; their configuration
//! lies beside this file. Only the agent of push mode, which no package has, is the lab's own.

mod admin;
mod agent;
mod node;
mod push_node;
mod record;
mod server;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use tempfile::TempDir;

pub use self::admin::{Admin, curl};
pub use self::agent::Agent;
pub use self::node::{Node, NodeOptions};
pub use self::push_node::PushNode;
pub use self::record::Attestations;
use self::server::Server;
use crate::agent_data::KeyKind;
use crate::fake_keylime::pki::{Ca, Files};
use crate::janitor;
use crate::ports::Port;

/// Who begins an attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The verifier asks the agents, which listen.
    Pull,
    /// The agents send quotes to the verifier, and listen nowhere.
    Push,
}

/// How a Keylime is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The verifier's mode, for all of its agents.
    pub mode: Mode,
    /// Has a verifier in push mode take ECC keys too, as that of Keylime 7.14.3 does not.
    pub push_takes_ecc: bool,
    /// Verifier and agents talk by mutual TLS, as is Keylime's default. A verifier cannot have
    /// agents of both kinds.
    pub mutual_tls: bool,
    /// Seconds between two quotes of a node. In push mode a node is missed after five times as
    /// long.
    pub quote_interval: u32,
    /// A name in the servers' certificates, beside localhost, the machine's name, 127.0.0.1 and
    /// ::1.
    pub server_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Pull,
            push_takes_ecc: false,
            mutual_tls: true,
            quote_interval: 1,
            server_name: "keylime.test".to_owned(),
        }
    }
}

impl Options {
    /// Push mode. A busy machine delays a quote by seconds, which is no silence yet: nodes are
    /// missed after 15 s.
    pub fn push() -> Self {
        Self { mode: Mode::Push, quote_interval: 3, ..Self::default() }
    }
}

/// A running Keylime.
#[derive(Debug)]
pub struct Keylime {
    options: Options,
    verifier: Server,
    registrar: Server,
    registration_port: Port,
    admin: Arc<Admin>,
    node_client: Files,
    // Last, because fields are dropped in this order: the servers end before their folder goes.
    _dir: TempDir,
}

impl Keylime {
    /// Starts verifier and registrar, with a certificate authority and databases of their own.
    ///
    /// # Errors
    /// When one of them does not come up; the error shows its log.
    pub fn start(options: Options) -> Result<Self> {
        let dir = janitor::folder("keylime")?;
        let (verifier_port, registrar_port) = (Port::free()?, Port::free()?);
        let registration_port = Port::free()?;
        let cv_ca = dir.path().join("cv_ca");
        let client = Files {
            ca: cv_ca.join("cacert.crt"),
            cert: cv_ca.join("client-cert.crt"),
            key: cv_ca.join("client-private.pem"),
        };
        let admin = Admin {
            client,
            verifier: verifier_port.number(),
            registrar: registrar_port.number(),
            mutual_tls: options.mutual_tls,
            dir: dir.path().to_owned(),
        };

        let verifier = Server::verifier(dir.path(), verifier_port, &registrar_port, &options);
        // It makes the certificate authority that the registrar shares.
        verifier.start()?;
        let registrar = Server::registrar(dir.path(), &registration_port, registrar_port);
        registrar.start()?;

        let node_client = Ca::new()?.write_client(&dir.path().join("node-ca"))?;
        let admin = Arc::new(admin);
        Ok(Self { options, verifier, registrar, registration_port, admin, node_client, _dir: dir })
    }

    /// The port of the verifier.
    pub fn verifier_port(&self) -> u16 {
        self.verifier.port()
    }

    /// The port of the registrar, for clients with a certificate.
    pub fn registrar_port(&self) -> u16 {
        self.registrar.port()
    }

    /// Keylime's certificate authority and a client certificate of it: what the server plugin is
    /// given.
    pub fn server_client(&self) -> &Files {
        &self.admin.client
    }

    /// A certificate authority of the nodes' own and a client certificate of it: what the agent
    /// plugin is given. Agents trust it, verifier and registrar do not.
    pub fn node_client(&self) -> &Files {
        &self.node_client
    }

    /// Requests to verifier and registrar, as an administrator makes them.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Starts a node, enrols it, and waits until it has passed.
    ///
    /// # Errors
    /// When it does not pass; the error shows its log.
    pub fn add_node(&self, options: NodeOptions) -> Result<Node> {
        let agent = Agent::start(self, &options, self.registration_port.number())?;
        Node::enrol(agent, Arc::clone(&self.admin), options)
    }

    /// Starts a node in push mode, enrols it, and waits until it has passed.
    ///
    /// # Errors
    /// When it does not pass; the error shows its log.
    pub fn add_push_node(&self, key: KeyKind) -> Result<PushNode> {
        PushNode::start(self, key, self.registration_port.number(), Arc::clone(&self.admin))
    }

    /// Ends the verifier.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn stop_verifier(&self) -> Result<()> {
        self.verifier.stop()
    }

    /// Starts the verifier again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_verifier(&self) -> Result<()> {
        self.verifier.start()
    }

    /// The CAs that Keylime's agents have to trust: the verifier's, and that of the nodes' clients.
    fn trusted_by_agents(&self) -> [&PathBuf; 2] {
        [&self.admin.client.ca, &self.node_client.ca]
    }
}
