//! Whether a rollout is watched, waited for, or looked at once.

use std::time::Duration;

use server::view::RolloutView;

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output::{Format, data, is_interactive, json};
use crate::{clock, outcome, view};

/// The options of commands that can follow a rollout.
#[derive(Debug, clap::Args)]
pub(super) struct FollowArgs {
    /// Watch it, as is the default on a terminal.
    #[arg(long, conflicts_with_all = ["no_watch", "wait"])]
    watch: bool,
    /// Do not watch it, as is the default without a terminal.
    #[arg(long, visible_alias = "detach", conflicts_with = "wait")]
    no_watch: bool,
    /// Wait until it is over or waits for a person; the exit code says which.
    #[arg(long)]
    wait: bool,
    /// Wait so long at most: 90s, 30m, 2h.
    #[arg(long, value_name = "D", requires = "wait", value_parser = duration)]
    timeout: Option<Duration>,
}

/// What is asked for, defaults filled in.
pub(super) enum Manner {
    /// The live view.
    Watch,
    /// Until it is settled, for so long at most.
    Wait(Option<Duration>),
    /// Neither.
    Once,
}

impl FollowArgs {
    /// What is asked for, where the output is in `format`.
    pub(super) fn manner(&self, format: Format) -> Manner {
        if self.wait {
            Manner::Wait(self.timeout)
        } else if self.watch || (!self.no_watch && format == Format::Text && is_interactive()) {
            Manner::Watch
        } else {
            Manner::Once
        }
    }
}

/// Waits for rollout `id`, prints it, and gives the code that tells where it stands.
pub(super) async fn wait(
    client: &Client,
    id: &str,
    limit: Option<Duration>,
    format: Format,
) -> Result<Exit, Failure> {
    show(&outcome::wait(client, id, limit).await?, format)
}

/// Prints a rollout and gives the code that tells where it stands.
pub(super) fn show(rollout: &RolloutView, format: Format) -> Result<Exit, Failure> {
    match format {
        Format::Text => data(&view::text(rollout, clock::now()))?,
        Format::Json => json(rollout)?,
    }
    Ok(outcome::of(rollout))
}

/// A length of time on the command line: `90s`, `30m`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let length = text.parse::<jiff::SignedDuration>().ok().map(Duration::try_from);
    match length {
        Some(Ok(length)) if !length.is_zero() => Ok(length),
        _ => Err("allowed: a length of time such as 90s, 30m, 2h or 1h30m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_need_a_unit() {
        let read = |text| duration(text).ok().map(|length| length.as_secs());
        assert_eq!(read("90s"), Some(90));
        assert_eq!(read("1h30m"), Some(5_400));
        for wrong in ["90", "0s", "-5m", "soon", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
