//! An attestation: the plugin's view of it, and the gRPC services behind that.

pub(crate) mod agent;
pub(crate) mod server;

use futures_util::{Stream, StreamExt, future, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, codegen::BoxStream};

use crate::serve::MAX_MESSAGE_BYTES;

/// The messages of an attestation to SPIRE. The last one carries the status when it failed.
type Outbox<T> = mpsc::Sender<Result<T, Status>>;

/// The stream of an attestation's messages. It carries the attestation itself, which moves on when
/// the stream is read and is dropped with it, that is when SPIRE gives up.
fn run<T, W, F>(work: W) -> BoxStream<T>
where
    T: Send + 'static,
    W: FnOnce(Outbox<T>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let (outbox, messages) = mpsc::channel(1);
    let work = stream::once(work(outbox)).filter_map(|()| future::ready(None));
    Box::pin(stream::select(ReceiverStream::new(messages), work))
}

async fn send<T>(outbox: &Outbox<T>, message: T) -> Result<(), Status> {
    outbox.send(Ok(message)).await.map_err(|_| Status::cancelled("SPIRE gave the attestation up"))
}

/// Reads SPIRE's next message; `None` when there are no more.
async fn receive<T>(
    messages: &mut (impl Stream<Item = Result<T, Status>> + Unpin),
) -> Result<Option<T>, Status> {
    match messages.next().await {
        Some(Ok(message)) => Ok(Some(message)),
        None => Ok(None),
        Some(Err(status)) if status.code() == Code::OutOfRange => Err(Status::invalid_argument(format!(
            "message is too large: at most {MAX_MESSAGE_BYTES} bytes are read"
        ))),
        Some(Err(status)) => Err(status),
    }
}

/// Something was not sent in the order, or with the content, that SPIRE's protocol asks for.
fn unexpected(expected: &str, got: &str) -> Status {
    Status::invalid_argument(format!("expected a {expected}, got {got}"))
}
