//! Where in the plan the rollout is.

use maud::{Markup, html};
use rollout::units::Millis;

use crate::view::{RolloutView, StageView};

pub(super) fn render(view: &RolloutView) -> Markup {
    html! {
        section aria-labelledby="stages" {
            h2 #stages { "Where in the plan" }
            ol.stages {
                @for stage in &view.stages {
                    li data-status=(stage.status) aria-current=[current(stage)] {
                        span.name { (stage.name) } " " span.weight { (stage.weight) }
                        span.small { " " (describe(stage)) }
                        @if stage.status == "current" && stage.soak > Millis::ZERO { (progress(stage)) }
                    }
                }
            }
        }
    }
}

fn current(stage: &StageView) -> Option<&'static str> {
    (stage.status == "current").then_some("step")
}

fn describe(stage: &StageView) -> String {
    let lasted = |from: Option<_>, to: Option<rollout::units::Timestamp>| match (from, to) {
        (Some(from), Some(to)) => format!(", took {}", to.since(from)),
        _ => String::new(),
    };
    match stage.status.as_str() {
        "current" if stage.soak > Millis::ZERO => {
            format!("{} of {} with traffic", round(stage.observed.min(stage.soak)), stage.soak)
        }
        "to come" if stage.soak > Millis::ZERO => format!("to come, at least {}", stage.soak),
        status => format!("{status}{}", lasted(stage.started_at, stage.ended_at)),
    }
}

/// Whole seconds: a tenth more or less tells nobody anything.
const fn round(length: Millis) -> Millis {
    Millis::from_secs(length.0 / 1_000)
}

fn progress(stage: &StageView) -> Markup {
    let done = stage.observed.min(stage.soak);
    html! { progress value=(done.0) max=(stage.soak.0) aria-label={ "soak of stage " (stage.name) } {} }
}
