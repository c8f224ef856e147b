//! The demo's plan: three stages in half a minute.

use std::path::Path;

use crate::exit::Failure;

/// The service's name.
pub(super) const SERVICE: &str = "shop";
/// Requests a second. At 1 % the canary gets 15 of them, so that the 158 clean requests a gate
/// of 2.5 % asks for take 11 seconds; and two cores have room for all of it.
pub(super) const RATE: u32 = 1_500;
/// Distinct users; some 200 of them meet a canary at 1 %.
pub(super) const USERS: u32 = 20_000;

/// The plan, for a proxy that listens on `listen` and versions that are this `program` and
/// hold on to `leash`.
///
/// `forgive` is short, so that a block of evidence lasts about a second. The gate is 2.5 %, the
/// widest whose guard acts at a quarter of failures: a wider one would take longer to shut. The
/// limit on latency is wide: a machine that is busy with other things is no fault of a version.
///
/// # Errors
/// A path that is not UTF-8 cannot be written into a plan.
pub(super) fn text(listen: &str, program: &Path, leash: &Path) -> Result<String, Failure> {
    let (program, leash) = (quoted(program)?, quoted(leash)?);
    Ok(format!(
        r#"service: {SERVICE}
listen: {listen}
run:
  command: [{program}, demo-service, --build, "{{version}}", --port, "{{port}}", --leash, {leash}]
  ready_within: 20s
health: {{ path: /health, every: 200ms }}
sticky: {{ cookie: user_id }}
drain: 2s
stages:
  - {{ name: canary,  traffic: 1%,   for: 12s, gates: {{ error_rate: below 2.5%, p95: below 1s }} }}
  - {{ name: ramp,    traffic: 10%,  for: 6s,  gates: {{ error_rate: below 2.5%, p95: below 1s }} }}
  - {{ name: rollout, traffic: 100%, for: 5s,  gates: {{ error_rate: below 2.5%, p95: below 1s }} }}
forgive: 350ms
min_requests: 50
"#
    ))
}

/// A path as YAML writes any text: in double quotes, escaped as in JSON.
fn quoted(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().ok_or_else(|| {
        Failure::ours(format!("the path {} is not UTF-8, and a plan is", path.display()))
    })?;
    Ok(serde_json::Value::from(text).to_string())
}
