//! Whole sessions as text a user could type; the transcript is the expectation.

#[test]
fn transcripts_come_out_as_written() {
    trycmd::TestCases::new()
        .case("tests/it/transcripts/*.md")
        .env("NO_COLOR", "1")
        // A port of the discard service: nothing listens there.
        .env("SLUICE_URL", "http://127.0.0.1:9");
}
