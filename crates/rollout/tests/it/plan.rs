//! Plans as people write them: the good, the broken, and the random.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rollout::plan::{Finding, Plan, Severity, at_odds, read, render};

const ANALYZER: &str = include_str!("../../../../examples/analyzer/sluice.yaml");

/// The least a plan needs.
const LEAST: &str = "\
service: shop
listen: 127.0.0.1:8080
run: { command: \"./shop {port}\" }
stages:
  - { name: canary, traffic: 5%, for: 10m, gates: { error_rate: below 1% } }
  - { name: all, traffic: 100%, gates: { error_rate: below 1% } }
";

pub(crate) fn plan(text: &str) -> (Plan, Vec<Finding>) {
    read("sluice.yaml", text)
        .unwrap_or_else(|found| panic!("{}", render("sluice.yaml", text, &found, false)))
}

/// The report on a plan that must be refused.
pub(crate) fn refused(text: &str) -> String {
    let found = read("sluice.yaml", text).expect_err("the plan is broken");
    render("sluice.yaml", text, &found, false)
}

/// [`LEAST`] with one piece written differently.
pub(crate) fn with(old: &str, new: &str) -> String {
    assert!(LEAST.contains(old), "{old} is in the plan");
    LEAST.replacen(old, new, 1)
}

pub(crate) fn codes(text: &str) -> Vec<&'static str> {
    let found = read("sluice.yaml", text).map_or_else(|found| found, |(_, found)| found);
    found.iter().map(|finding| finding.code).collect()
}

#[test]
fn the_analyzer_of_002_reads_as_meant() {
    let (plan, warnings) = plan(ANALYZER);
    assert_eq!(warnings, []);
    insta::assert_json_snapshot!(plan);
}

#[test]
fn the_least_plan_is_filled_with_defaults() {
    let (plan, warnings) = plan(LEAST);
    assert_eq!(warnings, []);
    insta::assert_json_snapshot!(plan);
}

