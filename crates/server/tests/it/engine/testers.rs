//! Testers and their secret, which proxies are told a digest of.

use server::view::RolloutView;

use super::world::World;

#[tokio::test]
async fn testers_are_known_as_long_as_their_secret_is_there() {
    let mut world = World::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("testers");
    let reference = format!("file:{}", path.display());
    world.more = format!("testers: {{ header: X-Try, secret: \"{reference}\" }}\n");
    let refused = world.create("1.0").await.unwrap_err().to_string();
    assert!(refused.starts_with("the testers would not be known: the secret's file"), "{refused}");
    std::fs::write(&path, "too short\n").unwrap();
    let refused = world.create("1.0").await.unwrap_err().to_string();
    assert!(refused.contains("shorter than 16 characters"), "{refused}");
    std::fs::write(&path, "correct horse battery staple\n").unwrap();
    let first = world.create("1.0").await.unwrap();
    world.until(&first, "promoted").await;

    let testers = world.route().testers.unwrap();
    assert_eq!(testers.header, "x-try");
    let digest = "c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a";
    assert_eq!(testers.digest.unwrap(), digest, "and not the secret");
    std::fs::write(&path, "another one that is long\n").unwrap();
    world.until_view(&first, |_| world.route().testers.unwrap().digest.unwrap() != digest).await;
    std::fs::remove_file(&path).unwrap();
    let told = |view: &RolloutView| {
        view.notices.iter().any(|text| text.contains("the testers of ") && text.contains("testers"))
    };
    world.until_view(&first, told).await;
    let testers = world.route().testers.unwrap();
    assert_eq!((&*testers.header, testers.digest), ("x-try", None), "it goes on to nobody");
    world.engine.stop().await;
}
