//! The image that `make image` makes: its programs need nothing but themselves, and it is what the
//! Containerfile says.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use evidence::{AttestationKey, HashAlg, Nonce, Quote};
use lab::agent_data::{AgentKey, KeyKind};
use lab::dns::FakeDns;
use lab::fake_keylime::{FakeAgent, FakeAgentConfig, FakeKeylime, Node};
use lab::host::{Host, Start};
use lab::image::{Image, copy_checkout};
use lab::process::{Process, output};
use lab::quoter;
use lab::soft_ak::SoftAk;
use lab::swtpm::Swtpm;
use lab::tpm_device::TpmDevice;
use serde_json::Value;

/// Set in a test's second half, which runs in a network of its own: the folder that the programs
/// take for the root.
const ROOT: &str = "LAB_IMAGE_ROOT";
const NODE: &str = "d432fbb3-d2f1-4a97-9ef7-75bd81c00042";

#[test]
fn the_programs_are_static_and_stripped() -> Result<()> {
    for program in Image::made()?.programs()? {
        let kind = output(Command::new("file").arg("--brief").arg(&program))?;
        assert!(kind.contains("static-pie linked"), "{}: {kind}", program.display());
        assert!(kind.trim_end().ends_with(", stripped"), "{}: {kind}", program.display());
    }
    Ok(())
}

#[test]
fn the_programs_run_where_there_is_no_other_file() -> Result<()> {
    for program in Image::made()?.programs()? {
        let root = tempfile::tempdir()?;
        fs::copy(&program, root.path().join("program"))?;
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "chroot"]).arg(root.path()).args(["/program", "--version"]);
        let version = output(&mut command)?;
        assert!(version.contains(env!("CARGO_PKG_VERSION")), "{}: {version}", program.display());
    }
    Ok(())
}

/// The rest of the TPM stack is in the quoter alone: a program that cannot reach a TPM cannot be made
/// to, and is smaller.
#[test]
fn only_the_quoter_has_a_way_to_a_tpm() -> Result<()> {
    // A device that the stack itself names.
    let device = b"/dev/tcm0";
    let mut with_way = Vec::new();
    for program in Image::made()?.programs()? {
        if fs::read(&program)?.windows(device.len()).any(|bytes| bytes == device) {
            with_way.extend(program.file_name().map(ToOwned::to_owned));
        }
    }
    assert_eq!(with_way, ["keylime-attestor-quoter"]);
    Ok(())
}

/// The stack's cryptography, and its way by a device, with keys of both algorithms.
#[test]
fn the_quoter_quotes_where_there_is_nothing_but_the_program_and_a_device() -> Result<()> {
    for kind in [KeyKind::Rsa, KeyKind::P256] {
        let folder = tempfile::tempdir()?;
        let root = folder.path().join("root");
        fs::create_dir(&root)?;
        fs::copy(Image::made()?.program("keylime-attestor-quoter")?, root.join("quoter"))?;
        let tpm = Swtpm::start(folder.path())?;
        let key = AgentKey::make(&tpm, kind)?;
        key.write(&root.join("agent_data.json"))?;
        let device = TpmDevice::start(&tpm, folder.path())?;

        fs::write(root.join("tpmrm0"), "")?;
        let script = "mount --bind \"$0\" \"$1\"/tpmrm0 && exec chroot \"$1\" /quoter --tpm device:/tpmrm0 \
                      --socket /quoter.sock --agent-data /agent_data.json";
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(device.path()).arg(&root);
        let mut process = Process::start("quoter", folder.path(), &mut command)?;
        let socket = root.join("quoter.sock");
        let answer = process.wait_until("an answer", Duration::from_secs(60), || {
            quoter::get(&socket, "/v2.6/quotes/identity?nonce=NONCE")
        })?;
        let ak = AttestationKey::from_tpm2b_public(&key.ak)?;
        Quote::parse(&answer.quote()?)?.verify(&ak, &Nonce::parse(b"NONCE")?, HashAlg::Sha256)?;
    }
    Ok(())
}

/// Names are found as in a pod: by a search list, and in the hosts file. The quote is unmarshalled
/// by the static TPM stack.
#[test]
fn a_node_attests_by_names_where_there_is_nothing_but_the_programs() -> Result<()> {
    if let Some(root) = env::var_os(ROOT) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(attest_by_names(Path::new(&root)));
    }
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("etc"))?;
    fs::write(
        root.join("etc/resolv.conf"),
        "search spire.svc.cluster.test svc.cluster.test cluster.test\nnameserver 127.0.0.1\noptions ndots:5\n",
    )?;
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost registrar.keylime.example\n")?;
    for program in Image::made()?.programs()? {
        fs::copy(&program, root.join(program.file_name().context("no file name")?))?;
    }
    let sockets = shared_folder(folder.path(), &root)?;

    let script = "ip link set lo up && exec \"$0\" \"$@\"";
    let mut again = Command::new("unshare");
    again.args(["--map-root-user", "--net", "sh", "-c", script]).arg(env::current_exe()?);
    again.args([
        "--exact",
        "image::a_node_attests_by_names_where_there_is_nothing_but_the_programs",
        "--nocapture",
    ]);
    output(again.env(ROOT, &root).env("TMPDIR", sockets))?;
    Ok(())
}

