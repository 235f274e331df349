//! The clients against a fake Keylime over real sockets and real TLS.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its functions call")]

mod bulk;
mod limits;
mod node_agent;
mod recorded;
mod rotation;
mod servers;
mod several;
mod tls;
mod versions;

use std::path::Path;
use std::time::Duration;

use evidence::{AgentId, HashAlg, Nonce};
use keylime::{Endpoint, Problem, Servers, ServersConfig, TlsFiles};
use lab::fake_keylime::pki::Files;
use lab::fake_keylime::{FakeKeylime, FakeServer, Node, Valid};
use tempfile::TempDir;

/// The agent of the recorded registration and quote.
const AGENT: &str = "d432fbb3-d2f1-4a97-9ef7-75bd81c00001";

/// The nonce of the recorded quotes.
const NONCE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ123456";

/// Long enough for a loaded machine, short enough to end a broken test.
const PATIENT: Duration = Duration::from_secs(20);

/// Long enough for what answers at once on loopback.
const SHORT: Duration = Duration::from_millis(1500);

/// A fake Keylime that knows the recorded agent, and the files of a client that it trusts.
struct World {
    keylime: FakeKeylime,
    dir: TempDir,
    files: Files,
}

impl World {
    async fn new() -> World {
        let keylime = FakeKeylime::start().await.unwrap();
        keylime.add(Node { valid: Valid::Anything, ..Node::recorded() });
        let dir = tempfile::tempdir().unwrap();
        let files = keylime.ca.write_client(dir.path()).unwrap();
        World { keylime, dir, files }
    }

    fn config(&self) -> ServersConfig {
        ServersConfig {
            verifiers: vec![at(&self.keylime.verifier)],
            registrar: at(&self.keylime.registrar),
            tls: tls_files(&self.files),
            request_timeout: PATIENT,
        }
    }

    fn servers(&self) -> Servers {
        Servers::new(self.config()).unwrap()
    }

    fn hasty_servers(&self) -> Servers {
        Servers::new(ServersConfig { request_timeout: SHORT, ..self.config() }).unwrap()
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn tls_files(files: &Files) -> TlsFiles {
    TlsFiles { ca: files.ca.clone(), cert: files.cert.clone(), key: files.key.clone(), server_name: None }
}

fn at(server: &FakeServer) -> Endpoint {
    Endpoint::new("127.0.0.1", server.port()).unwrap()
}

fn agent() -> AgentId {
    AgentId::new(AGENT).unwrap()
}

fn nonce() -> Nonce {
    Nonce::parse(NONCE.as_bytes()).unwrap()
}

/// Asks the first verifier, which stands in for one that is none of those configured.
async fn confirm(servers: &Servers) -> Result<keylime::Confirmation, keylime::Error> {
    let first = Endpoint::new("any", 1).unwrap();
    servers.confirm_identity(&first, &agent(), "rAA+/==:BB:CC", &nonce(), HashAlg::Sha256).await
}

fn settings(problems: &[Problem]) -> Vec<keylime::Setting> {
    problems.iter().map(|problem| problem.setting).collect()
}
