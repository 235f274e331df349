//! A DNS server for a network namespace in which nobody else has its port.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// The length of a message's header.
const HEADER: usize = 12;
/// Type A, class IN.
const ADDRESS: [u8; 4] = [0, 1, 0, 1];
const NO_ERROR: u8 = 0;
const NO_SUCH_NAME: u8 = 3;

/// A DNS server at 127.0.0.1, until it is dropped.
#[derive(Debug)]
pub struct FakeDns(JoinHandle<()>);

impl FakeDns {
    /// Starts a server for which these names, and no others, stand for 127.0.0.1. They have no
    /// other records.
    ///
    /// # Errors
    /// When port 53 is somebody else's.
    pub async fn start(names: &[&str]) -> Result<Self> {
        let socket =
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).await.context("failed to listen on port 53")?;
        let names: Vec<Vec<u8>> = names.iter().map(|name| on_the_wire(name)).collect();
        Ok(Self(tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut query).await {
                let query = query.get(..length).unwrap_or_default();
                if let Some(answer) = answer(query, &names) {
                    // A client that is gone waits for nothing.
                    let _ = socket.send_to(&answer, client).await;
                }
            }
        })))
    }
}

impl Drop for FakeDns {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Each label with its length before it, and an empty one at the end.
fn on_the_wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').chain([""]);
    labels.flat_map(|label| u8::try_from(label.len()).into_iter().chain(label.bytes())).collect()
}

/// The answer to a query with one question (RFC 1035, 4.1); none to anything else.
fn answer(query: &[u8], names: &[Vec<u8>]) -> Option<Vec<u8>> {
    let ([id_high, id_low, ..], question) = query.split_first_chunk::<HEADER>()?;
    let name = question.get(..=question.iter().position(|&byte| byte == 0)?)?;
    let (kind, _) = question.get(name.len()..)?.split_first_chunk::<4>()?;

    let known = names.iter().any(|known| known == name);
    let code = if known { NO_ERROR } else { NO_SUCH_NAME };
    let addresses = u8::from(known && *kind == ADDRESS);
    let mut answer = vec![*id_high, *id_low, 0x81, 0x80 | code, 0, 1, 0, addresses, 0, 0, 0, 0];
    answer.extend_from_slice(name);
    answer.extend_from_slice(kind);
    if addresses > 0 {
        // The name again, by its place; for 60 seconds; four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(answer)
}
