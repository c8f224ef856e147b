//! Which requests on a listen address are a service's.

use serde::{Deserialize, Serialize};

use super::DoorRoute;

/// Which requests on its address a service is for. The default is for all that no other
/// service there is for.
///
/// The host that says most comes first: a name, then the longest `*.name`, then any. Among the
/// services of that host the longest path that is the request's, or that the request's is
/// below, decides; where none is, the next host is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// Hosts, in lower case and without a port: `shop.example`, or `*.shop.example` for every
    /// name below it. None stands for any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Paths: `/api` is for itself and for all below it, `/api/x`, but not for `/apix`. None
    /// stands for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

impl Route {
    /// The hosts; `None` is any.
    pub fn hosts(&self) -> impl Iterator<Item = Option<&str>> {
        let any = self.hosts.is_empty().then_some(None);
        any.into_iter().chain(self.hosts.iter().map(|host| Some(host.as_str())))
    }

    /// The paths; `/` is all.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let all = self.paths.is_empty().then_some("/");
        all.into_iter().chain(self.paths.iter().map(String::as_str))
    }

    /// What of it can be no host or no path, as a fragment; `None` when it can be used.
    pub fn fault(&self) -> Option<String> {
        let host = self.hosts.iter().find(|host| !is_host(host));
        let path = self.paths.iter().find(|path| !is_path(path));
        host.map(|host| format!("is for {host:?}, which is no host"))
            .or_else(|| path.map(|path| format!("is for {path:?}, which is no path")))
    }

    /// A host and path that `before` was for and this is not, whatever other services are for.
    pub fn lacks(&self, before: &Self) -> Option<String> {
        let any = self.hosts.is_empty();
        let has_host = |host: Option<&str>| any || self.hosts().any(|own| own == host);
        let has_path = |path: &str| {
            let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
            let leads = |own: &str| own == "/" || path.strip_prefix(own).is_some_and(is_below);
            self.paths().any(leads)
        };
        let host = before.hosts().find(|host| !has_host(*host));
        let path = before.paths().find(|path| !has_path(path));
        match (host, path) {
            (None, None) => None,
            (Some(host), path) => Some(reads(host, path.unwrap_or("/"))),
            (None, Some(path)) => Some(path.to_owned()),
        }
    }

    /// A host and path that both are for, as people read it.
    pub fn overlap(&self, other: &Self) -> Option<String> {
        let host = self.hosts().find(|host| other.hosts().any(|same| same == *host))?;
        let path = self.paths().find(|path| other.paths().any(|same| same == *path))?;
        Some(reads(host, path))
    }
}

/// A host and a path, as people read them.
fn reads(host: Option<&str>, path: &str) -> String {
    match (host, path) {
        (None, "/") => "everything".to_owned(),
        (None, path) => format!("{path} of any host"),
        (Some(host), "/") => host.to_owned(),
        (Some(host), path) => format!("{host}{path}"),
    }
}

/// Why two services cannot stand behind one listen address, as a fragment about both; `None`
/// when they can.
pub fn conflict(
    (door, route): (&DoorRoute, &Route),
    (other_door, other_route): (&DoorRoute, &Route),
) -> Option<String> {
    if let Some(both) = route.overlap(other_route) {
        return Some(format!("both are for {both}"));
    }
    let (tls, other_tls) = (&door.tls, &other_door.tls);
    if tls.is_some() != other_tls.is_some() {
        return Some("only one of them has `listen.tls`".to_owned());
    }
    let same_host = route.hosts().find(|host| other_route.hosts().any(|same| same == *host));
    if let Some(host) = same_host.filter(|_| tls != other_tls) {
        let host = host.unwrap_or("any host");
        return Some(format!("they differ in `listen.tls` for {host}"));
    }
    let differs = if door.proxy_protocol_from != other_door.proxy_protocol_from {
        "proxy_protocol_from"
    } else if door.forwarded_from != other_door.forwarded_from {
        "forwarded_from"
    } else {
        return None;
    };
    Some(format!("they differ in `listen.{differs}`"))
}

/// Whether `text` names hosts: labels of lower-case letters, digits, `-` and `_`, after `*.`
/// those below; or an IPv6 address in brackets. No port.
pub fn is_host(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return !text.contains(char::is_uppercase)
            && address.parse::<core::net::Ipv6Addr>().is_ok();
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.chars().all(plain);
    name.len() <= 253 && name.split('.').all(label)
}

/// Whether `text` is a path a request can be compared with: `/`, or segments without an
/// empty one, a `.` or `..` alone, and anything that has a second spelling.
pub fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,=:@".contains(c);
    let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.chars().all(plain);
    text == "/" || text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment))
}

