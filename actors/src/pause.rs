//! Waits between attempts at what will succeed in the end.

use std::time::Duration;

/// Waits that double from 50 ms to some seconds.
pub(crate) struct Pause(Duration);

/// The longest of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(50))
    }
}

impl Pause {
    /// Waits; longer the next time.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.longer()).await;
    }

    /// How long to wait; longer the next time.
    pub fn longer(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}
