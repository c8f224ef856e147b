//! What is serving which share right now: as observed, not as asked for.

use maud::{Markup, html};
use rollout::units::Weight;

use super::text;
use crate::view::{RolloutView, TrackView};

/// The bar's width in its own units.
const WIDTH: f64 = 1_000.0;

pub(super) fn render(view: &RolloutView) -> Markup {
    html! {
        section aria-labelledby="tracks" {
            h2 #tracks { "Who serves" }
            (bar(&view.tracks))
            div.scroll {
                table {
                    thead { tr {
                        th scope="col" { "Track" }
                        th scope="col" { "Version" }
                        th scope="col" { "Share" }
                        th scope="col" { "Weight" }
                        th scope="col" { "Req/s" }
                        th scope="col" { "Errors" }
                        th scope="col" { "p50" }
                        th scope="col" { "p99" }
                    } }
                    tbody { @for track in &view.tracks { (line(track)) } }
                }
            }
            @for track in &view.tracks {
                p.small {
                    (track.track) ": " (track.process)
                    @if track.in_flight > 0 { ", " (track.in_flight) " under way" }
                    @if let Some(why) = &track.withheld { ", share withheld: " (why) }
                    @for (who, apart) in [("testers", track.totals.testers), ("segments", track.totals.segments)] {
                        @if !apart.is_none() {
                            ", " (who) " apart: " (apart.requests) " (" (apart.failures) " failed)"
                        }
                    }
                    @if let Some(mirrored) = &track.totals.mirrored { ", mirrored: " (mirrored) }
                }
            }
        }
    }
}

fn line(track: &TrackView) -> Markup {
    let totals = &track.totals;
    html! {
        tr {
            th scope="row" { span.swatch data-track=(track.track) {} (track.track) }
            td { (track.version) }
            td.number { (text::percent(track.share)) }
            td.number { (track.in_force.map_or_else(|| "–".to_owned(), |weight: Weight| weight.to_string())) }
            td.number { (format!("{:.0}", track.per_second)) }
            td.number { (text::percent(totals.error_rate())) " (" (totals.failures) " of " (totals.requests)
                @if totals.shielded > 0 { ", " (totals.shielded) " shielded" } ")" }
            td.number { (text::millis(track.p50_ms)) }
            td.number { (text::millis(track.p99_ms)) }
        }
    }
}

/// The shares side by side; a canary that has any share at all stays visible.
fn bar(tracks: &[TrackView]) -> Markup {
    let canary = tracks.iter().find(|track| track.track == "canary").and_then(|track| track.share);
    let known = tracks.iter().any(|track| track.share.is_some());
    let width =
        canary.map_or(0.0, |share| if share > 0.0 { (share * WIDTH).max(4.0) } else { 0.0 });
    let label = if known {
        format!(
            "canary {} of the requests of the last seconds",
            text::percent(Some(canary.unwrap_or(0.0)))
        )
    } else {
        "no traffic in the last seconds".to_owned()
    };
    html! {
        svg.bar viewBox={ "0 0 " (WIDTH) " 28" } preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.empty x="0" y="0" width=(WIDTH) height="28" {}
            @if known {
                rect.stable x="0" y="0" width=(WIDTH - width) height="28" {}
                rect.canary x=(WIDTH - width) y="0" width=(width) height="28" {}
            }
        }
        p.small { (label) }
    }
}
