//! A quoter that is killed, stopped and started again, and a file that changes below it.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use evidence::HashAlg;
use lab::agent_data::{AgentKey, KeyKind};
use lab::process::output;
use lab::quoter::{Quoter, get};

use super::{Lab, verify};

/// Killed at another moment each time: before the key is loaded, within a quote, between two.
#[test]
fn a_killed_quoter_leaves_nothing_that_the_next_one_minds() -> Result<()> {
    let mut lab = Lab::start(KeyKind::P256)?;
    for round in 0..20_u64 {
        let socket = lab.quoter.socket();
        let asking =
            thread::spawn(move || while get(&socket, "/v2.6/quotes/identity?nonce=NONCE").is_ok() {});
        thread::sleep(Duration::from_millis(round * 7 % 60));
        lab.quoter.kill()?;
        ensure!(asking.join().is_ok());
        // What a resource manager does when a program's connection ends.
        for kind in ["--transient-object", "--loaded-session"] {
            output(lab.tpm.tool("tpm2_flushcontext").arg(kind))?;
        }
        lab.quoter.start_again()?;
        let nonce = format!("ROUND{round}");
        lab.verify(&lab.quoter.quote(&nonce)?, &nonce, HashAlg::Sha256)?;
    }
    Ok(())
}

#[test]
fn a_stopped_quoter_takes_its_key_out_of_the_tpm_and_its_socket_away() -> Result<()> {
    let mut lab = Lab::start(KeyKind::P256)?;
    lab.quoter.quote("NONCE")?;
    let loaded = || output(lab.tpm.tool("tpm2_getcap").arg("handles-transient"));
    ensure!(!loaded()?.trim().is_empty(), "no key is loaded");
    lab.quoter.stop()?;
    let left = loaded()?;
    ensure!(left.trim().is_empty(), "{left}");
    ensure!(!lab.quoter.socket().exists());
    lab.quoter.start_again()?;
    lab.quoter.quote("NONCE").map(drop)
}

/// By a socket with a path, and by an abstract one, as systemd has them.
#[test]
fn systemd_is_told_when_the_socket_is_served_and_when_the_quoter_ends() -> Result<()> {
    let lab = Lab::start(KeyKind::P256)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notify");
    let name = format!("keylime-attestor-quoter-test-{}", std::process::id());
    let sockets = [
        (UnixDatagram::bind(&path)?, path.into_os_string()),
        (UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?, format!("@{name}").into()),
    ];
    for (systemd, address) in sockets {
        systemd.set_read_timeout(Some(Duration::from_secs(60)))?;
        let told = || -> Result<String> {
            let mut text = [0; 64];
            let length = systemd.recv(&mut text)?;
            Ok(String::from_utf8_lossy(&text[..length]).into_owned())
        };
        let mut quoter = Quoter::start_notifying(&lab.tpm.tcti(), address)?;
        ensure!(told()? == "READY=1");
        ensure!(quoter.get("/version")?.status == 200);
        quoter.stop()?;
        ensure!(told()? == "STOPPING=1");
    }
    Ok(())
}

/// Two keys of one TPM in turn, each written in place, byte after byte, as Keylime's agent writes.
#[test]
fn a_file_that_is_rewritten_while_nonces_are_quoted() -> Result<()> {
    let lab = Lab::start(KeyKind::P256)?;
    let keys = [lab.key.clone(), AgentKey::make(&lab.tpm, KeyKind::P256)?];
    let (file, done) = (lab.quoter.agent_data(), AtomicBool::new(false));
    thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| -> Result<()> {
            for round in 0..30 {
                use std::io::Write as _;
                let mut file = fs::File::create(&file)?;
                for piece in keys[round % 2].json.as_bytes().chunks(512) {
                    file.write_all(piece)?;
                    thread::sleep(Duration::from_millis(2));
                }
                drop(file);
                thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        });
        let mut quotes = 0;
        while !writer.is_finished() {
            let nonce = format!("N{quotes}");
            let quote = lab.quoter.quote(&nonce)?;
            let by = keys.iter().filter(|key| verify(key, &quote, &nonce, HashAlg::Sha256).is_ok()).count();
            ensure!(by == 1, "a quote by {by} of the keys");
            quotes += 1;
        }
        done.store(true, Ordering::Relaxed);
        ensure!(quotes > 10, "only {quotes} quotes");
        writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?
    })?;
    // The last one written is the one in use.
    verify(&keys[1], &lab.quoter.quote("LAST")?, "LAST", HashAlg::Sha256)
}

/// The TPM forgot the key, as after a hibernation, or another program threw it out.
#[test]
fn a_key_that_is_gone_is_loaded_again() -> Result<()> {
    let lab = Lab::start(KeyKind::Rsa)?;
    for _ in 0..3 {
        lab.verify(&lab.quoter.quote("NONCE")?, "NONCE", HashAlg::Sha256)?;
        output(lab.tpm.tool("tpm2_flushcontext").arg("--transient-object"))?;
    }
    Ok(())
}

/// A key is loaded once: quotes are a matter of milliseconds then.
#[test]
fn the_key_is_kept() -> Result<()> {
    let lab = Lab::start(KeyKind::P256)?;
    lab.quoter.quote("NONCE")?;
    let begun = Instant::now();
    for _ in 0..20 {
        lab.quoter.quote("NONCE")?;
    }
    ensure!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    Ok(())
}
