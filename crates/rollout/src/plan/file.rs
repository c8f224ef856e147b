//! The plan as written: which keys there are, what they hold, what an editor says of them.
//!
//! These types are the one list of keys. The JSON Schema is derived from them
//! ([`super::schema`]), and a plan's shape is checked against it ([`super::shape`]); their comments are what editors
//! show. What the values mean is read from the text's own tree, which knows every place.

use std::collections::BTreeMap;

use schemars::JsonSchema;

/// How a release of one service reaches its users.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// The service's name: a lower-case letter, then lower-case letters, digits and `-`, at most 40.
    #[schemars(regex(pattern = "^[a-z][a-z0-9-]{0,39}$"), example = &"analyzer")]
    pub service: String,
    /// The address the proxy takes the service's traffic on, `host:port`, or a map with it.
    pub listen: ListenForm,
    /// Which requests on that address are the service's, where several services share it.
    /// Default: all that no other service there is for.
    pub route: Option<RouteFile>,
    /// How a version is run.
    pub run: RunFile,
    /// How a version is asked whether it is well: a path, or a map. Default: `/` every second.
    pub health: Option<HealthForm>,
    /// What ties a request to a user, so that the user stays on one side. Default: `{ cookie: sluice_id }`.
    pub sticky: Option<StickyForm>,
    /// Whose requests meet the new release, or stable, because they ask for it. Default: nobody.
    pub testers: Option<TestersFile>,
    /// Who meets the new release before all others, or not while it is new. Default: nobody.
    pub segments: Option<SegmentsFile>,
    /// How long each part of a request may take.
    pub timeouts: Option<TimeoutsFile>,
    /// How stable answers what the new release fails, where a request may be sent twice: a map,
    /// or `off`. Default: on.
    pub shield: Option<ShieldForm>,
    /// How large a request may be.
    pub limits: Option<LimitsFile>,
    /// How requests are spread over the upstreams of a version. Default: `least-request`.
    pub balance: Option<BalanceWord>,
    /// How long requests in flight may still take when a version leaves. Default: `30s`.
    pub drain: Option<Length>,
    /// The stages, in order: traffic rises from one to the next and ends at 100 %.
    #[schemars(length(min = 1))]
    pub stages: Vec<StageFile>,
    /// How long the new release serves everyone while the old one is kept ready. Default: `0s`.
    pub bake: Option<Length>,
    /// How long a stage that is past its time may hold before a person is asked. Default: `24h`.
    pub hold_limit: Option<Length>,
    /// The longest burst of failures that does not count as a broken version, unless it fails so
    /// many requests that the guard acts: from a quarter of them on. Default: `10s`.
    pub forgive: Option<Length>,
    /// No stage ends on fewer requests to the canary than this. Default: 100.
    pub min_requests: Option<u64>,
    /// How often a healthy release may be rolled back, over the whole rollout. Default: `1%`.
    pub false_rollback_rate: Option<Share>,
    /// How often a stage may pass although its gate is not kept. Default: `5%`.
    pub false_pass_rate: Option<Share>,
    /// Who is told.
    pub notify: Option<Vec<NotifyFile>>,
}

/// How a version is run.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// Program and arguments, split into words as a shell would; no shell runs. `{version}` and
    /// `{port}` are filled in.
    #[schemars(example = &"./analyzer --version {version} --port {port}")]
    pub command: CommandForm,
    /// Variables set for it, besides `PORT` and `SLUICE_VERSION`. `{version}` and `{port}` are filled in.
    pub env: Option<BTreeMap<String, String>>,
    /// The folder it runs in; relative to the plan file's own.
    pub directory: Option<String>,
    /// How long it may take until its health check answers. Default: `30s`.
    pub ready_within: Option<Length>,
    /// What it speaks: `http1`, or `h2c` (HTTP/2 without TLS), which gRPC needs. Default: `http1`.
    pub protocol: Option<ProtocolWord>,
    /// How many processes of it run at once, each with a port of its own: 1 to 100. Default: 1.
    #[schemars(range(min = 1, max = 100))]
    pub replicas: Option<u32>,
}

