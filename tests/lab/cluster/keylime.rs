//! The cluster's Keylime: who the nodes are for it, what it thinks of them, and how it is made to
//! think otherwise.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Cluster, Node, TIMEOUT, kill_group};
use crate::fake_keylime::pki::Files;
use crate::process::output;
use crate::wait;

/// The PCR that every node's policy names: one that software may reset.
const PCR: &str = "23";

/// Keylime's verifier, registrar and agents in a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Keylime<'a> {
    cluster: &'a Cluster,
}

impl<'a> Keylime<'a> {
    pub(super) const fn of(cluster: &'a Cluster) -> Self {
        Self { cluster }
    }

    /// The id of a node's agent, a random UUID; in push mode the hash of its EK.
    ///
    /// # Errors
    /// When there is no file with it.
    pub fn agent_id(self, node: Node) -> Result<String> {
        let file = self.cluster.state.join(node.name).join("agent-id");
        let id = fs::read_to_string(file)
            .with_context(|| format!("failed to find the Keylime agent of {}", node.name))?;
        Ok(id.trim().to_owned())
    }

    /// The verifier's `attestation_status` of a node: PASS, FAIL or PENDING, in push mode TIMEOUT
    /// too.
    ///
    /// # Errors
    /// When the verifier does not answer, or does not know the node.
    pub fn status(self, node: Node) -> Result<String> {
        let record = self.verifier("GET", &self.agent_id(node)?)?;
        let status = record.get("attestation_status").and_then(Value::as_str);
        Ok(status
            .with_context(|| format!("the verifier's record has no attestation_status: {record}"))?
            .to_owned())
    }

    /// Measures something on a node that its policy does not allow, and waits until the verifier
    /// says FAIL.
    ///
    /// # Errors
    /// When the verifier does not.
    pub fn fail(self, node: Node) -> Result<()> {
        self.tpm_tool(node, &["tpm2_pcrextend", &format!("{PCR}:sha256={}", "11".repeat(32))])?;
        self.wait_for(node, "FAIL")
    }

    /// Undoes [`fail`](Self::fail) as a clean boot does, has the verifier attest it again (in push
    /// mode by enrolling it anew), and waits until it says PASS.
    ///
    /// # Errors
    /// When the verifier does not.
    pub fn repair(self, node: Node) -> Result<()> {
        self.tpm_tool(node, &["tpm2_pcrreset", PCR])?;
        if self.cluster.push {
            self.enrol_anew(node)?;
        } else {
            self.verifier("PUT", &format!("{}/reactivate", self.agent_id(node)?))?;
        }
        self.wait_for(node, "PASS")
    }

    /// Ends the agent of a node in push mode, keeps it down, and waits until the verifier says
    /// TIMEOUT.
    ///
    /// # Errors
    /// When the verifier does not.
    pub fn silence(self, node: Node) -> Result<()> {
        let name = agent(node);
        let pid = self.cluster.pid(&name)?;
        fs::write(self.cluster.held(&name), "").with_context(|| format!("failed to hold {name}"))?;
        kill_group(self.cluster.on_node(node)?, &pid)?;
        self.wait_for(node, "TIMEOUT")
    }

    /// Undoes [`silence`](Self::silence), and waits until the verifier says PASS.
    ///
    /// # Errors
    /// When the verifier does not.
    pub fn speak_again(self, node: Node) -> Result<()> {
        let name = agent(node);
        fs::remove_file(self.cluster.held(&name)).with_context(|| format!("failed to release {name}"))?;
        self.wait_for(node, "PASS")
    }

    /// As an administrator does for a node in push mode.
    fn enrol_anew(self, node: Node) -> Result<()> {
        let policy = json!({ PCR: ["0".repeat(64)] }).to_string();
        let mut tenant = self.cluster.in_control_plane()?;
        tenant.arg("bash").arg(self.cluster.state.join("tenant.sh"));
        tenant.args(["-c", "update", "--push-model", "-t", node.address, "-v", "127.0.0.1"]);
        output(tenant.args(["-u", &self.agent_id(node)?, "--tpm_policy", &policy])).map(drop)
    }

    /// The attestation key that the registrar holds for a node.
    ///
    /// # Errors
    /// When the registrar's database cannot be read.
    pub fn registered_key(self, node: Node) -> Result<String> {
        let key =
            self.registrar("select aik_tpm from registrarmain where agent_id = ?", &[&self.agent_id(node)?])?;
        ensure!(!key.is_empty(), "the registrar does not know {}", node.name);
        Ok(key)
    }

