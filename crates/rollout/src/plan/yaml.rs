//! From text to a tree in which every key and value knows where it was written.
//!
//! The parser's events are used rather than serde, because serde stops at the first error
//! and a plan's author wants all of them. Nothing is guessed from a scalar's looks: `no` and
//! `1.10` stay the text that was written.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError};

use super::findings::Span;

/// The longest plan that is read, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// The most keys, values and lists a plan may hold, aliases written out.
const MAX_NODES: usize = 10_000;
/// The most bytes all texts and paths of a plan may take, aliases written out. Each value holds its
/// own path, so long keys around many values take far more than the text they are written in.
const MAX_HELD: usize = 4 * 1024 * 1024;
/// The longest key, in characters.
const MAX_KEY: usize = 200;
/// How deep maps and lists may be nested.
const MAX_DEPTH: usize = 16;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Where in the plan: `stages[1].gates.p99`; empty for the whole plan.
    pub(super) path: String,
    /// Where in the text.
    pub(super) span: Span,
    /// The value.
    pub(super) kind: Kind,
}

/// What a value is, as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Nothing, `~` or `null`.
    Nothing,
    /// A scalar, unquoted.
    Text(String),
    /// `[a, b]` or lines with `-`.
    List(Vec<Node>),
    /// `key: value`, in the order of the file, duplicates included.
    Map(Vec<Entry>),
}

/// One `key: value` of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) key_span: Span,
    /// The value; its path is the key's too.
    pub(super) value: Node,
}

/// Why a text is no tree.
#[derive(Debug, PartialEq)]
pub(super) struct Broken {
    /// A stable code.
    pub(super) code: &'static str,
    /// What is wrong.
    pub(super) message: String,
    /// Where.
    pub(super) span: Span,
}

impl Node {
    /// The value under `key`, where this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The text, where this is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            Kind::Nothing | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The items, where this is a list; none otherwise.
    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Nothing | Kind::Text(_) | Kind::Map(_) => &[],
        }
    }

    /// The entries, where this is a map; none otherwise.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            Kind::Nothing | Kind::Text(_) | Kind::List(_) => &[],
        }
    }
}

/// Reads one YAML document.
///
/// # Errors
/// The text is no YAML, holds more than one document, a tag, a key that is no text, or more
/// than a plan may.
pub(super) fn parse(text: &str) -> Result<Node, Broken> {
    if text.len() > MAX_BYTES {
        let message = format!("read {} bytes; allowed: at most {MAX_BYTES}", text.len());
        return Err(Broken { code: "plan-too-large", message, span: Span::default() });
    }
    Tree { events: Parser::new_from_str(text), text, anchors: BTreeMap::new(), nodes: 0, held: 0 }
        .document()
}

/// A parser and what it has seen so far.
struct Tree<'t, I> {
    events: I,
    text: &'t str,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    held: usize,
}

