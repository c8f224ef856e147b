//! `sluice weights`.

use rollout::units::Weight;
use server::view::Weights;

use crate::client::Connect;
use crate::exit::{Exit, Failure};
use crate::output::OutputArgs;

/// Show the shares of a service's traffic, or hold the canary at a smaller one.
///
/// The canary's share can be set up to what its stage gives it, never above: going on must be
/// earned. 0% is a rollback.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice weights analyzer --canary 0.5%"))]
pub(crate) struct Args {
    /// The service; may be left out when there is one.
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
    /// The share not to be passed, 0% to the stage's own, in steps of 0.001%.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    canary: Option<Weight>,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let client = self.connect.client()?;
        let service = self.service.as_deref();
        let weights = match self.canary {
            None => client.weights(service).await?,
            Some(canary) => {
                let asked = Weights { stable: canary.rest().fraction(), canary: canary.fraction() };
                client.set_weights(service, &asked).await?
            }
        };
        self.output.answer(&text(&weights), &weights)
    }
}

fn text(weights: &Weights) -> String {
    let percent = |share: f64| {
        let text = format!("{:.3}", share * 100.0);
        format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
    };
    format!("stable {}\ncanary {}", percent(weights.stable), percent(weights.canary))
}

/// A share on the command line: `0.5%`.
fn share(text: &str) -> Result<Weight, String> {
    let allowed = || "allowed: a percentage from 0% to 100% in steps of 0.001%, such as 0.5%";
    let number = text.strip_suffix('%').ok_or_else(allowed)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 3 || !digits(whole) || !digits(part) {
        return Err(allowed().to_owned());
    }
    let steps = format!("{whole}{part:0<3}").parse().ok().and_then(Weight::from_steps);
    steps.ok_or_else(|| allowed().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages_in_steps_of_a_thousandth() {
        let read = ["0%", "0.5%", "12.345%", "100%"].map(|text| share(text).unwrap().steps());
        assert_eq!(read, [0, 500, 12_345, 100_000]);
        for wrong in ["0.5", "1.2345%", "101%", "%", "-1%", "a%", "1.%2", "99999999999%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_shown_as_percentages() {
        let weights = Weights { stable: 0.995, canary: 0.005 };
        assert_eq!(text(&weights), "stable 99.5%\ncanary 0.5%");
    }
}
