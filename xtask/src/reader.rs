//! The walk over one file's syntax tree that fills a [`Source`].

use syn::visit::{self, Visit};
use syn::{Attribute, Block, Signature};

use crate::paths;
use crate::source::{Function, Mention, Module, Source};

/// Reads `file` into `source`.
pub(crate) fn read(file: &syn::File, source: &mut Source) {
    let in_test = file.attrs.iter().any(is_test);
    Reader { source, in_test }.visit_file(file);
}

struct Reader<'a> {
    source: &'a mut Source,
    in_test: bool,
}

impl Reader<'_> {
    fn mention(&mut self, parts: Vec<String>, line: usize) {
        if !self.in_test {
            self.source.mentions.push(Mention { parts, line });
        }
    }

    fn function(&mut self, signature: &Signature, body: &Block) {
        if self.in_test {
            return;
        }
        let line = signature.fn_token.span.start().line;
        let last = body.brace_token.span.close().end().line;
        let name = signature.ident.to_string();
        self.source.functions.push(Function { name, line, lines: (last + 1).saturating_sub(line) });
    }

    fn suspends(&mut self, line: usize) {
        if !self.in_test {
            self.source.asyncs.push(line);
        }
    }

    /// Goes on inside, as a test where the attributes say so.
    fn within(&mut self, attributes: &[Attribute], inside: impl FnOnce(&mut Self)) {
        let before = self.in_test;
        self.in_test = before || attributes.iter().any(is_test);
        inside(self);
        self.in_test = before;
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        self.within(attributes_of(item), |reader| {
            visit::visit_item(reader, item);
        });
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.content.is_none() {
            let path = module.attrs.iter().find_map(path_attribute);
            let (name, test) = (module.ident.to_string(), self.in_test);
            self.source.modules.push(Module { name, path, test });
        }
        visit::visit_item_mod(self, module);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.within(&item.attrs, |reader| {
            reader.function(&item.sig, &item.block);
            visit::visit_impl_item_fn(reader, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast Signature) {
        if let Some(token) = &signature.asyncness {
            self.suspends(token.span.start().line);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.suspends(block.async_token.span.start().line);
        visit::visit_expr_async(self, block);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        if let Some(token) = &closure.asyncness {
            self.suspends(token.span.start().line);
        }
        visit::visit_expr_closure(self, closure);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let line = item.use_token.span.start().line;
        for parts in paths::written_out(&item.tree) {
            self.mention(parts, line);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let line = path.segments.first().map_or(0, |first| first.ident.span().start().line);
        self.mention(path.segments.iter().map(|part| part.ident.to_string()).collect(), line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        for (parts, line) in paths::in_tokens(call.tokens.clone()) {
            self.mention(parts, line);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("ignore") {
            self.source.ignored.push(attribute.pound_token.span.start().line);
        }
    }
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]` and `#[cfg(all(test, ...))]`.
fn is_test(attribute: &Attribute) -> bool {
    let path = attribute.path();
    if path.segments.last().is_some_and(|last| last.ident == "test") {
        return true;
    }
    let syn::Meta::List(list) = &attribute.meta else {
        return false;
    };
    let words: Vec<String> =
        paths::in_tokens(list.tokens.clone()).into_iter().flat_map(|(parts, _)| parts).collect();
    let says = |word: &str| words.iter().any(|other| other == word);
    path.is_ident("cfg") && says("test") && !says("not") && !says("any")
}

fn path_attribute(attribute: &Attribute) -> Option<String> {
    let syn::Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    let syn::Expr::Lit(literal) = &pair.value else {
        return None;
    };
    match &literal.lit {
        syn::Lit::Str(text) if pair.path.is_ident("path") => Some(text.value()),
        _ => None,
    }
}

fn attributes_of(item: &syn::Item) -> &[Attribute] {
    use syn::Item;
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