impl<'t, I> Tree<'t, I>
where
    I: Iterator<Item = Result<(Event<'t>, granit_parser::Span), ScanError>>,
{
    fn document(mut self) -> Result<Node, Broken> {
        let root = loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd | Event::DocumentEnd, span) => {
                    return Ok(Node { path: String::new(), span, kind: Kind::Nothing });
                }
                (event, span) => break self.node(event, span, "", 0)?,
            }
        };
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(root),
                (_, span) => {
                    return Err(broken("read a second document; allowed: one plan a file", span));
                }
            }
        }
    }

    /// The next event that is no comment.
    fn next(&mut self) -> Result<(Event<'t>, Span), Broken> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, self.span(&span))),
            Some(Err(error)) => Err(self.scan_error(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(
        &mut self,
        event: Event<'t>,
        span: Span,
        path: &str,
        depth: usize,
    ) -> Result<Node, Broken> {
        self.count(span, depth)?;
        self.hold(path.len(), span)?;
        let (kind, end, anchor, tagged) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                self.hold(text.len(), span)?;
                (scalar(&text, style), span, anchor, tag.is_some())
            }
            Event::SequenceStart(_, anchor, tag) => {
                let (items, end) = self.list(path, depth)?;
                (Kind::List(items), end, anchor, tag.is_some())
            }
            Event::MappingStart(_, anchor, tag) => {
                let (entries, end) = self.map(path, depth)?;
                (Kind::Map(entries), end, anchor, tag.is_some())
            }
            _ => {
                let message = "read the end of the text; allowed: a value";
                return Err(broken(message, span));
            }
        };
        let span = span.until(end);
        if tagged {
            return Err(broken("read a tag (`!...`); allowed: plain values", span));
        }
        let node = Node { path: path.to_owned(), span, kind };
        if anchor > 0 {
            self.hold(held(&node), span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// What an anchor stands for. Its size counts once more, so that aliases of aliases
    /// cannot grow without bound.
    fn alias(&mut self, anchor: usize, span: Span) -> Result<Node, Broken> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(broken("read an alias of what is not complete yet", span));
        };
        let (nodes, bytes) = (size(node), held(node));
        self.nodes = self.nodes.saturating_add(nodes);
        self.count(span, 0)?;
        self.hold(bytes, span)?;
        let complete = self.anchors.get(&anchor).cloned();
        complete.ok_or_else(|| broken("read an alias of nothing", span))
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<(Vec<Node>, Span), Broken> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok((items, span));
            }
            let path = format!("{path}[{}]", items.len());
            items.push(self.node(event, span, &path, depth.saturating_add(1))?);
        }
    }

    fn map(&mut self, path: &str, depth: usize) -> Result<(Vec<Entry>, Span), Broken> {
        let mut entries = Vec::new();
        loop {
            let (key, key_span) = match self.next()? {
                (Event::MappingEnd, span) => return Ok((entries, span)),
                (Event::Scalar(key, ..), span) => (key.into_owned(), span),
                (_, span) => {
                    return Err(broken("read a key that is no text; allowed: a word", span));
                }
            };
            self.count(key_span, depth)?;
            if key.chars().count() > MAX_KEY {
                let message =
                    format!("read a key of more than {MAX_KEY} characters; allowed: {MAX_KEY}");
                return Err(Broken { code: "plan-too-large", message, span: key_span });
            }
            self.hold(key.len(), key_span)?;
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let (event, span) = self.next()?;
            let value = self.node(event, span, &path, depth.saturating_add(1))?;
            entries.push(Entry { key, key_span, value });
        }
    }

    fn count(&mut self, span: Span, depth: usize) -> Result<(), Broken> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            let message =
                format!("read more than {MAX_NODES} values; allowed: at most {MAX_NODES}");
            return Err(Broken { code: "plan-too-large", message, span });
        }
        if depth > MAX_DEPTH {
            let message =
                format!("read values nested more than {MAX_DEPTH} deep; allowed: {MAX_DEPTH}");
            return Err(Broken { code: "plan-too-large", message, span });
        }
        Ok(())
    }

    /// Counts bytes that are kept.
    fn hold(&mut self, bytes: usize, span: Span) -> Result<(), Broken> {
        self.held = self.held.saturating_add(bytes);
        if self.held > MAX_HELD {
            let message = format!(
                "read texts and paths of more than {MAX_HELD} bytes, aliases written out; allowed: at most {MAX_HELD}"
            );
            return Err(Broken { code: "plan-too-large", message, span });
        }
        Ok(())
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let range = span.byte_range().unwrap_or_default();
        let written = self.text.get(range.clone()).unwrap_or_default();
        Span { start: range.start, length: written.trim_end().len() }
    }

    fn scan_error(&self, error: &ScanError) -> Broken {
        let start = error.marker().byte_offset().unwrap_or(self.text.len()).min(self.text.len());
        broken(&error.info(), Span { start, length: 0 })
    }
}

