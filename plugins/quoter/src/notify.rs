//! Tells systemd, where it is the one that waits (`Type=notify`), how far this program is.

use std::env;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The socket is open.
pub(crate) fn ready() {
    tell(b"READY=1");
}

/// The program ends.
pub(crate) fn stopping() {
    tell(b"STOPPING=1");
}

/// Nothing without systemd. That it is not reached is no reason not to go on.
fn tell(state: &[u8]) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name),
        _ => SocketAddr::from_pathname(&name),
    };
    let told = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state, &address));
    if let Err(error) = told {
        tracing::warn!(%error, "systemd was not told");
    }
}
