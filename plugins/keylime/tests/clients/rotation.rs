//! TLS files that change while the client is in use.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keylime::{Servers, ServersConfig};
use lab::fake_keylime::pki::{Ca, Clients, Files, Validity};
use lab::fake_keylime::{FakeServer, Fault, SERVER_NAMES};
use tokio::sync::Notify;

use super::{PATIENT, World, agent, tls_files};

/// A folder as Kubernetes mounts a secret: the files are links to `..data/…`, and `..data` is a
/// link to the newest version.
struct Mount {
    dir: PathBuf,
    files: Files,
}

impl Mount {
    fn new(dir: &Path, write: impl FnOnce(&Path) -> Files) -> Mount {
        let mount = dir.join("mount");
        fs::create_dir(&mount).unwrap();
        let files = write(&mount.join("..1"));
        symlink("..1", mount.join("..data")).unwrap();
        let link = |file: &Path| {
            let name = file.file_name().unwrap();
            symlink(Path::new("..data").join(name), mount.join(name)).unwrap();
            mount.join(name)
        };
        let files = Files { ca: link(&files.ca), cert: link(&files.cert), key: link(&files.key) };
        Mount { dir: mount, files }
    }

    /// Swaps in a new version by one rename.
    fn swap(&self, write: impl FnOnce(&Path) -> Files) {
        write(&self.dir.join("..2"));
        symlink("..2", self.dir.join("..data_tmp")).unwrap();
        fs::rename(self.dir.join("..data_tmp"), self.dir.join("..data")).unwrap();
        fs::remove_dir_all(self.dir.join("..1")).unwrap();
    }
}

fn trust_only(ca: &Ca, server: &FakeServer) {
    let certificate = ca.server(&SERVER_NAMES, Validity::Now).unwrap();
    server.set_tls(certificate.server_config(Clients::Required(ca)).unwrap());
}

/// Asks until the verifier answers; every failure until then must be one of trust.
async fn until_trusted(servers: &Servers) {
    let trusted = async {
        while let Err(error) = servers.state(&agent()).await {
            assert_eq!(error.reason(), "unknown_ca", "{error}");
        }
    };
    tokio::time::timeout(PATIENT, trusted).await.unwrap();
}

#[tokio::test]
async fn files_swapped_as_kubernetes_does_are_used() {
    let mut world = World::new().await;
    let mount = Mount::new(world.path(), |dir| world.keylime.ca.write_client(dir).unwrap());
    let servers = Servers::new(ServersConfig { tls: tls_files(&mount.files), ..world.config() }).unwrap();
    servers.state(&agent()).await.unwrap();
    let new = Ca::new().unwrap();
    trust_only(&new, &world.keylime.verifier);
    world.keylime.verifier.restart().await.unwrap();
    assert_eq!(servers.state(&agent()).await.unwrap_err().reason(), "unknown_ca");
    mount.swap(|dir| new.write_client(dir).unwrap());
    until_trusted(&servers).await;
}

#[tokio::test]
async fn requests_under_way_end_well_on_the_old_files() {
    let mut world = World::new().await;
    let servers = world.servers();
    // The registrar stays with the old files, and its answer is held back until the new ones are in
    // use.
    let release = Arc::new(Notify::new());
    world.keylime.registrar.fault("/agents/", Fault::Hold(release.clone()));
    let new = Ca::new().unwrap();
    let rotated = async {
        while world.keylime.registrar.served() < 2 {
            tokio::task::yield_now().await;
        }
        trust_only(&new, &world.keylime.verifier);
        world.keylime.verifier.restart().await.unwrap();
        new.write_client(world.dir.path()).unwrap();
        until_trusted(&servers).await;
        release.notify_one();
    };
    let node = agent();
    let (registration, ()) = tokio::join!(servers.registration(&node), rotated);
    registration.unwrap();
}

#[tokio::test]
async fn a_bad_new_file_keeps_the_old_ones_in_use() {
    let mut world = World::new().await;
    let servers = world.servers();
    servers.state(&agent()).await.unwrap();
    fs::write(&world.files.key, "nonsense").unwrap();
    fs::remove_file(&world.files.ca).unwrap();
    world.keylime.verifier.restart().await.unwrap();
    servers.state(&agent()).await.unwrap();
    let new = Ca::new().unwrap();
    trust_only(&new, &world.keylime.verifier);
    world.keylime.verifier.restart().await.unwrap();
    assert_eq!(servers.state(&agent()).await.unwrap_err().reason(), "unknown_ca");
    new.write_client(world.dir.path()).unwrap();
    until_trusted(&servers).await;
}