fn broken(message: &str, span: Span) -> Broken {
    Broken { code: "invalid-yaml", message: message.to_owned(), span }
}

fn scalar(text: &str, style: ScalarStyle) -> Kind {
    let plain = style == ScalarStyle::Plain;
    match text {
        "" | "~" | "null" if plain => Kind::Nothing,
        _ => Kind::Text(text.to_owned()),
    }
}

fn size(node: &Node) -> usize {
    let inner: usize = match &node.kind {
        Kind::Nothing | Kind::Text(_) => 0,
        Kind::List(items) => items.iter().map(size).fold(0, usize::saturating_add),
        Kind::Map(entries) => entries
            .iter()
            .map(|entry| size(&entry.value).saturating_add(1))
            .fold(0, usize::saturating_add),
    };
    inner.saturating_add(1)
}

/// The bytes of the texts and paths of a value and of all it holds.
fn held(node: &Node) -> usize {
    let inner: usize = match &node.kind {
        Kind::Nothing => 0,
        Kind::Text(text) => text.len(),
        Kind::List(items) => items.iter().map(held).fold(0, usize::saturating_add),
        Kind::Map(entries) => entries
            .iter()
            .map(|entry| held(&entry.value).saturating_add(entry.key.len()))
            .fold(0, usize::saturating_add),
    };
    inner.saturating_add(node.path.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_path_and_its_place() {
        let text = "a: [1, {b: \"two\"}]\n";
        let root = parse(text).unwrap();
        let two = root.get("a").unwrap().items()[1].get("b").unwrap();
        assert_eq!(two.path, "a[1].b");
        assert_eq!(two.text(), Some("two"));
        assert_eq!(&text[two.span.start..two.span.start + two.span.length], "\"two\"");
    }

    #[test]
    fn scalars_stay_what_was_written() {
        let root = parse("a: no\nb: 1.10\nc: ~\nd: 'null'\n").unwrap();
        let read: Vec<_> = root.entries().iter().map(|entry| entry.value.text()).collect();
        assert_eq!(read, [Some("no"), Some("1.10"), None, Some("null")]);
    }

    #[test]
    fn aliases_stand_for_what_they_name() {
        let root = parse("a: &x { p99: below 200ms }\nb: *x\n").unwrap();
        assert_eq!(root.get("b").unwrap().get("p99").unwrap().text(), Some("below 200ms"));
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            text.extend([format!("a{level}: &a{level} [{inner}]\n")]);
        }
        assert_eq!(parse(&text).unwrap_err().code, "plan-too-large");
    }

    #[test]
    fn what_takes_much_memory_though_it_is_short_is_refused() {
        let key = "k".repeat(MAX_KEY);
        let long = format!("{}: 1\n", "k".repeat(MAX_KEY + 1));
        let paths = format!(
            "{}[{}]{}",
            format!("{{{key}: ").repeat(14),
            "x,".repeat(4_000),
            "}".repeat(14)
        );
        let texts = format!("a: &x \"{}\"\nb: [{}]\n", "t".repeat(100_000), "*x,".repeat(50));
        for text in [&long, &paths, &texts] {
            assert!(text.len() < MAX_BYTES);
            assert_eq!(parse(text).unwrap_err().code, "plan-too-large");
        }
        assert!(parse(&format!("{key}: 1\n")).is_ok());
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = format!("a: {}{}", "[".repeat(40), "]".repeat(40));
        assert_eq!(parse(&text).unwrap_err().code, "plan-too-large");
    }

    #[test]
    fn a_second_document_a_tag_and_a_list_as_key_are_refused() {
        for text in ["a: 1\n---\nb: 2\n", "a: !x 1\n", "? [a]\n: 1\n", "a: [1\n", "a: *nobody\n"] {
            assert_eq!(parse(text).unwrap_err().code, "invalid-yaml", "{text}");
        }
    }
}