#[test]
fn the_image_holds_the_programs_and_says_how_to_run_them() -> Result<()> {
    let image = Image::made()?;
    let layout = tempfile::tempdir()?;
    output(Command::new("tar").arg("-xf").arg(&image.archive).arg("-C").arg(layout.path()))?;
    let blob = |descriptor: &Value| blob(layout.path(), descriptor);
    let index: Value = serde_json::from_slice(&fs::read(layout.path().join("index.json"))?)?;
    let manifest: Value = serde_json::from_slice(&fs::read(blob(&index["manifests"][0])?)?)?;
    let config: Value = serde_json::from_slice(&fs::read(blob(&manifest["config"])?)?)?;

    let version = env!("CARGO_PKG_VERSION");
    let names = &index["manifests"][0]["annotations"];
    assert_eq!(names["io.containerd.image.name"], format!("localhost/keylime-attestor:{version}"));
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], version);
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["os"], "linux");

    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    let layer = blob(&manifest["layers"][0])?;
    let listed = output(Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(layer))?;
    let mut programs = BTreeSet::new();
    let (checksums, listed): (Vec<&str>, Vec<&str>) =
        listed.lines().partition(|line| line.ends_with("checksums.json"));
    assert!(matches!(checksums[..], [line] if line.starts_with("-rw-r--r-- 0/0 ")), "{checksums:?}");
    for line in listed {
        assert!(line.starts_with("-rwxr-xr-x 0/0 "), "{line}");
        programs.insert(line.rsplit(' ').next().unwrap_or_default().to_owned());
    }
    let names =
        image.programs()?.into_iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
    assert_eq!(programs, names.collect());
    let started = config["config"]["Entrypoint"][0].as_str().unwrap_or_default();
    assert!(programs.contains(started.trim_start_matches('/')), "{started} is not in the image");
    Ok(())
}

#[test]
#[ignore = "builds everything anew, which takes minutes: make reproduce"]
fn another_checkout_makes_the_same_image() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("somewhere/else");
    fs::create_dir_all(&copy)?;
    copy_checkout(&copy)?;
    let other = Image::make(&copy, Some(&folder.path().join("another/target")))?;
    assert_eq!(fs::read(&Image::made()?.archive)?, fs::read(other.archive)?);
    Ok(())
}

/// A blob's file, once its content is what its digest says.
fn blob(layout: &Path, descriptor: &Value) -> Result<PathBuf> {
    let digest = descriptor.get("digest").and_then(Value::as_str).context("no digest")?.replace(':', "/");
    let path = layout.join("blobs").join(&digest);
    let sum = output(Command::new("sha256sum").arg(&path))?;
    ensure!(sum.starts_with(digest.trim_start_matches("sha256/")), "{digest} has other content");
    Ok(path)
}

/// A folder that has the same path for a program with this root as for everybody else, so that
/// sockets are found by both.
fn shared_folder(folder: &Path, root: &Path) -> Result<PathBuf> {
    let shared = folder.join("shared");
    let inside = root.join(shared.strip_prefix("/")?);
    fs::create_dir_all(&inside)?;
    symlink(inside, &shared)?;
    Ok(shared)
}

async fn attest_by_names(root: &Path) -> Result<()> {
    let _dns =
        FakeDns::start(&["verifier.keylime.svc.cluster.test", "agent.keylime.svc.cluster.test"]).await?;
    let ak = Arc::new(SoftAk::p256()?);
    let keylime = FakeKeylime::start().await?;
    keylime.add(Node::passing(NODE, &ak.tpm2b_public()));
    keylime.ca.write_client(&root.join("tls"))?;
    let quote =
        move |nonce: &str| ak.quote(nonce.as_bytes()).map(|quote| quote.to_string()).unwrap_or_default();
    let node_agent = FakeAgent::start(FakeAgentConfig::recorded(NODE).quoting(quote)).await?;

    let agent = in_root(root, "/keylime-attestor-agent").start().await?;
    let config = format!(
        "keylime_agent_host = \"agent.keylime.svc\"\nkeylime_agent_port = {}\n",
        node_agent.server.port()
    );
    agent.plugin().configure("example.org", &config).await?;
    let server = in_root(root, "/keylime-attestor-server").start().await?;
    let config = format!(
        r#"
        keylime_verifier_host = "verifier.keylime.svc"
        keylime_verifier_port = {}
        keylime_registrar_host = "registrar.keylime.example"
        keylime_registrar_port = {}
        keylime_tls_server_name = "localhost"
        keylime_tls_ca_cert_file = "/tls/cacert.crt"
        keylime_tls_cert_file = "/tls/client-cert.crt"
        keylime_tls_key_file = "/tls/client-private.pem"
        "#,
        keylime.verifier.port(),
        keylime.registrar.port()
    );
    server.plugin().configure("example.org", &config).await?;

    let mut aid = agent.plugin().aid_attestation().await?;
    let mut attestation = server.plugin().attest(aid.payload().await?).await?;
    let challenge = attestation.challenge().await?;
    attestation.respond(aid.challenge(challenge).await?);
    let attributes = attestation.attributes().await?;
    assert_eq!(attributes.spiffe_id, format!("spiffe://example.org/spire/agent/keylime/{NODE}"));
    Ok(())
}

/// Starts a program that takes a folder for the root.
fn in_root(root: &Path, program: &str) -> Start {
    Host::start("chroot").arg(root).arg(program)
}