/// How requests are spread over the upstreams of a version.
#[derive(Debug, JsonSchema)]
pub enum BalanceWord {
    /// To the one with fewer requests under way of two drawn by lot.
    #[serde(rename = "least-request")]
    LeastRequest,
    /// To each in turn.
    #[serde(rename = "round-robin")]
    RoundRobin,
}

/// What a version speaks.
#[derive(Debug, JsonSchema)]
pub enum ProtocolWord {
    /// HTTP/1.1.
    #[serde(rename = "http1")]
    Http1,
    /// HTTP/2 without TLS, with prior knowledge.
    #[serde(rename = "h2c")]
    H2c,
}

/// An address, or an address and how connections to it are taken in.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum ListenForm {
    /// `127.0.0.1:8080`
    Address(#[schemars(regex(pattern = ":[0-9]+$"), example = &"127.0.0.1:8080")] String),
    /// `{ address: "0.0.0.0:443", tls: { ... } }`
    Map(ListenFile),
}

/// An address and how connections to it are taken in.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenFile {
    /// `host:port`.
    #[schemars(regex(pattern = ":[0-9]+$"), example = &"0.0.0.0:443")]
    pub address: String,
    /// Speaks TLS, 1.2 or 1.3, with HTTP/2 and HTTP/1.1 inside. Default: no TLS.
    pub tls: Option<TlsFile>,
    /// Networks and addresses that begin each connection with a header of the PROXY protocol,
    /// version 1 or 2, as load balancers do. Default: nobody.
    pub proxy_protocol_from: Option<Vec<String>>,
    /// Networks and addresses whose `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` are
    /// believed. Default: nobody.
    pub forwarded_from: Option<Vec<String>>,
}

/// A certificate and its key: files where the proxy runs, read again when they change.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsFile {
    /// PEM: the server's certificate first, then those that lead to a root. An absolute path.
    #[schemars(regex(pattern = "^/"), example = &"/etc/ssl/shop.pem")]
    pub certificate: String,
    /// PEM: its private key. An absolute path.
    #[schemars(regex(pattern = "^/"), example = &"/etc/ssl/shop.key")]
    pub key: String,
}

/// Which requests on an address are a service's. The longest host comes first, then the longest
/// path.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteFile {
    /// Hosts: `shop.example`, or `*.shop.example` for every name below it. Default: any.
    #[schemars(length(min = 1))]
    pub hosts: Option<Vec<String>>,
    /// Paths: `/api` is for itself and for all below it. Default: all.
    #[schemars(length(min = 1))]
    pub paths: Option<Vec<String>>,
}

/// One text, or its words.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum CommandForm {
    /// `./analyzer --port {port}`
    Text(String),
    /// `[./analyzer, --port, "{port}"]`
    Words(Vec<String>),
}

/// A path, or everything about the health check.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum HealthForm {
    /// The path asked with GET.
    Path(#[schemars(regex(pattern = "^/"))] String),
    /// Everything.
    Map(HealthFile),
}

/// How a version is asked whether it is well; 2xx and 3xx are good answers.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthFile {
    /// The path asked with GET. Default: `/`.
    #[schemars(regex(pattern = "^/"), example = &"/health")]
    pub path: Option<String>,
    /// How often. Default: `1s`.
    pub every: Option<Length>,
    /// How long an answer may take. Default: `1s`.
    pub timeout: Option<Length>,
    /// So many good answers in a row make a version healthy. Default: 1.
    pub healthy_after: Option<u64>,
    /// So many bad answers in a row make it unhealthy. Default: 3.
    pub unhealthy_after: Option<u64>,
}

/// `address`, or a cookie or header that holds the user.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum StickyForm {
    /// `address`: the client's address.
    Word(#[schemars(regex(pattern = "^address$"))] String),
    /// A cookie or a header.
    Map(StickyFile),
}

