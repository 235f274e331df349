//! The signal that ends the work for a configuration.

use std::time::Duration;

use tokio::sync::watch;

/// The receiver of the signal. The sender of [`pair`] gives it, also when dropped.
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

    /// Waits; false when the work is to stop meanwhile.
    pub(crate) async fn sleep(&mut self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.wait() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}
