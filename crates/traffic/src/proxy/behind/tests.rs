use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use http::Request;
use rollout::route::Limits;

use super::super::route::Times;
use super::*;

/// A service for these hosts and paths.
fn service(name: &str, hosts: &[&str], paths: &[&str]) -> Arc<Slot> {
    let none = Duration::ZERO;
    let time = Times { head: none, connect: none, first_byte: none, idle: none };
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let route = Route { hosts: owned(hosts), paths: owned(paths) };
    let state = ServiceState { route, ..ServiceState::closed(none, time, Limits::default()) };
    let state = ArcSwap::from_pointee(state);
    Arc::new(Slot { name: Arc::from(name), state, unserved: AtomicU64::new(0) })
}

/// Whom a request is for.
fn asked(behind: &Behind, host: &str, path: &str) -> Result<String, Lost> {
    let request = Request::get(path).header(HOST, host).body(()).unwrap();
    behind.find(&request.into_parts().0).map(|slot| slot.name.to_string())
}

#[test]
fn the_longest_host_comes_first_and_then_the_longest_path() {
    let behind = Behind::new(vec![
        service("web", &["shop.example"], &[]),
        service("tenants", &["*.shop.example"], &["/"]),
        service("api", &["shop.example"], &["/api"]),
        service("v2", &[], &["/api/v2"]),
        service("rest", &[], &[]),
    ]);
    for (host, path, name) in [
        ("shop.example", "/", "web"),
        ("shop.example", "/api", "api"),
        ("SHOP.example:8080", "/api/x?y=/z", "api"),
        ("shop.example", "/apix", "web"),
        ("shop.example", "/api/v2/x", "api"),
        ("a.shop.example", "/api/v2", "tenants"),
        ("other.example", "/api/v2/", "v2"),
        ("other.example", "/api", "rest"),
        ("", "/api/v2", "v2"),
    ] {
        assert_eq!(asked(&behind, host, path).unwrap(), name, "{host} {path}");
    }
}

#[test]
fn a_host_without_a_path_that_fits_leaves_the_request_to_the_next_one() {
    let behind = Behind::new(vec![
        service("api", &["shop.example"], &["/api"]),
        service("files", &["*.example"], &["/files"]),
        service("admin", &[], &["/admin"]),
    ]);
    assert_eq!(asked(&behind, "shop.example", "/files/1").unwrap(), "files");
    assert_eq!(asked(&behind, "shop.example", "/admin").unwrap(), "admin");
    assert_eq!(asked(&behind, "shop.example", "/"), Err(Lost::Nowhere));
    assert_eq!(asked(&behind, "example", "/files"), Err(Lost::Nowhere));
}

#[test]
fn a_path_that_leads_here_and_there_leads_nowhere() {
    let behind = Behind::new(vec![
        service("rest", &[], &[]),
        service("admin", &[], &["/admin"]),
        service("deep", &[], &["/admin/deep"]),
    ]);
    for path in [
        "/%61dmin",
        "//admin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/x/..;/admin",
        "/admin;x/y",
        "/admin%2fy",
        "/admin//deep",
        "/admin/deep%2f..",
        "/./x",
    ] {
        assert_eq!(asked(&behind, "a", path), Err(Lost::Doubtful), "{path}");
    }
    for (path, name) in [
        ("/%78", "rest"),
        ("/files/a%2fb", "rest"),
        ("/admin/a%2fb", "admin"),
        ("/admin/a;v=1//b", "admin"),
        ("/admin/deep/%2561", "deep"),
        ("/.well-known/x", "rest"),
    ] {
        assert_eq!(asked(&behind, "a", path).unwrap(), name, "{path}");
    }
}

#[test]
fn where_paths_decide_nothing_every_path_goes_on_as_it_came() {
    let one = Behind::new(vec![service("shop", &[], &[])]);
    let two = Behind::new(vec![service("shop", &["a"], &[]), service("blog", &["b"], &[])]);
    for path in ["/x/../admin", "//x", "/%2e%2e/x"] {
        assert_eq!(asked(&one, "a", path).unwrap(), "shop");
        assert_eq!(asked(&two, "b", path).unwrap(), "blog");
    }
}

#[test]
fn who_is_for_the_same_requests_gives_way_to_who_came_first() {
    let behind =
        Behind::new(vec![service("new", &[], &["/a"]), service("old", &[], &["/a", "/b"])]);
    assert_eq!(asked(&behind, "x", "/a").unwrap(), "new");
    assert_eq!(asked(&behind, "x", "/b").unwrap(), "old");
}