#[test]
fn every_example_reads_without_an_error() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let plans = plans_below(&examples);
    assert!(!plans.is_empty());
    for path in plans {
        let text = read_text(&path);
        let name = path.display().to_string();
        if let Err(found) = read(&name, &text) {
            panic!("{}", render(&name, &text, &found, false));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test may read what it tests")]
fn read_text(path: &Path) -> String {
    fs::read_to_string(path).expect("the file can be read")
}

fn plans_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let paths = entries.map(|entry| entry.expect("the entry can be read").path());
    paths
        .flat_map(|path| if path.is_dir() { plans_below(&path) } else { vec![path] })
        .filter(|path| path.ends_with("sluice.yaml"))
        .collect()
}

#[test]
fn an_empty_file_lacks_every_key_a_plan_needs() {
    insta::assert_snapshot!(refused(""));
}

#[test]
fn every_shape_error_is_reported_at_once() {
    insta::assert_snapshot!(refused(
        "\
servise: shop
listen: [127.0.0.1]
listen: 127.0.0.1:8080
run:
  comand: ./shop {port}
  env: { A: { B: 1 } }
stages:
  - { name: canary, traffic: 5%, for: 10m, gate: { error_rate: below 1% } }
  - all
min_requests:
"
    ));
}

#[test]
fn a_number_without_its_unit_is_refused() {
    let text = with("for: 10m", "for: 600").replace("5%", "5");
    insta::assert_snapshot!(refused(&text));
}

#[test]
fn lengths_and_shares_say_what_is_allowed() {
    let text = with("for: 10m", "for: 10 minutes").replace("5%", "5.12345%")
        + "drain: 30m 1h\nbake: 1y\nhold_limit: 400d\nfalse_pass_rate: 90%\nmin_requests: many\n";
    insta::assert_snapshot!(refused(&text));
}

#[test]
fn traffic_rises_from_stage_to_stage_and_ends_at_all() {
    let stages = [
        "  - { name: one, traffic: 50%, for: 10m, gates: { p99: below 1s } }",
        "  - { name: two, traffic: 10%, gates: { p99: below 1s } }",
        "  - { name: one, traffic: 90%, for: 0s, gates: { p99: below 1s } }",
    ]
    .join("\n");
    let (head, _) = LEAST.split_once("  - ").expect("there are stages");
    insta::assert_snapshot!(refused(&format!("{head}{stages}")));
}

#[test]
fn a_plan_has_stages_with_names() {
    let (head, _) = LEAST.split_once("stages:").expect("there are stages");
    insta::assert_snapshot!(refused(&format!("{head}stages: []\n")));
    insta::assert_snapshot!(refused(&with("name: canary", "name: The Canary")));
    insta::assert_snapshot!(refused(&with("name: canary", "name: bake")));
}

#[test]
fn a_plan_that_is_too_deep_is_refused() {
    insta::assert_snapshot!(refused(&format!(
        "{LEAST}notify: {}{}\n",
        "[".repeat(20),
        "]".repeat(20)
    )));
}

#[test]
fn a_gate_that_cannot_be_decided_is_refused() {
    let gates = "{ error_rate: below 0%, success_rate: above 100%, p50: below 0ms, p90: below 90s, p95: no worse than stable }";
    insta::assert_snapshot!(refused(&with("{ error_rate: below 1% }", gates)));
}

#[test]
fn a_gate_reads_aloud_or_not_at_all() {
    let gates = "{ error_rate: \"< 1%\", success_rate: below 99%, p50: below 200, p90: below 1%, p95: fast, p99: above 10ms for 5m }";
    insta::assert_snapshot!(refused(&with("{ error_rate: below 1% }", gates)));
}

#[test]
fn what_is_not_measured_is_named() {
    let gates = "{ eror_rate: below 1%, memory: below 1GB, cache_hit_rate: above 60%, error_rate: below previous + 5%, success_rate: no worse than baseline }";
    insta::assert_snapshot!(refused(&with("{ error_rate: below 1% }", gates)));
}

#[test]
fn nothing_is_compared_with_stable_at_100_percent() {
    let text = LEAST.replace("below 1%", "below stable + 0.5%");
    insta::assert_snapshot!(refused(&text));
}

#[test]
fn rollback_when_says_what_must_not_go_on() {
    let breaches = "rollback_when: { error_rate: above 10%, success_rate: above 90% for 5m, p99: above 1s for 5s, p95: above stable + 5% for 5m }";
    insta::assert_snapshot!(refused(&with("gates:", &format!("{breaches}, gates:"))));
}

#[test]
fn a_long_gate_is_checked_in_every_part() {
    let gates = "{ error_rate: { limit: below 1%, breached_for: 10s, then: rollback }, p99: { breached_for: 5m }, success_rate: { limit: no worse than stable, breached_for: 5m, unless: never } }";
    insta::assert_snapshot!(refused(&with("{ error_rate: below 1% }", gates)));
}

#[test]
fn a_version_that_cannot_be_run_is_refused() {
    let run = "command: \"./shop 'open\"";
    insta::assert_snapshot!(refused(&with("command: \"./shop {port}\"", run)));
    let run = "command: \"./shop --v {versoin} | tee log\", env: { 1A: x }, ready_within: 2d, protocol: http2";
    insta::assert_snapshot!(refused(&with("command: \"./shop {port}\"", run)));
    insta::assert_snapshot!(refused(&with("command: \"./shop {port}\"", "command: []")));
}

#[test]
fn several_processes_of_a_version_are_asked_for_within_bounds() {
    let asked = |replicas: &str| {
        with(
            "command: \"./shop {port}\"",
            &format!("command: \"./shop {{port}}\", replicas: {replicas}"),
        )
    };
    let read = |replicas: &str| rollout::plan::read("sluice.yaml", &asked(replicas));
    assert_eq!(read("3").unwrap().0.deploy.replicas, 3);
    assert_eq!(read("100").unwrap().0.deploy.replicas, 100);
    for wrong in ["0", "101", "-1", "many", "1.5"] {
        let findings = read(wrong).unwrap_err();
        let found = findings.iter().find(|found| found.path == "run.replicas").unwrap();
        assert_eq!((found.code, found.line), ("invalid-number", 3), "{wrong}");
        assert!(found.message.contains("a whole number from 1 to 100"), "{}", found.message);
    }
}

#[test]
fn the_service_and_its_surroundings_are_checked() {
    let text = with("service: shop", "service: My_Shop").replace("127.0.0.1:8080", "8080")
        + "health: { path: health, every: 1ms, healthy_after: 0 }\nsticky: { cookie: a, header: b }\n"
        + "shield: { timeout: 2m, errors: most, header: off }\nbalance: round_robin\n"
        + "timeouts: { total: 10s }\n";
    insta::assert_snapshot!(refused(&text));
}

#[test]
fn a_secret_in_the_plan_is_refused_and_never_shown() {
    let report = refused(&format!(
        "{LEAST}notify: [ {{ webhook: \"ftp://example.com\", secret: hunter2-and-more }} ]\n"
    ));
    assert!(!report.contains("hunter2"));
    insta::assert_snapshot!(report);
}

#[test]
fn text_that_is_no_yaml_has_one_finding() {
    insta::assert_snapshot!(refused("service: shop\nstages: [a, {b: 1]\nbake: 1d\n"));
}

#[test]
fn what_someone_should_look_at_is_a_warning() {
    let text = LEAST
        .replace("127.0.0.1", "0.0.0.0")
        .replace("for: 10m, gates: { error_rate: below 1% }", "for: 1m")
        .replace(
            "  - { name: all,",
            "  - { name: most, traffic: 90%, for: 10m, gates: { error_rate: below 1% } }\n  - { name: all,",
        );
    let (_, warnings) = plan(&text);
    assert!(warnings.iter().all(|finding| finding.severity == Severity::Warning));
    insta::assert_snapshot!(render("sluice.yaml", &text, &warnings, false));
}

#[test]
fn colour_is_added_only_when_asked_for() {
    let found = read("sluice.yaml", "").expect_err("nothing is no plan");
    assert!(render("sluice.yaml", "", &found, true).contains('\u{1b}'));
    assert!(!render("sluice.yaml", "", &found, false).contains('\u{1b}'));
}

#[test]
fn success_and_failure_are_two_sides_of_one_share() {
    let gates = |text: &str| plan(text).0.stages[0].gates.clone();
    let failures = gates(LEAST);
    let successes = gates(&with("error_rate: below 1%", "success_rate: above 99%"));
    assert_eq!(failures[0].test, successes[0].test);
}

#[test]
fn only_guardrails_that_ask_about_stable_are_hard_to_judge() {
    for (stage, hard) in [
        ("traffic: 50%, for: 10m, gates: { error_rate: below 1% }", false),
        ("traffic: 51%, for: 10m, gates: { error_rate: below 1% }", true),
        ("traffic: 99%, for: 10m, gates: { error_rate: { limit: below 1%, then: hold } }", false),
        ("traffic: 99%, for: 10m, rollback_when: { error_rate: above 10% for 5m }", false),
    ] {
        let text = with("traffic: 5%, for: 10m, gates: { error_rate: below 1% }", stage);
        assert_eq!(codes(&text).contains(&"stage-hard-to-judge"), hard, "{stage}");
    }
}

#[test]
fn bounds_are_part_of_what_is_allowed() {
    for (line, code) in [
        ("forgive: 100ms", None),
        ("forgive: 99ms", Some("out-of-range")),
        ("drain: 1h", None),
        ("drain: 61m", Some("out-of-range")),
        ("min_requests: 0", Some("invalid-number")),
        ("min_requests: 1", None),
        ("false_pass_rate: 0%", Some("out-of-range")),
        ("false_pass_rate: 50%", None),
        ("sticky: address", None),
        ("sticky: adress", Some("sticky")),
        ("shield: off", None),
        ("shield: on", Some("shield")),
        ("shield: { timeout: 59s, body_limit: 16777216, errors: all, header: on }", None),
        ("shield: { timeout: 60s }", Some("shield-timeout")),
        ("timeouts: { first_byte: 4s }", None),
        ("shield: { body_limit: 16777217 }", Some("invalid-number")),
        ("shield: { errors: some }", Some("shield")),
        ("health: health", Some("health-path")),
        ("bake: 90d", None),
        ("bake: 91d", Some("out-of-range")),
    ] {
        assert_eq!(codes(&format!("{LEAST}{line}\n")), Vec::from_iter(code), "{line}");
    }
}

/// The snapshots above hold a finding of every code, and the reference lists every code.
#[test]
fn every_code_is_shown_here_and_listed_in_the_reference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = read_text(&root.join("../../docs/plan.md"));
    let (_, table) = reference.split_once("## Findings").expect("the reference lists findings");
    let listed = table.lines().filter_map(|line| {
        let (code, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (severity, _) = rest.split_once(" |")?;
        Some(format!("{severity}[{code}]"))
    });
    let snapshots = fs::read_dir(root.join("tests/it/snapshots")).expect("there are snapshots");
    let reports = snapshots.map(|entry| read_text(&entry.expect("a snapshot").path()));
    let shown = reports.flat_map(|report| {
        let heads = report.lines().filter_map(|line| line.split_once("]: "));
        heads.map(|(head, _)| format!("{head}]")).collect::<Vec<_>>()
    });
    let shown = shown.filter(|head| head.starts_with("error[") || head.starts_with("warning["));
    assert_eq!(listed.collect::<BTreeSet<_>>(), shown.collect::<BTreeSet<_>>());
}

/// Pieces a plan is made of, to break it with.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ \\-:{}\\[\\]&*!|>'\"%@#,a-z0-9\n]{0,6}",
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        Just("<<: *a\n".to_owned()),
        Just("\u{feff}é\u{0}".to_owned()),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        let _ = read("sluice.yaml", &text).map_err(|found| render("sluice.yaml", &text, &found, false));
    }

    #[test]
    fn no_change_to_a_plan_makes_the_reader_panic(
        at in any::<prop::sample::Index>(),
        cut in 0_usize..40,
        piece in piece(),
    ) {
        let start = at.index(ANALYZER.len());
        let end = (start + cut).min(ANALYZER.len());
        let (Some(before), Some(after)) = (ANALYZER.get(..start), ANALYZER.get(end..)) else { return Ok(()) };
        let text = format!("{before}{piece}{after}");
        match read("sluice.yaml", &text) {
            Ok((plan, _)) => prop_assert!(plan.stages.iter().all(|stage| stage.weight.steps() > 0)),
            Err(found) => {
                prop_assert!(found.iter().any(|finding| finding.severity == Severity::Error));
                let report = render("sluice.yaml", &text, &found, false);
                prop_assert!(found.iter().all(|finding| report.contains(finding.code)));
            }
        }
    }
}

