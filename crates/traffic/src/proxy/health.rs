//! Active health checks: one task an upstream.

use std::sync::Arc;

use rollout::route::HealthCheck;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::probe::probe;
use super::upstream::{Health, Upstream};

/// Answers in a row, of one kind.
#[derive(Debug, Default)]
struct Streak {
    good: u32,
    bad: u32,
}

/// Asks `upstream` over and over and sets its health; never ends by itself.
pub(crate) async fn watch(upstream: Arc<Upstream>, check: HealthCheck) {
    let mut ticks = interval(check.every.to_std().max(std::time::Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut streak = Streak::default();
    loop {
        ticks.tick().await;
        let asked = probe(&upstream.address, &check.path, upstream.protocol);
        let good = match timeout(check.timeout.to_std(), asked).await {
            Ok(Ok(status)) => status.is_success() || status.is_redirection(),
            Ok(Err(_)) | Err(_) => false,
        };
        let before = upstream.health();
        let now = streak.after(good, before, &check);
        if now != before {
            upstream.set_health(now);
            tracing::info!(upstream = %upstream.address, health = ?now, "upstream health changed");
        }
    }
}

impl Streak {
    fn after(&mut self, good: bool, before: Health, check: &HealthCheck) -> Health {
        (self.good, self.bad) =
            if good { (self.good.saturating_add(1), 0) } else { (0, self.bad.saturating_add(1)) };
        if self.good >= check.healthy_after {
            Health::Healthy
        } else if self.bad >= check.unhealthy_after {
            Health::Unhealthy
        } else {
            before
        }
    }
}

#[cfg(test)]
mod tests {
    use rollout::units::Millis;

    use super::*;

    #[test]
    fn health_changes_only_after_enough_answers_in_a_row() {
        let check = HealthCheck {
            path: "/".to_owned(),
            every: Millis(10),
            timeout: Millis(10),
            healthy_after: 2,
            unhealthy_after: 3,
        };
        let (mut streak, mut health, mut seen) =
            (Streak::default(), Health::Unknown, String::new());
        for answer in "gbggbbgbbbgg".chars() {
            health = streak.after(answer == 'g', health, &check);
            seen.push(match health {
                Health::Unknown => '?',
                Health::Healthy => 'H',
                Health::Unhealthy => 'U',
            });
        }
        assert_eq!(seen, "???HHHHHHUUH");
    }
}
