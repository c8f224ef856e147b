//! Stages of copies, as people write them.

use super::plan::{codes, plan, refused, with};

#[test]
fn a_stage_of_copies_has_no_users_and_no_gates() {
    let of = |stage: &str| {
        let stage = format!("stages:\n  - {{ name: shadow, for: 10m, {stage} }}\n");
        with("stages:\n", &stage)
    };
    let (read, warnings) = plan(&of("traffic: 0%, mirror: 2.5%"));
    assert_eq!(warnings, []);
    let stage = &read.stages[0];
    assert_eq!((stage.weight.steps(), stage.mirror.steps(), stage.mirrors()), (0, 2_500, true));
    assert!(!read.stages[1].mirrors());
    for (stage, code) in [
        ("traffic: 0%", "out-of-range"),
        ("traffic: 0%, mirror: 0%", "out-of-range"),
        ("traffic: 1%, mirror: 10%, gates: { error_rate: below 1% }", "mirror-with-users"),
        ("traffic: 0%, mirror: 10%, gates: { error_rate: below 1% }", "mirror-with-gates"),
        ("traffic: 0%, mirror: 10 %x", "invalid-percentage"),
    ] {
        assert_eq!(codes(&of(stage)), [code], "{stage}");
    }
    let both = "traffic: 1%, mirror: 10%, gates: { error_rate: below 1% }";
    let judged = "traffic: 0%, mirror: 10%, rollback_when: { error_rate: above 10% for 5m }";
    insta::assert_snapshot!([both, judged].map(|stage| refused(&of(stage))).join("\n"));
    let late = with(
        "  - { name: all,",
        "  - { name: shadow, traffic: 0%, mirror: 10%, for: 10m }\n  - { name: all,",
    );
    assert_eq!(codes(&late), ["weights-must-rise"]);
}
