//! A real kube-apiserver with its etcd and nothing else, for what the API alone decides: schemas,
//! rules, defaults, field ownership. It needs no root and is up in a few seconds; nothing runs that
//! is written to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rcgen::KeyPair;
use tempfile::TempDir;

use crate::api::Api;
use crate::ports::Port;
use crate::process::{Process, output};
use crate::programs::{installed, source};

/// How long etcd and the apiserver may take to start, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A running apiserver. It and all that was written to it is gone when this is dropped.
#[derive(Debug)]
pub struct ApiServer {
    kubectl: PathBuf,
    api: Api,
    // Dropped in this order, the apiserver before its etcd. None while it is down.
    apiserver: Option<Process>,
    _etcd: Process,
    ports: [Port; 3],
    /// True with the admission plugin NodeRestriction.
    node_restriction: bool,
    dir: TempDir,
}

impl ApiServer {
    /// Starts etcd and the apiserver, and waits until it is ready.
    ///
    /// # Errors
    /// When they are not installed or do not start; the error shows the ends of their logs.
    pub fn start() -> Result<Self> {
        Self::start_with(true)
    }

    /// The same without the admission plugin NodeRestriction, as a kube-apiserver is that is told
    /// nothing of it.
    ///
    /// # Errors
    /// Like [`start`](Self::start).
    pub fn start_without_node_restriction() -> Result<Self> {
        Self::start_with(false)
    }

    fn start_with(node_restriction: bool) -> Result<Self> {
        let dir = TempDir::new().context("failed to make a folder for the apiserver")?;
        let ports = [Port::free()?, Port::free()?, Port::free()?];
        let [client, peer, api] = &ports;
        let etcd = start_etcd(dir.path(), client, peer)?;
        write_credentials(dir.path(), api)?;
        let mut apiserver = start_apiserver(dir.path(), client, api, node_restriction)?;
        // Its certificate is there only when it has made one.
        let api = apiserver.wait_until("the apiserver", TIMEOUT, || {
            let api = Api::of(&kubeconfig(dir.path()))?;
            api.ready()?;
            Ok(api)
        })?;
        let kubectl = installed("cluster-tools/kubectl")?;
        Ok(Self { kubectl, api, apiserver: Some(apiserver), _etcd: etcd, ports, node_restriction, dir })
    }

    /// Ends the apiserver; etcd keeps what was written.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn go_down(&mut self) -> Result<()> {
        self.apiserver.take().map_or(Ok(()), Process::stop)
    }

    /// Starts it again and waits until it is ready.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn come_up(&mut self) -> Result<()> {
        let [client, _, api] = &self.ports;
        let apiserver = start_apiserver(self.dir.path(), client, api, self.node_restriction)?;
        let apiserver = self.apiserver.insert(apiserver);
        apiserver.wait_until("the apiserver", TIMEOUT, || self.api.ready())
    }

    /// Every request that was answered so far, without its body, as the audit log has it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit(&self) -> Result<Vec<serde_json::Value>> {
        let log = fs::read_to_string(audit_log(self.dir.path())).context("failed to read the audit log")?;
        // The last line may be half written.
        let (whole, _) = log.rsplit_once('\n').unwrap_or_default();
        whole.lines().map(|line| serde_json::from_str(line).context("failed to read the audit log")).collect()
    }

    /// Host and port.
    pub fn address(&self) -> String {
        let [_, _, api] = &self.ports;
        format!("127.0.0.1:{api}")
    }

    /// The certificate of the CA that signed its own.
    pub fn ca_file(&self) -> PathBuf {
        authority(self.dir.path())
    }

    /// The key by which it signs the tokens of service accounts (PEM, PKCS#8).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn service_account_key(&self) -> Result<String> {
        let [key, _, _] = credentials(self.dir.path());
        fs::read_to_string(key).context("failed to read the key of service accounts")
    }

    /// The kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        kubeconfig(self.dir.path())
    }

    /// The API without kubectl.
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// Runs kubectl to its end; its standard output.
    ///
    /// # Errors
    /// When it fails; the error holds the command and what it wrote.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        output(kubectl_command(&self.kubectl, self.dir.path()).args(args))
    }
}

