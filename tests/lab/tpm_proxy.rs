//! Stands between a program and its software TPM: counts the commands, and gives some of them
//! another answer than the TPM would.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

use crate::ports::Port;
use crate::swtpm::Swtpm;

/// `TPM_CC_Quote`.
pub const QUOTE: u32 = 0x158;
/// `TPM_CC_CreatePrimary`.
pub const CREATE_PRIMARY: u32 = 0x131;
/// `TPM_CC_Load`.
pub const LOAD: u32 = 0x157;

/// A running stand-in. Its threads end with the test's process.
#[derive(Debug)]
pub struct TpmProxy {
    port: Port,
    _control: Port,
    rules: Arc<Mutex<Rules>>,
}

#[derive(Debug, Default)]
struct Rules {
    /// By command: the answer's code, and how often it is given.
    answers: HashMap<u32, (u32, usize)>,
    seen: HashMap<u32, usize>,
}

impl TpmProxy {
    /// Starts before this TPM.
    ///
    /// # Errors
    /// When its ports cannot be opened.
    pub fn start(tpm: &Swtpm) -> Result<Self> {
        let (port, control) = Port::neighbours()?;
        let rules = Arc::new(Mutex::new(Rules::default()));
        for (own, target, is_data) in
            [(port.number(), tpm.port(), true), (control.number(), tpm.port() + 1, false)]
        {
            let listener = TcpListener::bind(("127.0.0.1", own)).context("failed to stand before a TPM")?;
            let rules = Arc::clone(&rules);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let rules = Arc::clone(&rules);
                    // One after the other, as a software TPM takes them.
                    if is_data {
                        let _ = data(stream, target, &rules);
                    } else {
                        let _ = control_channel(stream, target);
                    }
                }
            });
        }
        Ok(Self { port, _control: control, rules })
    }

    /// As [`Swtpm::tcti`].
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Answers the next `times` commands of this code with `answer`, a TPM's response code.
    pub fn answer(&self, command: u32, answer: u32, times: usize) {
        lock(&self.rules).answers.insert(command, (answer, times));
    }

    /// Lets all commands through again.
    pub fn heal(&self) {
        lock(&self.rules).answers.clear();
    }

    /// How many commands of this code came.
    pub fn seen(&self, command: u32) -> usize {
        lock(&self.rules).seen.get(&command).copied().unwrap_or_default()
    }
}

fn lock(rules: &Mutex<Rules>) -> MutexGuard<'_, Rules> {
    rules.lock().unwrap_or_else(PoisonError::into_inner)
}

fn data(mut client: TcpStream, target: u16, rules: &Mutex<Rules>) -> Result<()> {
    let mut tpm = TcpStream::connect(("127.0.0.1", target))?;
    loop {
        let command = message(&mut client)?;
        let code = word(&command, 6)?;
        let answer = {
            let mut rules = lock(rules);
            *rules.seen.entry(code).or_default() += 1;
            match rules.answers.get_mut(&code) {
                Some((answer, times)) if *times > 0 => {
                    *times -= 1;
                    Some(*answer)
                }
                _ => None,
            }
        };
        match answer {
            Some(answer) => {
                // TPM_ST_NO_SESSIONS, the size, the code.
                let response = [&[0x80, 0x01, 0, 0, 0, 10], &answer.to_be_bytes()[..]].concat();
                client.write_all(&response)?;
            }
            None => {
                tpm.write_all(&command)?;
                client.write_all(&message(&mut tpm)?)?;
            }
        }
    }
}

fn control_channel(mut client: TcpStream, target: u16) -> Result<()> {
    let mut tpm = TcpStream::connect(("127.0.0.1", target))?;
    let (mut to_tpm, mut from_client) = (tpm.try_clone()?, client.try_clone()?);
    let there = thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_tpm);
        let _ = to_tpm.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut tpm, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = there.join();
    Ok(())
}

/// A command or a response: a tag, its whole size, and the rest.
fn message(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut message = vec![0; 10];
    stream.read_exact(&mut message)?;
    let size = usize::try_from(word(&message, 2)?)?.min(64 * 1024);
    let mut rest = vec![0; size.saturating_sub(10)];
    stream.read_exact(&mut rest)?;
    message.append(&mut rest);
    Ok(message)
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).context("too short")?;
    Ok(u32::from_be_bytes(word))
}
