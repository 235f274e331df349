//! The thread that has the TPM, and the queue of what waits for it.

use std::thread;

use evidence::{AgentId, HashAlg, Nonce};
use tokio::sync::{mpsc, oneshot};
use tpm::Quoter;

use crate::agent_id::{IdError, Source};

/// Most requests that wait. A TPM of hardware quotes some four times a second, and the agent
/// plugin waits for ten.
const WAITING: usize = 32;

/// The node, as Keylime knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: AgentId,
    pub(crate) bank: HashAlg,
}

/// A quote with its bank.
pub(crate) struct Quoted {
    pub(crate) quote: String,
    pub(crate) bank: HashAlg,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error("{WAITING} requests wait for the TPM already; ask again in a second")]
    Full,
    #[error("the quoter ends; ask again once it has started anew")]
    Ending,
    #[error(transparent)]
    Tpm(#[from] tpm::Error),
    #[error(transparent)]
    Id(#[from] IdError),
}

/// Hands requests to the thread.
#[derive(Clone, Debug)]
pub(crate) struct Worker(mpsc::Sender<Job>);

enum Job {
    Node(oneshot::Sender<Result<Node, WorkError>>),
    Quote(Nonce, oneshot::Sender<Result<Quoted, WorkError>>),
    End,
}

/// Starts the thread. The other end of the receiver is dropped when it ends.
pub(crate) fn start(quoter: Quoter, source: Source) -> std::io::Result<(Worker, oneshot::Receiver<()>)> {
    let (sender, jobs) = mpsc::channel(WAITING);
    let (alive, ended) = oneshot::channel();
    thread::Builder::new().name("tpm".to_owned()).spawn(move || {
        let _alive = alive;
        work(quoter, &source, jobs);
    })?;
    Ok((Worker(sender), ended))
}

impl Worker {
    /// The node, once a quote of it would be a matter of milliseconds.
    pub(crate) async fn node(&self) -> Result<Node, WorkError> {
        self.ask(Job::Node).await
    }

    /// A quote of the nonce.
    pub(crate) async fn quote(&self, nonce: Nonce) -> Result<Quoted, WorkError> {
        self.ask(|answer| Job::Quote(nonce, answer)).await
    }

    /// Ends the thread once what waits now is done. It takes the key out of the TPM.
    pub(crate) async fn end(&self) {
        // It has ended by itself where it cannot be told.
        let _ = self.0.send(Job::End).await;
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, WorkError>>) -> Job,
    ) -> Result<T, WorkError> {
        let (sender, answer) = oneshot::channel();
        self.0.try_send(job(sender)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => WorkError::Full,
            mpsc::error::TrySendError::Closed(_) => WorkError::Ending,
        })?;
        answer.await.unwrap_or(Err(WorkError::Ending))
    }
}

/// Does one job after the other. What nobody waits for any more is left out.
fn work(mut quoter: Quoter, source: &Source, mut jobs: mpsc::Receiver<Job>) {
    // The first request is not to wait for the key.
    match quoter.prepare() {
        Ok(_) => tracing::info!("the key of Keylime's agent is loaded"),
        Err(error) => tracing::warn!(%error, "no nonce can be quoted yet"),
    }
    while let Some(job) = jobs.blocking_recv() {
        match job {
            Job::Node(answer) if !answer.is_closed() => {
                let _ = answer.send(node(&mut quoter, source));
            }
            Job::Quote(nonce, answer) if !answer.is_closed() => {
                let _ = answer.send(quote(&mut quoter, &nonce));
            }
            Job::End => return,
            Job::Node(_) | Job::Quote(..) => {}
        }
    }
}

fn node(quoter: &mut Quoter, source: &Source) -> Result<Node, WorkError> {
    let data = quoter.prepare()?;
    Ok(Node { id: source.id(data)?, bank: data.bank() })
}

fn quote(quoter: &mut Quoter, nonce: &Nonce) -> Result<Quoted, WorkError> {
    let (quote, bank) = quoter.quote(nonce)?;
    Ok(Quoted { quote, bank })
}