#[cfg(test)]
mod tests {
    use super::super::TlsRoute;
    use super::*;

    fn route(hosts: &[&str], paths: &[&str]) -> Route {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Route { hosts: owned(hosts), paths: owned(paths) }
    }

    fn plain() -> DoorRoute {
        DoorRoute::default()
    }

    fn tls(name: &str) -> DoorRoute {
        let (certificate, key) = (format!("/{name}.pem"), format!("/{name}.key"));
        DoorRoute { tls: Some(TlsRoute { certificate, key }), ..DoorRoute::default() }
    }

    #[test]
    fn hosts_are_names_and_paths_have_one_spelling() {
        for host in ["shop.example", "*.shop.example", "localhost", "10.0.0.1", "[::1]", "a_b.x"] {
            assert!(is_host(host), "{host}");
        }
        for host in [
            "",
            "Shop.example",
            "shop.example:80",
            "*",
            "*.",
            "a..b",
            "*shop",
            "a.*.b",
            "[x]",
            "a/b",
        ] {
            assert!(!is_host(host), "{host}");
        }
        for path in ["/", "/api", "/api/v1.2", "/a:b@c"] {
            assert!(is_path(path), "{path}");
        }
        for path in
            ["", "api", "/api/", "//", "/a//b", "/.", "/a/../b", "/a%20b", "/a?b", "/a;b", "/ä"]
        {
            assert!(!is_path(path), "{path}");
        }
    }

    #[test]
    fn services_that_are_for_the_same_requests_are_told_which() {
        let shop = route(&["shop.example", "*.shop.example"], &["/api", "/v2"]);
        for (other, both) in [
            (route(&[], &[]), None),
            (route(&["shop.example"], &[]), None),
            (route(&[], &["/api"]), None),
            (route(&["a.shop.example"], &["/api"]), None),
            (route(&["shop.example"], &["/api/x"]), None),
            (route(&["*.shop.example"], &["/v2"]), Some("*.shop.example/v2")),
        ] {
            assert_eq!(shop.overlap(&other).as_deref(), both, "{other:?}");
            assert_eq!(other.overlap(&shop).as_deref(), both, "{other:?}");
        }
        let all = Route::default();
        assert_eq!(all.overlap(&all).unwrap(), "everything");
        assert_eq!(route(&[], &["/"]).overlap(&all).unwrap(), "everything");
    }

    #[test]
    fn what_a_route_is_no_longer_for_is_told() {
        let before = route(&["shop.example"], &["/api", "/v2"]);
        for (now, lost) in [
            (before.clone(), None),
            (Route::default(), None),
            (route(&["b.example", "shop.example"], &["/api", "/v2", "/v3"]), None),
            (route(&["shop.example"], &["/"]), None),
            (route(&["b.example"], &["/api", "/v2"]), Some("shop.example")),
            (route(&["shop.example"], &["/api"]), Some("/v2")),
            (route(&["shop.example"], &["/api", "/v2/x"]), Some("/v2")),
        ] {
            assert_eq!(now.lacks(&before).as_deref(), lost, "{now:?}");
        }
        let part = route(&["shop.example"], &[]);
        assert_eq!(part.lacks(&Route::default()).as_deref(), Some("everything"));
    }

    #[test]
    fn services_behind_one_address_agree_in_how_connections_are_taken_in() {
        let (api, web) = (route(&["shop.example"], &["/api"]), route(&["shop.example"], &[]));
        let blog = route(&["blog.example"], &[]);
        let of = |door: DoorRoute, route: &Route, other: DoorRoute, other_route: &Route| {
            conflict((&door, route), (&other, other_route)).unwrap_or_default()
        };
        assert_eq!(of(plain(), &api, plain(), &web), "");
        assert_eq!(of(plain(), &web, plain(), &web), "both are for shop.example");
        assert_eq!(of(tls("a"), &api, plain(), &web), "only one of them has `listen.tls`");
        assert_eq!(of(tls("a"), &api, tls("a"), &web), "");
        assert_eq!(of(tls("a"), &api, tls("b"), &blog), "", "each shows its own");
        assert_eq!(
            of(tls("a"), &api, tls("b"), &web),
            "they differ in `listen.tls` for shop.example"
        );
        let behind = DoorRoute {
            forwarded_from: vec!["10.0.0.0/8".parse().unwrap()],
            ..DoorRoute::default()
        };
        assert_eq!(of(behind, &api, plain(), &blog), "they differ in `listen.forwarded_from`");
    }
}