/// A cookie or a header; one of the two.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct StickyFile {
    /// The cookie; where a request has none, the proxy sets one.
    pub cookie: Option<String>,
    /// The header; requests without it fall back to the client's address.
    pub header: Option<String>,
}

/// Testers: a request that carries the secret meets the new release at any share, also at none;
/// one that carries `stable` and the secret meets stable. Neither is evidence.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestersFile {
    /// The header that carries the secret. It is taken out of every request.
    #[schemars(example = &"X-Sluice-Canary")]
    pub header: String,
    /// Where the secret is: `env:NAME` or `file:PATH`, 16 characters or more; never the secret itself.
    #[schemars(regex(pattern = "^(env|file):."), example = &"env:TESTERS")]
    pub secret: String,
}

/// Users who are on one side whatever their share. They are no evidence.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SegmentsFile {
    /// They meet the new release as soon as anybody does.
    pub always: Option<Vec<SegmentFile>>,
    /// They do not while it is new; this comes before `always`.
    pub never: Option<Vec<SegmentFile>>,
}

/// Users who say one of these values in a header or a cookie; one of the two.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SegmentFile {
    /// The header.
    pub header: Option<String>,
    /// The cookie.
    pub cookie: Option<String>,
    /// The values, compared byte by byte.
    #[schemars(length(min = 1))]
    pub r#in: Vec<String>,
}

/// How long each part of a request may take.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeoutsFile {
    /// Reading the request's head. Default: `10s`.
    pub head: Option<Length>,
    /// Connecting to the version. Default: `1s`.
    pub connect: Option<Length>,
    /// From the request sent to the response's first byte. Default: `60s`.
    pub first_byte: Option<Length>,
    /// Between two pieces of a body, and of a kept connection that does nothing. Default: `60s`.
    pub idle: Option<Length>,
    /// A whole request, from its head to the last byte of its answer. Default: no limit.
    pub total: Option<Length>,
}

/// `off`, or how stable answers what the new release fails.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum ShieldForm {
    /// `off`: what the new release fails is failed.
    Word(#[schemars(regex(pattern = "^off$"))] String),
    /// Everything.
    Map(ShieldFile),
}

/// How stable answers what the new release fails.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShieldFile {
    /// After so long without an answer stable is asked as well, and whoever answers first
    /// serves; less than `timeouts.first_byte`. Default: `5s`, or half of that where it is shorter.
    pub timeout: Option<Length>,
    /// The largest request body that is kept to be sent again, in bytes. Default: 65536.
    pub body_limit: Option<u64>,
    /// Which answers of the new release are kept from the client: `gateway` (502, 503, 504) or
    /// `all` (every 5xx). Default: `gateway`.
    #[schemars(regex(pattern = "^(gateway|all)$"))]
    pub errors: Option<String>,
    /// Whether stable's answers in its place carry `Sluice-Shielded: 1`: `on` or `off`. Default: `off`.
    #[schemars(regex(pattern = "^(on|off)$"))]
    pub header: Option<String>,
}

/// How large a request may be.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsFile {
    /// Its head; a larger one is answered with 431. Default: `64KiB`.
    #[schemars(example = &"64KiB")]
    pub head: Option<String>,
    /// Its header fields; more are answered with 431. Default: 100.
    pub fields: Option<u64>,
    /// Its body; a larger one is answered with 413. Default: no limit.
    #[schemars(example = &"10MiB")]
    pub body: Option<String>,
}

/// One exposure, how long it soaks, and what must hold meanwhile.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageFile {
    /// The name, unique in the plan.
    #[schemars(regex(pattern = "^[a-z][a-z0-9-]{0,39}$"), example = &"canary")]
    pub name: String,
    /// Who may meet the new release, in steps of 0.001 %; `0%` with `mirror`.
    pub traffic: Share,
    /// Of how many safe requests the new release gets a copy while it has no traffic.
    pub mirror: Option<Share>,
    /// Time with traffic the stage lasts at least. Only the last stage may leave it out.
    pub r#for: Option<Length>,
    /// What must hold all through the stage.
    pub gates: Option<Gates>,
    /// What must not go on for long.
    pub rollback_when: Option<Breaches>,
}

