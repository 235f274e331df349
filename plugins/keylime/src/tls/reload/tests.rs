use std::fs;
use std::io;

use lab::fake_keylime::pki::{Ca, Files};
use tempfile::TempDir;

use super::*;
use crate::tls::{IdentityFiles, Trust};

/// A client whose files are read before every request, and the log meanwhile.
struct Watched {
    ca: Ca,
    files: Files,
    clients: Clients,
    _dir: TempDir,
}

impl Watched {
    fn new() -> Watched {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::new().unwrap();
        let files = ca.write_client(dir.path()).unwrap();
        let trust = Trust::Ca { file: files.ca.clone(), server_name: None };
        let own = IdentityFiles { cert: files.cert.clone(), key: files.key.clone() };
        let settings = TlsSettings { trust, identity: Some(own) };
        let pool =
            Pool { connect_timeout: Duration::from_secs(1), idle: Duration::from_secs(1), socket: None };
        let mut clients = Clients::new(Some(settings), pool).unwrap();
        clients.recheck = Duration::ZERO;
        Watched { ca, files, clients, _dir: dir }
    }

    /// Reads the files, as a request that begins now does; the digest of those in use.
    async fn look(&self) -> Vec<u8> {
        self.clients.current().await;
        self.clients.state().digest.clone().unwrap()
    }

    fn rotate(&self) {
        self.ca.client().unwrap().write(self.files.ca.parent().unwrap(), &self.ca).unwrap();
    }
}

/// [`Some`] where the newest contents are bad, true once that is logged.
fn bad(watched: &Watched) -> Option<bool> {
    watched.clients.state().bad.as_ref().map(|(_, logged)| *logged)
}

#[tokio::test]
async fn new_contents_are_used_and_the_same_ones_are_not_loaded_again() {
    let watched = Watched::new();
    let first = watched.look().await;
    assert_eq!(watched.look().await, first);
    watched.rotate();
    let second = watched.look().await;
    assert_ne!(second, first);
    let same = fs::read(&watched.files.cert).unwrap();
    fs::write(&watched.files.cert, same).unwrap();
    assert_eq!(watched.look().await, second);
}

#[tokio::test]
async fn files_are_looked_at_once_in_a_while() {
    let mut watched = Watched::new();
    watched.clients.recheck = Duration::from_secs(3600);
    let first = watched.look().await;
    watched.rotate();
    assert_eq!(watched.look().await, first);
}

#[tokio::test]
async fn files_written_one_after_the_other_are_no_fault() {
    let watched = Watched::new();
    let first = watched.look().await;
    let new = watched.ca.client().unwrap();
    fs::write(&watched.files.cert, &new.cert_pem).unwrap();
    assert_eq!((watched.look().await, bad(&watched)), (first.clone(), Some(false)));
    fs::write(&watched.files.key, &new.key_pem).unwrap();
    assert_ne!(watched.look().await, first);
    assert_eq!(bad(&watched), None);
}

#[tokio::test]
async fn bad_files_keep_the_old_ones_in_use_and_are_logged_once() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let watched = Watched::new();
    let first = watched.look().await;
    // Other tests of this process log as well: only lines about these files count.
    let dir = watched.files.ca.parent().unwrap().to_str().unwrap().to_owned();
    let lines =
        |text: &str| log.text().lines().filter(|line| line.contains(text) && line.contains(&dir)).count();
    let warnings = || lines("cannot be used");
    fs::write(&watched.files.key, "nonsense").unwrap();
    for _ in 0..4 {
        assert_eq!(watched.look().await, first);
    }
    assert_eq!(warnings(), 1);
    fs::remove_file(&watched.files.ca).unwrap();
    for _ in 0..4 {
        assert_eq!(watched.look().await, first);
    }
    assert_eq!(warnings(), 2);
    assert!(log.text().contains("client-private.pem") && log.text().contains("cacert.crt"), "{}", log.text());
    watched.rotate();
    assert_ne!(watched.look().await, first);
    assert_eq!(lines("the new ones are in use"), 1);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