fn start_etcd(dir: &Path, client: &Port, peer: &Port) -> Result<Process> {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let mut etcd = Command::new(installed("cluster-tools/etcd")?);
    etcd.args(["--name", "lab", "--unsafe-no-fsync", "--data-dir"]).arg(dir.join("etcd"));
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    etcd.arg("--initial-cluster").arg(format!("lab={peer}"));
    Process::start("etcd", dir, &mut etcd)
}

/// An administrator who has a token, and the key of service accounts.
fn write_credentials(dir: &Path, port: &Port) -> Result<()> {
    let pair = KeyPair::generate().context("failed to make a key")?;
    let token = hex(KeyPair::generate().context("failed to make a token")?.public_key_raw());
    let [key, public_key, tokens] = credentials(dir);
    fs::write(&key, pair.serialize_pem())?;
    fs::write(&public_key, pair.public_key_pem())?;
    fs::write(&tokens, format!("{token},admin,admin,system:masters\n"))?;
    fs::write(kubeconfig(dir), admin(dir, port, &token))?;
    Ok(())
}

/// The apiserver makes its own certificate.
fn start_apiserver(dir: &Path, etcd: &Port, port: &Port, node_restriction: bool) -> Result<Process> {
    let [key, public_key, tokens] = credentials(dir);
    let mut apiserver = Command::new(installed("cluster-programs/kube-apiserver")?);
    apiserver.arg("--etcd-servers").arg(format!("http://127.0.0.1:{etcd}"));
    apiserver.args(["--bind-address", "127.0.0.1", "--secure-port", &port.to_string()]);
    apiserver.arg("--cert-dir").arg(certificates(dir));
    apiserver.args(["--authorization-mode", "Node,RBAC", "--service-cluster-ip-range", "10.96.0.0/16"]);
    // As every distribution has it; Pod Security decides where.
    apiserver.arg("--allow-privileged");
    if node_restriction {
        apiserver.args(["--enable-admission-plugins", "NodeRestriction"]);
    }
    apiserver.arg("--token-auth-file").arg(&tokens);
    apiserver.args(["--service-account-issuer", "https://kubernetes.default.svc"]);
    apiserver.arg("--service-account-key-file").arg(&public_key);
    apiserver.arg("--service-account-signing-key-file").arg(&key);
    apiserver.arg("--audit-policy-file").arg(source("cluster/manifests/audit.yaml"));
    apiserver.arg("--audit-log-path").arg(audit_log(dir));
    Process::start("kube-apiserver", dir, &mut apiserver)
}

fn credentials(dir: &Path) -> [PathBuf; 3] {
    ["service-accounts.key", "service-accounts.pub", "tokens.csv"].map(|name| dir.join(name))
}

/// JSON, which is YAML.
fn admin(dir: &Path, port: &Port, token: &str) -> String {
    let server = format!("https://127.0.0.1:{port}");
    let authority = authority(dir);
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "admin"}}],
        "current-context": "lab",
    })
    .to_string()
}

fn kubectl_command(kubectl: &Path, dir: &Path) -> Command {
    let mut command = Command::new(kubectl);
    // It ends before its memory matters: a third of its time is Go's collection.
    command.env("GOGC", "off");
    command.arg("--kubeconfig").arg(kubeconfig(dir)).arg("--cache-dir").arg(dir.join("cache"));
    command
}

fn kubeconfig(dir: &Path) -> PathBuf {
    dir.join("kubeconfig")
}

fn audit_log(dir: &Path) -> PathBuf {
    dir.join("audit.log")
}

/// The apiserver makes its certificate and a CA for it.
fn authority(dir: &Path) -> PathBuf {
    certificates(dir).join("apiserver.crt")
}

fn certificates(dir: &Path) -> PathBuf {
    dir.join("certificates")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
