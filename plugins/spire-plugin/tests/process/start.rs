//! Cookie, handshake and socket.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::{ends_well, server_plugin};

#[tokio::test]
async fn without_the_cookie_it_says_what_it_is() -> Result<()> {
    for start in [server_plugin().env_remove("NodeAttestor"), server_plugin().env("NodeAttestor", "other")] {
        let output = start.output().await?;
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        assert_eq!(
            String::from_utf8(output.stderr)?,
            "test-plugin 1.2.3 is a SPIRE plugin (does what tests want) and not to be started by hand: \
             name it as plugin_cmd of a NodeAttestor in SPIRE's configuration\n"
        );
    }
    Ok(())
}

#[tokio::test]
async fn another_protocol_version_is_refused() -> Result<()> {
    let output = server_plugin().env("PLUGIN_PROTOCOL_VERSIONS", "2,3").output().await?;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let line: Value = serde_json::from_slice(&output.stderr)?;
    assert_eq!(line["@level"], "error");
    assert_eq!(
        line["@message"],
        "failed to agree on a plugin protocol: SPIRE offers \"2,3\", this plugin speaks 1"
    );
    Ok(())
}

#[tokio::test]
async fn handshake_in_the_first_directory() -> Result<()> {
    let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let host = server_plugin()
        .env("PLUGIN_UNIX_SOCKET_DIR", first.path())
        .env("TMPDIR", second.path())
        .env_remove("PLUGIN_MULTIPLEX_GRPC")
        .start()
        .await?;
    let socket = host.socket()?;
    assert_eq!(host.handshake(), format!("1|1|unix|{}|grpc|\n", socket.display()));
    assert!(socket.starts_with(first.path()));
    assert!(fs::metadata(&socket)?.file_type().is_socket());
    assert_eq!(mode(&socket)?, 0o600);
    assert_eq!(mode(parent(&socket))?, 0o700);

    ends_well(host).await?;
    for directory in [first, second] {
        assert_eq!(fs::read_dir(directory.path())?.count(), 0, "something was left behind");
    }
    Ok(())
}

#[tokio::test]
async fn the_next_directory_when_one_cannot_be_used() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let host = server_plugin()
        .env("PLUGIN_UNIX_SOCKET_DIR", directory.path().join("missing"))
        .env("TMPDIR", directory.path())
        .start()
        .await?;
    assert!(host.socket()?.starts_with(directory.path()));
    ends_well(host).await
}

#[tokio::test]
async fn the_last_directory_is_tmp() -> Result<()> {
    let host = server_plugin().env("PLUGIN_UNIX_SOCKET_DIR", "").env_remove("TMPDIR").start().await?;
    assert!(host.socket()?.starts_with("/tmp"));
    ends_well(host).await
}

#[tokio::test]
async fn a_host_that_knows_multiplexing_is_told_that_there_is_none() -> Result<()> {
    let host = server_plugin().env("PLUGIN_MULTIPLEX_GRPC", "true").start().await?;
    assert_eq!(host.handshake(), format!("1|1|unix|{}|grpc||false\n", host.socket()?.display()));
    ends_well(host).await
}

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
