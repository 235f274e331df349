//! Each reason why there is no quote has a text of its own, and passes when its cause does.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::agent_data::{AgentKey, KeyKind};
use lab::process::{Process, output};
use lab::quoter::Quoter;
use lab::swtpm::Swtpm;
use lab::tpm_device::TpmDevice;
use lab::tpm_proxy::{CREATE_PRIMARY, LOAD, QUOTE, TpmProxy};

use super::Lab;

fn refuses(quoter: &Quoter, expected: &str) -> Result<()> {
    let text = quoter.refusal()?;
    ensure!(text.contains(expected), "expected {expected:?}, got {text:?}");
    Ok(())
}

#[test]
fn a_device_that_is_missing() -> Result<()> {
    let lab = Lab::start(KeyKind::P256)?;
    let quoter = Quoter::start("device:/nowhere/tpmrm0", &[])?;
    lab.key.write(&quoter.agent_data())?;
    refuses(&quoter, "failed to open the TPM \"/nowhere/tpmrm0\": it does not exist; check that this machine")
}

#[test]
fn a_device_that_may_not_be_opened_or_that_another_program_holds() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tpm = Swtpm::start(dir.path())?;
    let key = AgentKey::make(&tpm, KeyKind::P256)?;
    let device = TpmDevice::start(&tpm, dir.path())?;
    let path = device.path();
    let quoter = Quoter::start_powerless(&format!("device:{}", path.display()))?;
    key.write(&quoter.agent_data())?;
    fs::set_permissions(path, Permissions::from_mode(0o000))?;
    refuses(&quoter, "this user may not; run as a user of its group, which is tss on most systems")?;

    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    let hold = "import fcntl, sys, termios; fcntl.ioctl(open(sys.argv[1], 'rb'), termios.TIOCEXCL); print('held', flush=True); sys.stdin.read()";
    let mut holder = Command::new("/usr/bin/python3");
    holder.args(["-c", hold]).arg(path).stdin(Stdio::piped());
    let mut holder = Process::start("holder", dir.path(), &mut holder)?;
    holder.wait_for_log("held", Duration::from_secs(30))?;
    refuses(&quoter, "another program holds it; use the device of the kernel's resource manager")?;
    Ok(())
}

#[test]
fn a_tpm_that_is_not_reached_and_comes_back() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tpm = Swtpm::start(dir.path())?;
    let key = AgentKey::make(&tpm, KeyKind::P256)?;
    let quoter = Quoter::start(&tpm.tcti(), &[])?;
    key.write(&quoter.agent_data())?;
    quoter.quote("NONCE")?;
    tpm.shut_down()?;
    let text = quoter.refusal()?;
    ensure!(text.contains("see the kernel's log"), "{text}");
    refuses(&quoter, "failed to reach the TPM swtpm:host=127.0.0.1")
}

#[test]
fn a_file_that_is_missing_half_written_or_damaged() -> Result<()> {
    let lab = Lab::start(KeyKind::P256)?;
    let (quoter, file) = (&lab.quoter, lab.quoter.agent_data());
    quoter.quote("NONCE")?;
    fs::remove_file(&file)?;
    refuses(quoter, "it does not exist; start Keylime's agent once, which makes it")?;
    for end in [0, 1, lab.key.json.len() / 2, lab.key.json.len() - 1] {
        fs::write(&file, &lab.key.json[..end])?;
        refuses(quoter, "it is half-written, and stays so")?;
    }
    fs::write(&file, "key = 1")?;
    refuses(quoter, "expected the JSON of Keylime's agent, got something else at line 1")?;
    fs::write(&file, " ".repeat(70_000))?;
    refuses(quoter, "expected at most 65536 bytes")?;
    fs::write(&file, lab.key.json.replace("Sha256", "Sha1"))?;
    refuses(quoter, "the hash algorithm is sha1, which is too weak")?;
    lab.key.write(&file)?;
    quoter.quote("NONCE").map(drop)
}

#[test]
fn a_key_of_another_tpm() -> Result<()> {
    let (lab, other) = (Lab::start(KeyKind::Rsa)?, Lab::start(KeyKind::Rsa)?);
    other.key.write(&lab.quoter.agent_data())?;
    refuses(&lab.quoter, "it is of another TPM, or damaged; move agent_data.json away")?;
    lab.key.write(&lab.quoter.agent_data())?;
    lab.quoter.quote("NONCE").map(drop)
}

#[test]
fn an_endorsement_hierarchy_with_a_password() -> Result<()> {
    let lab = Lab::start(KeyKind::Rsa)?;
    let change = |arguments: &[&str]| {
        output(lab.tpm.tool("tpm2_changeauth").args(["-c", "endorsement"]).args(arguments)).map(drop)
    };
    change(&["secret"])?;
    // Another text, so that a key that is loaded already is loaded anew.
    fs::write(lab.quoter.agent_data(), format!("{}\n", lab.key.json))?;
    refuses(&lab.quoter, "it has a password, which is not supported; clear it")?;
    change(&["-p", "secret"])?;
    lab.quoter.quote("NONCE").map(drop)
}

