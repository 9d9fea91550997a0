//! What the boot of an application waits for.

use tokio::sync::watch;

/// Why the application has not booted yet; nothing when its boot does not wait.
pub(super) struct BootWait(watch::Sender<Option<String>>);

impl Default for BootWait {
    fn default() -> BootWait {
        BootWait(watch::Sender::new(None))
    }
}

impl BootWait {
    /// Why it waits, if it does.
    pub(super) fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Returns when the boot has said that it waits.
    pub(super) async fn begun(&self) {
        // The sender lives as long as the worker does.
        if self.0.subscribe().wait_for(Option::is_some).await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns when the boot waits for nothing any more, at once when it never has.
    pub(super) async fn over(&self) {
        drop(self.0.subscribe().wait_for(Option::is_none).await);
    }

    /// Whether the reason is another one than before.
    pub(super) fn set(&self, reason: &str) -> bool {
        self.0.send_if_modified(|known| {
            let is_new = known.as_deref() != Some(reason);
            *known = Some(reason.to_owned());
            is_new
        })
    }

    /// It waits for nothing any more; whether it did.
    pub(super) fn end(&self) -> bool {
        self.0.send_replace(None).is_some()
    }
}
