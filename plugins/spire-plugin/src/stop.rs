//! The wish that the process ends.

use tokio::sync::watch;

/// Asked for once, seen by all clones.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Sender<bool>);

impl Stop {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn request(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is asked for.
    pub(crate) async fn requested(self) {
        // Cannot fail: this very sender is alive.
        let _ = self.0.subscribe().wait_for(|stop| *stop).await;
    }
}
