//! What holds for some hosts, found by the host a client names.

use std::borrow::Cow;
use std::collections::HashMap;

/// Values by host pattern: `shop.example`, `*.shop.example`, or any.
#[derive(Debug)]
pub(crate) struct ByHost<T> {
    /// `*.shop.example` stands here as `.shop.example`.
    named: HashMap<Box<str>, T>,
    any: Option<T>,
}

impl<T> Default for ByHost<T> {
    fn default() -> Self {
        Self { named: HashMap::new(), any: None }
    }
}

impl<T> ByHost<T> {
    /// What holds for `pattern`, `None` being any host; made by `fresh` where there is nothing.
    pub(crate) fn entry(&mut self, pattern: Option<&str>, fresh: impl FnOnce() -> T) -> &mut T {
        match pattern {
            None => self.any.get_or_insert_with(fresh),
            Some(host) => {
                let key = host.strip_prefix('*').unwrap_or(host);
                self.named.entry(Box::from(key)).or_insert_with(fresh)
            }
        }
    }

    /// Every value.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.named.values_mut().chain(&mut self.any)
    }

    /// Whether all hosts are one.
    pub(crate) fn is_for_any(&self) -> bool {
        self.named.is_empty()
    }

    /// What holds for `host` (see [`bare`]): what says most comes first. The name itself, then
    /// the names it is below, the longest first, then any.
    pub(crate) fn of<'a>(&'a self, host: &str) -> impl Iterator<Item = &'a T> {
        let above = host.match_indices('.').filter_map(|(at, _)| host.get(at..));
        let names = std::iter::once(host).chain(above).filter(|_| !self.named.is_empty());
        names.filter_map(|name| self.named.get(name)).chain(&self.any)
    }
}

/// A host as it is compared: in lower case, without a port and without the root's dot.
pub(crate) fn bare(host: &str) -> Cow<'_, str> {
    let end = match host.rfind(']') {
        Some(bracket) => bracket.saturating_add(1),
        None => host.find(':').unwrap_or(host.len()),
    };
    let name = host.get(..end).unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_that_says_most_comes_first() {
        let mut hosts: ByHost<&str> = ByHost::default();
        for pattern in ["shop.example", "*.shop.example", "*.example"] {
            hosts.entry(Some(pattern), || pattern);
        }
        hosts.entry(None, || "any");
        for (host, found) in [
            ("shop.example", &["shop.example", "*.example", "any"][..]),
            ("a.shop.example", &["*.shop.example", "*.example", "any"]),
            ("a.b.shop.example", &["*.shop.example", "*.example", "any"]),
            ("xshop.example", &["*.example", "any"]),
            ("example", &["any"]),
            ("", &["any"]),
        ] {
            assert_eq!(hosts.of(host).copied().collect::<Vec<_>>(), found, "{host}");
        }
    }

    #[test]
    fn a_host_is_compared_without_its_port_and_case() {
        for (host, name) in [
            ("Shop.Example:8080", "shop.example"),
            ("shop.example.", "shop.example"),
            ("shop.example.:80", "shop.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(bare(host), name);
        }
    }
}