/// Conditions that must hold, by metric.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// Failed requests of all: `below 1%`, `below stable + 0.5%`, `no worse than stable`.
    #[schemars(example = &"below 1%")]
    pub error_rate: Option<GateForm>,
    /// Requests that did not fail, of all: `above 99%`, `above stable - 0.5%`, `no worse than stable`.
    #[schemars(example = &"above 99%")]
    pub success_rate: Option<GateForm>,
    /// Half of the requests are faster: `below 50ms`.
    pub p50: Option<GateForm>,
    /// 90 % of the requests are faster: `below 100ms`.
    pub p90: Option<GateForm>,
    /// 95 % of the requests are faster: `below 150ms`.
    pub p95: Option<GateForm>,
    /// 99 % of the requests are faster: `below 200ms`.
    pub p99: Option<GateForm>,
    /// 99.9 % of the requests are faster: `below 500ms`.
    pub p999: Option<GateForm>,
}

/// A condition, or a condition and what happens when it is broken.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum GateForm {
    /// `below 1%`
    Text(Condition),
    /// `{ limit: below 1%, then: hold }`
    Map(GateFile),
}

/// A condition and what happens when it is broken.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateFile {
    /// The condition: `below 1%`.
    pub limit: Condition,
    /// Counts as broken only after so long without a break.
    pub breached_for: Option<Length>,
    /// What a broken gate does. Default: `roll back`.
    pub then: Option<ThenWord>,
}

/// What a broken gate does.
#[derive(Debug, JsonSchema)]
pub enum ThenWord {
    /// Roll back.
    #[serde(rename = "roll back")]
    RollBack,
    /// The stage does not end while the gate is broken.
    #[serde(rename = "hold")]
    Hold,
    /// Tell a person, who decides.
    #[serde(rename = "alert")]
    Alert,
}

/// Conditions that must not go on for long, by metric.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Breaches {
    /// `above 10% for 5m`
    #[schemars(example = &"above 10% for 5m")]
    pub error_rate: Option<Condition>,
    /// `below 90% for 5m`
    pub success_rate: Option<Condition>,
    /// `above 100ms for 5m`
    pub p50: Option<Condition>,
    /// `above 200ms for 5m`
    pub p90: Option<Condition>,
    /// `above 300ms for 5m`
    pub p95: Option<Condition>,
    /// `above 400ms for 5m`
    pub p99: Option<Condition>,
    /// `above 1s for 5m`
    pub p999: Option<Condition>,
}

/// A receiver of webhooks.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyFile {
    /// Where to POST.
    #[schemars(regex(pattern = "^https?://"), example = &"https://example.com/hook")]
    pub webhook: String,
    /// Where the signing secret is: `env:NAME` or `file:PATH`; never the secret itself.
    #[schemars(regex(pattern = "^(env|file):."), example = &"env:HOOK_SECRET")]
    pub secret: Option<String>,
}

/// A length of time: `200ms`, `30s`, `5m`, `1h 30m`, `7d`.
#[derive(Debug, JsonSchema)]
#[schemars(inline, example = &"5m")]
pub struct Length(
    #[schemars(regex(pattern = r"^[0-9.]+ *(ms|s|m|h|d)( *[0-9.]+ *(ms|s|m|h))*$"))] pub String,
);

/// A percentage: `1%`, `0.5%`.
#[derive(Debug, JsonSchema)]
#[schemars(inline, example = &"1%")]
pub struct Share(#[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)? *%$"))] pub String);

/// A condition that reads aloud: `below 1%`, `below 200ms`, `above 99%`, `no worse than stable`.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub struct Condition(#[schemars(regex(pattern = "^(below|above|no worse than) "))] pub String);
