//! A listening port that silent or greedy clients cannot fill.
//!
//! Any host that reaches a port can open connections and say nothing. With a cap alone they would
//! hold all places, and probes and scrapes would wait until a kubelet takes the program for dead.
//! Here nobody waits: a new connection takes the place of the oldest one, first of those from its
//! own address. A client that sends its request at once is answered long before its place is taken.
//!
//! What this proves: memory, tasks and file descriptors of a port are bounded, and one address
//! holds no more than its share. What it does not: that a flood from very many addresses, faster
//! than requests are answered, leaves anybody else through.

mod open;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use open::Open;

/// The wait after a connection could not be accepted, such as for too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// The most connections of a port.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections of one address at a time; all of an IPv6 /64 are one.
    pub per_address: usize,
    /// The longest time of a connection.
    pub lifetime: Duration,
}

/// Serves each connection in a task of its own, until the future is dropped; with it all of them
/// end. `serve` has to end by itself when its client sends nothing: until another needs its place,
/// a connection has its whole lifetime.
pub async fn serve<F>(
    listener: TcpListener,
    limits: Limits,
    mut serve: impl FnMut(TcpStream) -> F,
) -> Infallible
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut open = Open::new(limits);
    loop {
        tokio::select! {
            accepted = accept(&listener) => match accepted {
                Ok((stream, address)) => {
                    open.make_room(address);
                    let task = tasks.spawn(timeout(limits.lifetime, serve(stream)));
                    open.add(address, task);
                }
                Err(error) => {
                    debug!(%error, "a connection was not accepted");
                    sleep(PAUSE).await;
                }
            },
            Some(ended) = tasks.join_next_with_id() => {
                open.remove(match &ended {
                    Ok((id, _)) => *id,
                    Err(error) => error.id(),
                });
            }
        }
    }
}

async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, std::net::IpAddr)> {
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer.ip()))
}
