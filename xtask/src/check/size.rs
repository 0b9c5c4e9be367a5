//! Sizes: a file and a function fit into a reader's head.
use super::Finding;
use super::source::{Source, is_test_only, lines};
use syn::visit::{self, Visit};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;

/// At most 400 lines, tests not counted.
pub fn file(source: &Source) -> Vec<Finding> {
    let tests: usize =
        source.syntax.items.iter().filter(|item| is_test_only(attributes(item))).map(length).sum();
    let code = source.text.lines().count().saturating_sub(tests);
    if source.is_test() || code <= FILE_LINES {
        return Vec::new();
    }
    vec![source.finding(1, format!("{code} lines without tests, at most {FILE_LINES}: split by noun"))]
}

/// At most 60 lines from `fn` to the closing brace.
pub fn functions(source: &Source) -> Vec<Finding> {
    let mut visitor = Functions { source, findings: Vec::new() };
    if !source.is_test() {
        visitor.visit_file(&source.syntax);
    }
    visitor.findings
}

fn length(element: &impl syn::spanned::Spanned) -> usize {
    let range = lines(element);
    range.end() - range.start() + 1
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

struct Functions<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
}

impl Functions<'_> {
    fn judge(&mut self, attributes: &[syn::Attribute], signature: &syn::Signature, block: &syn::Block) {
        let first = *lines(signature).start();
        let count = lines(block).end() - first + 1;
        if count > FUNCTION_LINES && !is_excused(attributes) {
            let message = format!("`{}` has {count} lines, at most {FUNCTION_LINES}", signature.ident);
            self.findings.push(self.source.finding(first, message));
        }
    }
}

/// `#[expect(clippy::too_many_lines, reason = "...")]` is the way to excuse a function, for clippy and for us.
fn is_excused(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("expect") => {
            list.tokens.to_string().contains("too_many_lines")
        }
        _ => false,
    })
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_only(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test_only(&item.attrs) {
            self.judge(&item.attrs, &item.sig, &item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.judge(&item.attrs, &item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }
}