#[test]
fn an_address_may_speak_tls() {
    let (plan, warnings) = plan(&with(
        "listen: 127.0.0.1:8080",
        "listen: { address: \"0.0.0.0:443\", tls: { certificate: /etc/shop.pem, key: /etc/shop.key } }",
    ));
    assert_eq!(
        warnings.iter().map(|found| found.code).collect::<Vec<_>>(),
        ["listen-not-loopback"]
    );
    assert_eq!(plan.listen, "0.0.0.0:443");
    insta::assert_json_snapshot!(plan.door);
    let text = with(
        "listen: 127.0.0.1:8080",
        "listen: { address: \"8080\", tls: { certificate: shop.pem, kee: /etc/shop.key } }",
    );
    insta::assert_snapshot!(refused(&text));
}

#[test]
fn requests_may_be_limited_in_size() {
    let limits = |limits: &str| format!("{LEAST}limits: {limits}\n");
    let (plan, warnings) = plan(&limits("{ head: 8KiB, fields: 50, body: 10 MiB }"));
    assert_eq!(warnings, []);
    let read = plan.door.limits;
    assert_eq!((read.head, read.fields, read.body), (8_192, 50, Some(10_485_760)));
    insta::assert_snapshot!(refused(&limits("{ head: 2GiB, fields: 0, body: 10MB }")));
    insta::assert_snapshot!(refused(&limits("{ head: 100, body: 1.5MiB }")));
}

