//! The wish that one configuration's work ends.

use std::time::Duration;

use tokio::sync::watch;

/// Seen by those who work; asked for by the sender that [`pair`] gives, also when that is dropped.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

pub(crate) fn pair() -> (watch::Sender<bool>, Stop) {
    let (sender, receiver) = watch::channel(false);
    (sender, Stop(receiver))
}

impl Stop {
    pub(crate) fn requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    pub(crate) async fn wait(&mut self) {
        let _or_nobody_is_left_to_ask = self.0.wait_for(|stop| *stop).await;
    }

    /// Waits; false when it is to stop instead.
    pub(crate) async fn sleep(&mut self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.wait() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}
