//! What is on this machine's loopback, for programs on the nodes.

use anyhow::{Context as _, Result, ensure};
use std::process::Command;
use tempfile::TempDir;

use super::{Cluster, NODES, TIMEOUT};
use crate::process::Process;
use crate::wait;

/// Programs on the nodes reach a port as long as this lives.
#[derive(Debug)]
pub struct Reach {
    _processes: Vec<Process>,
    _folder: TempDir,
}

impl Cluster {
    /// Has each node's own loopback lead to a port of this machine's, at the same port: what is
    /// there has one name everywhere.
    ///
    /// # Errors
    /// When a node has something else at that port, or socat is missing.
    pub fn reach(&self, port: u16) -> Result<Reach> {
        let folder = TempDir::new().context("failed to make a folder for a socket")?;
        // The nodes have networks of their own, and this machine's files.
        let socket = folder.path().join("socket").display().to_string();
        let mut here = Command::new("socat");
        here.args([format!("UNIX-LISTEN:{socket},fork"), format!("TCP:127.0.0.1:{port}")]);
        let mut processes = vec![Process::start("reach", folder.path(), &mut here)?];
        for node in NODES {
            let mut there = self.on_node(node)?;
            there.args(["socat", &format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr")]);
            there.arg(format!("UNIX-CONNECT:{socket}"));
            processes.push(Process::start(node.name, folder.path(), &mut there)?);
            wait::until("a listener on a node", TIMEOUT, || {
                ensure!(self.listening(node)?.contains(&format!("127.0.0.1:{port} ")), "nobody listens");
                Ok(())
            })?;
        }
        Ok(Reach { _processes: processes, _folder: folder })
    }
}