    /// The certificate that the registrar holds of a node's Keylime agent, in PEM.
    ///
    /// # Errors
    /// When the registrar's database cannot be read.
    pub fn agent_certificate(self, node: Node) -> Result<String> {
        let id = self.agent_id(node)?;
        let held = self.registrar("select mtls_cert from registrarmain where agent_id = ?", &[&id])?;
        // DER in base64, as a JSON string.
        let body = held.trim_matches('"');
        ensure!(body.len() > 64, "the registrar holds {held:?}");
        let lines = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>();
        Ok(format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")))
    }

    /// Has the registrar hold another attestation key for a node. The verifier goes on with the one
    /// that the node was enrolled with.
    ///
    /// # Errors
    /// When the registrar's database cannot be written.
    pub fn register_key(self, node: Node, key: &str) -> Result<()> {
        self.registrar(
            "update registrarmain set aik_tpm = ? where agent_id = ?",
            &[key, &self.agent_id(node)?],
        )?;
        let held = self.registered_key(node)?;
        ensure!(held == key, "the registrar holds {held}");
        Ok(())
    }

    /// A client certificate that administers verifier and registrar, and the authority that made
    /// theirs. Their certificates name localhost, verifier.keylime.svc, registrar.keylime.svc and
    /// 10.90.0.1.
    pub fn admin_tls(self) -> Files {
        let folder = self.cluster.state.join("keylime/cv_ca");
        Files {
            ca: folder.join("cacert.crt"),
            cert: folder.join("client-cert.crt"),
            key: folder.join("client-private.pem"),
        }
    }

    /// A client certificate that the agents serve, and verifier and registrar don't; with the
    /// authority that made it.
    pub fn node_tls(self) -> Files {
        let folder = self.cluster.state.join("pki");
        Files {
            ca: folder.join("node-ca.crt"),
            cert: folder.join("node-client.crt"),
            key: folder.join("node-client.key"),
        }
    }

    /// Puts the client certificates beside SPIRE, with the keys `ca.crt`, `tls.crt` and `tls.key`:
    /// the Secret `keylime-admin-client` where its server is, and `keylime-node-client` where its
    /// agents are.
    ///
    /// # Errors
    /// When the apiserver refuses them.
    pub fn create_secrets(self) -> Result<()> {
        let world = self.cluster.world;
        self.create_secret(world.server, "keylime-admin-client", &self.admin_tls())?;
        self.create_secret(world.agents, "keylime-node-client", &self.node_tls())
    }

    /// Puts a client certificate into a namespace, as a Secret of this name.
    ///
    /// # Errors
    /// When its files cannot be read, or the apiserver refuses it.
    pub fn create_secret(self, namespace: &str, name: &str, tls: &Files) -> Result<()> {
        let read = |file: &Path| {
            fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))
        };
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "type": "kubernetes.io/tls",
            "stringData": {"ca.crt": read(&tls.ca)?, "tls.crt": read(&tls.cert)?, "tls.key": read(&tls.key)?},
        });
        self.cluster.apply(&secret.to_string()).map(drop)
    }

    /// A statement to the registrar's database, which it reads anew for each answer; the first
    /// value of the first row.
    fn registrar(self, statement: &str, values: &[&str]) -> Result<String> {
        const PROGRAM: &str = "import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=10) as database:
    row = database.execute(sys.argv[2], sys.argv[3:]).fetchone()
    print(row[0] if row else '')";
        let database = self.cluster.state.join("keylime/reg_data.sqlite");
        let mut python = Command::new("python3");
        let answer = output(python.args(["-c", PROGRAM]).arg(database).arg(statement).args(values))?;
        Ok(answer.trim().to_owned())
    }

    /// Runs one of tpm2-tools on a node's TPM.
    fn tpm_tool(self, node: Node, args: &[&str]) -> Result<()> {
        let mut tool = self.cluster.on_node(node)?;
        output(tool.args(["env", "TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port=2321"]).args(args))?;
        Ok(())
    }

    fn wait_for(self, node: Node, status: &str) -> Result<()> {
        wait::until(&format!("{status} at the verifier"), TIMEOUT, || {
            let now = self.status(node)?;
            ensure!(now == status, "it is {now}");
            Ok(())
        })
    }

    /// A request to the verifier; the `results` of its answer.
    fn verifier(self, method: &str, path: &str) -> Result<Value> {
        let tls = self.admin_tls();
        let mut curl = self.cluster.in_control_plane()?;
        curl.args([
            "curl",
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--max-time",
            "20",
            "--request",
            method,
        ]);
        curl.arg("--cacert").arg(tls.ca).arg("--cert").arg(tls.cert).arg("--key").arg(tls.key);
        let answer = output(curl.arg(format!("https://127.0.0.1:8881/v2.1/agents/{path}")))?;
        let mut answer: Value = serde_json::from_str(&answer).context("the verifier's answer is no JSON")?;
        Ok(answer.get_mut("results").context("the verifier's answer has no results")?.take())
    }
}

/// The component that a node's agent is.
fn agent(node: Node) -> String {
    format!("{}-keylime-agent", node.name)
}