#[test]
fn those_in_front_are_named_as_networks() {
    let listen = |networks: &str| {
        let from = format!("proxy_protocol_from: [{networks}], forwarded_from: [{networks}]");
        with(
            "listen: 127.0.0.1:8080",
            &format!("listen: {{ address: \"127.0.0.1:8080\", {from} }}"),
        )
    };
    let (plan, warnings) = plan(&listen("10.0.0.0/8, \"fd00::/8\", 192.168.1.1"));
    assert_eq!(warnings, []);
    insta::assert_json_snapshot!(plan.door);
    insta::assert_snapshot!(refused(&listen("10.1.0.0/8, everybody")));
}

#[test]
fn a_route_is_for_hosts_and_paths() {
    let (read, _) = plan(&with(
        "run:",
        "route: { hosts: [Shop.example, \"*.shop.example\", shop.example], paths: [/api] }\nrun:",
    ));
    assert_eq!(read.route.hosts, ["shop.example", "*.shop.example"]);
    assert_eq!(read.route.paths, ["/api"]);
    insta::assert_snapshot!(refused(&with(
        "run:",
        "route: { hosts: [\"https://shop.example:80/x\", \"*\"], paths: [api/, /a/../b, /x*] }\nrun:",
    )));
    assert_eq!(codes(&with("run:", "route: { hosts: [] }\nrun:")), ["route-host"]);
    assert_eq!(codes(&with("run:", "route: { host: a }\nrun:")), ["unknown-key"]);
}