#[test]
fn a_bank_that_is_not_active() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // With SHA-256 alone.
    let tpm = Swtpm::start_with_ek_certificate(dir.path())?;
    let key = AgentKey::make(&tpm, KeyKind::P384)?;
    let quoter = Quoter::start(&tpm.tcti(), &[])?;
    key.write(&quoter.agent_data())?;
    refuses(&quoter, "failed to quote the PCR bank sha384: it is not active in this TPM")
}

#[test]
fn answers_of_the_tpm_by_their_meaning() -> Result<()> {
    let lab = Lab::start(KeyKind::P256)?;
    let proxy = TpmProxy::start(&lab.tpm)?;
    let quoter = Quoter::start(&proxy.tcti(), &[])?;
    lab.key.write(&quoter.agent_data())?;
    let cases = [
        (QUOTE, 0x101, "the TPM is in failure mode (at TPM2_Quote)"),
        (CREATE_PRIMARY, 0x101, "the TPM is in failure mode (at TPM2_CreatePrimary)"),
        (
            CREATE_PRIMARY,
            0x921,
            "the TPM is in lockout (at TPM2_CreatePrimary), after too many wrong passwords",
        ),
        (CREATE_PRIMARY, 0x9a2, "endorsement hierarchy: it has a password"),
        (LOAD, 0x1df, "it is of another TPM, or damaged"),
        (LOAD, 0x902, "the TPM has no room for another key (at TPM2_Load)"),
        (QUOTE, 0x922, "the TPM stayed busy (at TPM2_Quote)"),
        (QUOTE, 0x910, "the key was gone from it, time after time"),
        (QUOTE, 0x143, "the TPM refused TPM2_Quote: 0x143"),
    ];
    for (number, (command, code, expected)) in cases.into_iter().enumerate() {
        // Another text, so that the key is loaded anew.
        fs::write(quoter.agent_data(), format!("{}{}", lab.key.json, "\n".repeat(number)))?;
        proxy.answer(command, code, 10_000);
        refuses(&quoter, expected).with_context(|| format!("{code:#x}"))?;
        proxy.heal();
        quoter.quote("NONCE").with_context(|| format!("after {code:#x}"))?;
    }
    // What passes within a moment is no failure.
    for (command, code) in [(QUOTE, 0x922), (QUOTE, 0x908), (QUOTE, 0x90a), (QUOTE, 0x910)] {
        proxy.answer(command, code, 2);
        quoter.quote("NONCE").with_context(|| format!("{code:#x} for a moment"))?;
    }
    Ok(())
}

#[test]
fn nonces_of_a_wrong_shape_never_reach_the_tpm() -> Result<()> {
    let lab = Lab::start(KeyKind::P256)?;
    let proxy = TpmProxy::start(&lab.tpm)?;
    let quoter = Quoter::start(&proxy.tcti(), &[])?;
    lab.key.write(&quoter.agent_data())?;
    quoter.quote("NONCE")?;
    let before = proxy.seen(QUOTE);
    for query in ["", "?nonce=", "?nonce=a-b", "?nonce=%41", "?nonce=A&nonce=B", "?other=A"] {
        let answer = quoter.get(&format!("/v2.6/quotes/identity{query}"))?;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
    }
    let answer = quoter.get(&format!("/v2.6/quotes/identity?nonce={}", "A".repeat(65)))?;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(!answer.text()?.contains("AAAA"), "a nonce was repeated: {answer:?}");
    assert_eq!(proxy.seen(QUOTE), before);
    Ok(())
}

/// Needs root, to be another user.
#[test]
fn a_program_of_another_user_is_not_answered() -> Result<()> {
    let lab = Lab::start(KeyKind::P256)?;
    let ask = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
               s.sendall(b'GET /v2.6/quotes/identity?nonce=NONCE HTTP/1.1\\r\\nhost: q\\r\\nconnection: close\\r\\n\\r\\n'); \
               print(s.makefile().read())";
    let as_nobody = |socket: &std::path::Path| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", ask])
            .arg(socket);
        output(&mut command)
    };
    // The mode alone keeps it out.
    let socket = lab.quoter.socket();
    let folder = socket.parent().context("no folder")?;
    output(Command::new("chmod").arg("755").arg(folder))?;
    let error = format!("{:#}", as_nobody(&socket).expect_err("it was connected"));
    ensure!(error.contains("PermissionError"), "{error}");
    output(Command::new("chmod").arg("666").arg(&socket))?;
    let answer = as_nobody(&socket)?;
    ensure!(answer.contains("403") && answer.contains("id 65534 are not answered; add the id"), "{answer}");

    let allowing = Quoter::start(&lab.tpm.tcti(), &["--allow-uid", "65534"])?;
    lab.key.write(&allowing.agent_data())?;
    let socket = allowing.socket();
    output(Command::new("chmod").arg("755").arg(socket.parent().context("no folder")?))?;
    output(Command::new("chmod").arg("666").arg(&socket))?;
    ensure!(as_nobody(&socket)?.contains("200 OK"));
    Ok(())
}
