//! A node under the verifier's watch, which can be made to fail and be repaired.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::record::{Attestations, Record, forget, measure, policy, unix_time};
use super::{Admin, Agent};

/// How a node is set up.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Its id in Keylime; None is a random UUID.
    pub id: Option<String>,
    /// True if its agent answers `/agent/info`. Some agents do not.
    pub info: bool,
    /// Keylime's `meta_data` of it, a JSON object.
    pub meta_data: Value,
    /// Enrol it with `keylime_tenant`, which also checks the EK certificate. It takes some seconds
    /// more, and knows no `meta_data`.
    pub with_tenant: bool,
    /// The CA of clients that its agent trusts beside the verifier's; None is that of
    /// [`node_client`](super::Keylime::node_client).
    pub node_ca: Option<PathBuf>,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { id: None, info: true, meta_data: json!({}), with_tenant: false, node_ca: None }
    }
}

/// A node that Keylime attests.
#[derive(Debug)]
pub struct Node {
    agent: Agent,
    record: Record,
    options: NodeOptions,
}

impl Node {
    pub(super) fn enrol(agent: Agent, admin: Arc<Admin>, options: NodeOptions) -> Result<Self> {
        let record = Record::new(agent.id(), admin);
        let node = Self { agent, record, options };
        if node.options.with_tenant {
            node.enrol_with_tenant()?;
        } else {
            node.record.enrol(node.agent.port(), &node.options.meta_data)?;
        }
        node.record.wait_for("PASS", 1)?;
        Ok(node)
    }

    /// Its software TPM and Keylime agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Its Keylime agent, to stop it.
    pub fn agent_mut(&mut self) -> &mut Agent {
        &mut self.agent
    }

    /// Measures something that its policy does not allow, and waits until Keylime has failed it.
    ///
    /// # Errors
    /// When Keylime does not.
    pub fn fail(&self) -> Result<()> {
        measure(self.agent.tpm())?;
        self.record.wait_for("FAIL", 0)
    }

    /// Undoes [`fail`](Self::fail) as a clean boot does, has the verifier attest it again, and
    /// waits until the node has passed.
    ///
    /// # Errors
    /// When it does not pass.
    pub fn repair(&self) -> Result<()> {
        forget(self.agent.tpm())?;
        let now = unix_time()?;
        self.record.admin().reactivate(self.agent.id())?;
        self.record.wait_for("PASS", now)
    }

    /// What the verifier says of it now.
    ///
    /// # Errors
    /// When it does not know the node.
    pub fn attestations(&self) -> Result<Attestations> {
        self.record.attestations()
    }

    /// Takes it from the verifier's watch; the registrar goes on to know it.
    ///
    /// # Errors
    /// When the verifier does not follow.
    pub fn remove_from_verifier(&self) -> Result<()> {
        self.record.remove()
    }

    /// Makes the registrar forget it.
    ///
    /// # Errors
    /// When the registrar does not follow.
    pub fn remove_from_registrar(&self) -> Result<()> {
        self.record.admin().remove_from_registrar(self.agent.id())
    }

    fn enrol_with_tenant(&self) -> Result<()> {
        let store = self.agent.dir().join("ek-certificates");
        fs::create_dir_all(&store)?;
        for certificate in self.agent.tpm().ek_ca_certificates() {
            let name = certificate.file_name().map(Path::new).context("an EK certificate has no name")?;
            fs::copy(&certificate, store.join(name))?;
        }
        let policy = policy().to_string();
        let store = store.display().to_string();
        let command =
            ["-c", "add", "-t", "127.0.0.1", "-v", "127.0.0.1", "-u", self.agent.id(), "--tpm_policy"];
        self.record.admin().tenant(&store, &[&command[..], &[&policy]].concat())?;
        Ok(())
    }
}
