//! Probes: each says which kernel hook it sits on, in a line a reader can search for.
use super::Finding;
use super::source::{Source, lines};

/// Attribute macros of aya-ebpf that make a function a program.
const PROGRAMS: &[&str] = &[
    "tracepoint",
    "btf_tracepoint",
    "raw_tracepoint",
    "uprobe",
    "uretprobe",
    "kprobe",
    "kretprobe",
    "fentry",
    "fexit",
    "lsm",
    "perf_event",
];

/// A probe's doc comment has a line "Hook: `name`".
pub fn hooks(source: &Source) -> Vec<Finding> {
    let functions = source.syntax.items.iter().filter_map(|item| match item {
        syn::Item::Fn(function) => Some(function),
        _ => None,
    });
    functions
        .filter(|function| is_probe(function) && !names_hook(function))
        .map(|function| {
            let message =
                format!("probe `{}` lacks the doc line \"Hook: `kernel hook`\"", function.sig.ident);
            source.finding(*lines(&function.sig).start(), message)
        })
        .collect()
}

fn is_probe(function: &syn::ItemFn) -> bool {
    function.attrs.iter().any(|attribute| PROGRAMS.iter().any(|program| attribute.path().is_ident(program)))
}

fn names_hook(function: &syn::ItemFn) -> bool {
    function.attrs.iter().any(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => {
                text.value().starts_with(" Hook: `")
            }
            _ => false,
        },
        _ => false,
    })
}
