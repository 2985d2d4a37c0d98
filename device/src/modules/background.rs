//! Work that goes on while the conversation does: the owner hears empty messages until it is done. It ends with the
//! conversation.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;

/// At most one piece of work.
pub struct Background<T>(JoinSet<T>);

impl<T: Send + 'static> Background<T> {
    /// Nothing to do.
    pub fn idle() -> Self {
        Self(JoinSet::new())
    }

    /// Whether it goes on.
    pub fn is_busy(&self) -> bool {
        !self.0.is_empty()
    }

    /// Begins it, in place of what goes on.
    pub fn start(&mut self, work: impl Future<Output = T> + Send + 'static) {
        self.0.abort_all();
        self.0 = JoinSet::new();
        self.0.spawn(work);
    }

    /// Waits for its end at most so long; none if it still goes on, or nothing does.
    ///
    /// # Errors
    /// That it ended without a result.
    pub async fn wait(&mut self, patience: Duration) -> Option<Result<T, String>> {
        let ended = tokio::time::timeout(patience, self.0.join_next()).await.ok().flatten()?;
        Some(ended.map_err(|_| "it was interrupted".to_owned()))
    }
}
