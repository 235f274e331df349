//! Many attestations through one server plugin, and what happens around it meanwhile.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "what the tests share is test code too")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use evidence::message::{Payload, Response};
use lab::fake_keylime::SERVER_NAMES;
use lab::fake_keylime::pki::{Ca, Clients, Files, Validity};
use lab::site::{Site, SoftNode};
use lab::soft_ak::SoftAk;
use tokio::task::JoinSet;
use tonic::Status;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_nodes_attest_at_once() -> Result<()> {
    let site = Site::start().await?;
    // None may be lost; how long they take is the benchmark's to say.
    site.configure("request_timeout = \"60s\"").await?;
    let mut attestations = JoinSet::new();
    for number in 0..200 {
        let node = SoftNode::new(&format!("node-{number}"), SoftAk::p256()?)?;
        site.keylime.add(node.known());
        let plugin = site.host.plugin().clone();
        attestations.spawn(async move { (node.attest(&plugin).await, node) });
    }
    while let Some(attested) = attestations.join_next().await {
        let (attributes, node) = attested?;
        assert_eq!(attributes?.spiffe_id, format!("spiffe://example.org/spire/agent/keylime/{}", node.id()));
    }
    Ok(())
}

#[tokio::test]
async fn random_payloads_and_responses_leave_the_plugin_alive() -> Result<()> {
    let site = Site::start().await?;
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    for round in 0..1_000 {
        let payload = random.mutate(&site.node.payload(), Payload::MAX_LEN + 64);
        if let Ok(mut session) = site.host.plugin().attest(payload).await {
            // A mutation may leave the payload as good as it was; then a challenge comes.
            let _ = session.answer().await;
        }
        let outcome = site.attest_with(|challenge| {
            let response = site.node.respond(challenge)?;
            Ok(random.mutate(&response, Response::MAX_LEN + 64))
        });
        if let Err(status) = outcome.await {
            assert_ne!(status.code(), tonic::Code::Internal, "round {round}: {status:?}");
        }
    }
    site.attest().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconfiguration_and_a_certificate_rotation_lose_no_attestation() -> Result<()> {
    let mut site = Site::start().await?;
    let mounted = Mounted::new(&site.keylime.ca)?;
    site.files = mounted.files.clone();
    site.configure("").await?;

    let going_on = Arc::new(AtomicBool::new(true));
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let (plugin, node, going_on) = (site.host.plugin().clone(), site.node.clone(), going_on.clone());
        workers.spawn(async move {
            let mut attested = 0_usize;
            while going_on.load(Ordering::Relaxed) {
                node.attest(&plugin).await?;
                attested += 1;
            }
            Ok::<usize, Status>(attested)
        });
    }
    for timeout in ["9s", "8s", "7s"] {
        site.configure(&format!("request_timeout = \"{timeout}\"")).await?;
        wait_for_requests(&site, 100).await?;
    }

    let before = site.keylime.verifier.handshakes();
    mounted.rotate(&site.keylime.ca)?;
    while site.keylime.verifier.handshakes() == before {
        wait_for_requests(&site, 10).await?;
    }
    // From now on only the new client certificate counts; the old CA's server certificate still
    // does.
    wait_for_requests(&site, 100).await?;

    going_on.store(false, Ordering::Relaxed);
    while let Some(worker) = workers.join_next().await {
        assert!(worker?? > 0, "a worker attested nothing");
    }
    Ok(())
}

#[tokio::test]
async fn a_rotated_ca_is_used_and_a_broken_file_is_not() -> Result<()> {
    let mut site = Site::start().await?;
    let mounted = Mounted::new(&site.keylime.ca)?;
    site.files = mounted.files.clone();
    site.configure("").await?;
    site.attest().await?;

    mounted.swap(|folder| Ok(fs::write(folder.join("cacert.crt"), "no certificate")?))?;
    site.host.log().wait_for(|_| true).await?;
    // The broken file is read by some attestation within a second or so; until then and
    // afterwards the old one is in use.
    loop {
        site.attest().await?;
        if site.host.log().lines().iter().any(|line| line.contains("cacert.crt")) {
            break;
        }
    }

    let next = Ca::new()?;
    mounted.rotate(&next)?;
    for server in [&site.keylime.verifier, &site.keylime.registrar] {
        server.set_tls(next.server(&SERVER_NAMES, Validity::Now)?.server_config(Clients::Optional(&next))?);
    }
    let before = site.keylime.verifier.handshakes();
    while site.keylime.verifier.handshakes() == before {
        site.attest().await?;
    }
    site.attest().await?;
    Ok(())
}

/// TLS files in a folder that is swapped whole, as Kubernetes does with a mounted Secret: `..data`
/// is a link, the files are links through it.
struct Mounted {
    folder: tempfile::TempDir,
    files: Files,
}

impl Mounted {
    fn new(ca: &Ca) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mounted = folder.path();
        let link = |name: &str| -> Result<_> {
            let path = mounted.join(name);
            std::os::unix::fs::symlink(Path::new("..data").join(name), &path)?;
            Ok(path)
        };
        let files = Files {
            ca: link("cacert.crt")?,
            cert: link("client-cert.crt")?,
            key: link("client-private.pem")?,
        };
        let mounted = Self { folder, files };
        mounted.rotate(ca)?;
        Ok(mounted)
    }

    /// A new client certificate of a CA, and the CA's own.
    fn rotate(&self, ca: &Ca) -> Result<()> {
        self.swap(|folder| ca.write_client(folder).map(drop))
    }

    fn swap(&self, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let version = tempfile::Builder::new().prefix("..").tempdir_in(self.folder.path())?.keep();
        let current = self.folder.path().join("..data");
        if let Ok(files) = fs::read_dir(&current) {
            for file in files.collect::<Result<Vec<_>, _>>()? {
                fs::copy(file.path(), version.join(file.file_name()))?;
            }
        }
        fill(&version)?;
        let link = self.folder.path().join("..data_tmp");
        std::os::unix::fs::symlink(version.file_name().context("a version has a name")?, &link)?;
        Ok(fs::rename(link, current)?)
    }
}

async fn wait_for_requests(site: &Site, more: usize) -> Result<()> {
    let until = site.keylime.verifier.served() + more;
    let served = async {
        while site.keylime.verifier.served() < until {
            tokio::task::yield_now().await;
        }
    };
    Ok(tokio::time::timeout(lab::host::PATIENCE, served).await?)
}

/// Repeatable mutations.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("fits")
    }

    fn mutate(&mut self, bytes: &[u8], longest: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self.below(4) {
            0 => bytes = (0..self.below(longest)).map(|_| self.below(256) as u8).collect(),
            1 => bytes.truncate(self.below(bytes.len())),
            2 => bytes.resize(self.below(longest), b'A'),
            _ => {
                for _ in 0..=self.below(8) {
                    let position = self.below(bytes.len());
                    bytes[position] = self.below(256) as u8;
                }
            }
        }
        bytes
    }
}