#[test]
fn plans_that_cannot_be_in_force_at_once_are_told_so_where_the_route_stands() {
    let of = |service: &str, route: &str| {
        with("run:", &format!("{route}run:"))
            .replace("service: shop", &format!("service: {service}"))
    };
    let found = |text: &str, other: &str| at_odds("b.yaml", text, &plan(text).0, &plan(other).0);
    let (shop, api) = (of("shop", ""), of("api", "route: { paths: [/api] }\n"));
    assert_eq!(found(&shop, &api), None);
    assert_eq!(found(&shop, &shop), None, "two plans of one service");
    let same = found(&of("other", "route: { paths: [/api] }\n"), &api).unwrap();
    assert_eq!((same.code, same.line), ("address-shared", 3));
    assert_eq!(
        same.message,
        "other cannot share 127.0.0.1:8080 with api: both are for /api of any host"
    );
    let text = of("other", "");
    let bare = found(&text, &shop).unwrap();
    insta::assert_snapshot!(render("b.yaml", &text, std::slice::from_ref(&bare), false));
    assert_eq!((bare.path.as_str(), bare.line), ("listen", 2));
}

#[test]
fn testers_and_segments_are_read_as_meant() {
    let text = with(
        "run:",
        "testers: { header: X-Sluice-Canary, secret: \"env:TESTERS\" }
segments:
  always: [{ header: X-Tenant, in: [a, b] }]
  never: [{ cookie: plan, in: [enterprise] }]
run:",
    );
    let (read, warnings) = plan(&text);
    assert_eq!(warnings, []);
    insta::assert_json_snapshot!((read.testers, read.segments));
    insta::assert_snapshot!(refused(&with(
        "run:",
        "testers: { header: Cookie, secret: hunter2hunter2hunter2 }
segments: { always: [{ in: [a] }, { header: x y, in: [] }], never: [{ header: a, cookie: b, in: [c] }] }
run:",
    )));
    let of = |line: &str| codes(&with("run:", &format!("{line}\nrun:")));
    assert_eq!(of("testers: { header: \"x y\", secret: \"env:A\" }"), ["testers"]);
    assert_eq!(of("testers: { header: X-Forwarded-For, secret: \"env:A\" }"), ["testers"]);
    assert_eq!(of("testers: { header: X-A }"), ["missing-key"]);
    assert_eq!(of("segments: { sometimes: [] }"), ["unknown-key"]);
}
