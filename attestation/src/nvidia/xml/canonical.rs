//! Canonical XML 1.1 (W3C, 2 May 2008) of the XML read here.
//!
//! Why apart: what was signed is this form, not the file.
//!
//! # Invariants
//! For documents without `xml:` attributes, comments, entities and carriage returns, which the reader refuses, 1.1 and 1.0
//! without comments give the same bytes. Nothing needs escaping: `&`, `<`, `>` in text, quotes and line feeds in
//! attributes are refused by the reader too, but for `>` in attributes, which stays.

use super::{Declaration, Element, Node};

/// The canonical form of `apex` and what is below it, without the children of `apex` that are `omitted`.
/// `inherited` are the declarations in scope around it: they are written into `apex` (section 2.4).
pub(crate) fn canonical(
    apex: &Element<'_>,
    inherited: &[Declaration<'_>],
    omitted: fn(&Element<'_>) -> bool,
) -> Vec<u8> {
    let mut out = String::new();
    let mut scope = Vec::new();
    let mut declarations: Vec<Declaration<'_>> = inherited.to_vec();
    let own = |prefix: &str| apex.declarations.iter().any(|(known, _)| *known == prefix);
    declarations.retain(|(prefix, _)| !own(prefix));
    declarations.extend_from_slice(&apex.declarations);
    write(&mut out, apex, declarations, &mut scope, omitted);
    out.into_bytes()
}

/// `scope` are the declarations written by elements around this one, the innermost last.
fn write<'a>(
    out: &mut String,
    element: &'a Element<'a>,
    mut declarations: Vec<Declaration<'a>>,
    scope: &mut Vec<Declaration<'a>>,
    omitted: fn(&Element<'_>) -> bool,
) {
    let outer = scope.len();
    declarations.retain(|(prefix, namespace)| {
        let written = scope.iter().rev().find(|(known, _)| known == prefix);
        written.is_none_or(|(_, written)| written != namespace)
    });
    declarations.sort_unstable();
    out.push('<');
    name(out, element.prefix, element.local);
    for (prefix, namespace) in &declarations {
        out.push_str(" xmlns");
        if !prefix.is_empty() {
            out.push(':');
        }
        out.push_str(prefix);
        value(out, namespace);
    }
    let mut attributes: Vec<_> = element.attributes.iter().collect();
    attributes.sort_unstable_by_key(|attribute| (attribute.namespace, attribute.local));
    for attribute in attributes {
        out.push(' ');
        name(out, attribute.prefix, attribute.local);
        value(out, attribute.value);
    }
    out.push('>');
    scope.extend(declarations);
    for child in &element.children {
        match child {
            Node::Text(text) => out.push_str(text),
            Node::Element(child) if omitted(child) => {}
            // Only children of the apex are omitted.
            Node::Element(child) => write(out, child, child.declarations.clone(), scope, |_| false),
        }
    }
    scope.truncate(outer);
    out.push_str("</");
    name(out, element.prefix, element.local);
    out.push('>');
}

fn name(out: &mut String, prefix: &str, local: &str) {
    out.push_str(prefix);
    if !prefix.is_empty() {
        out.push(':');
    }
    out.push_str(local);
}

fn value(out: &mut String, value: &str) {
    out.push_str("=\"");
    out.push_str(value);
    out.push('"');
}
