//! Whether messages can be signed, found out before one is owed.

use super::core::Core;
use crate::notifiers::secret;

impl Core {
    /// Says whose receivers cannot be told anything, because their signing secret is not there.
    pub(super) async fn note_receivers(&mut self) {
        let unfinished = self.rollouts.values().filter(|rollout| !rollout.is_over());
        let plans: Vec<_> = unfinished.map(|rollout| &rollout.plan).collect();
        let mut mute = Vec::new();
        for plan in plans {
            for receiver in &plan.notify {
                let Some(reference) = &receiver.secret else { continue };
                if let Err(why) = secret::read(reference).await {
                    let Some(host) = receiver.url.split('/').nth(2) else { continue };
                    mute.push(format!("{host} is told nothing of {}: {why}", plan.service));
                }
            }
        }
        mute.dedup();
        if mute.is_empty() {
            self.notices.remove("receivers");
        } else {
            self.notice("receivers", mute.join("; "));
        }
    }
}
