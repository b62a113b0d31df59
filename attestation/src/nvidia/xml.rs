//! The part of XML that NVIDIA's RIM files use, and nothing else.
//!
//! Why apart, and why not a library: XML libraries read what a signature must never see (entities, DTDs, processing
//! instructions, encodings), keep no exact bytes or have no C14N, and would be three times this. Everything here is
//! bounded by [`limits`], and the reader accepts only what its canonical form differs from in three ways: order
//! of attributes, empty-element tags, and namespace declarations that repeat one in scope.
//!
//! - [`canonical`]: the canonical form
//!
//! # Invariants
//! Printable ASCII and line feed. No declaration, comment, CDATA, processing instruction, entity or DTD. One space before
//! an attribute, double quotes, no other white space in a tag. Namespaces are resolved; a prefix is bound once in an
//! element and never to nothing. Recursion is as deep as [`limits::XML_DEPTH`].

use crate::limits;
use crate::nvidia::error::{RimError, XmlFault};

pub(crate) mod canonical;

/// An attribute that is no namespace declaration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) local: &'a str,
    /// Empty without a prefix (Namespaces in XML 1.0 section 6.2).
    pub(crate) namespace: &'a str,
    pub(crate) value: &'a str,
}

/// A prefix and the namespace it is bound to; the empty prefix is the default.
pub(crate) type Declaration<'a> = (&'a str, &'a str);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) local: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) declarations: Vec<Declaration<'a>>,
    pub(crate) attributes: Vec<Attribute<'a>>,
    pub(crate) children: Vec<Node<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    Element(Element<'a>),
    Text(&'a str),
}

impl<'a> Element<'a> {
    /// Its element children; `None` when there is text between them that is not white space.
    pub(crate) fn elements(&self) -> Option<Vec<&Self>> {
        let blank = |text: &str| text.bytes().all(|c| c == b' ' || c == b'\n');
        let mut found = Vec::new();
        for child in &self.children {
            match child {
                Node::Element(element) => found.push(element),
                Node::Text(text) if blank(text) => {}
                Node::Text(_) => return None,
            }
        }
        Some(found)
    }

    /// Its text, when it has nothing else.
    pub(crate) fn text(&self) -> Option<&'a str> {
        match self.children.as_slice() {
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is(&self, namespace: &str, local: &str) -> bool {
        self.namespace == namespace && self.local == local
    }

    /// The value of an attribute without a prefix.
    pub(crate) fn attribute(&self, local: &str) -> Option<&'a str> {
        self.attribute_in("", local)
    }

    pub(crate) fn attribute_in(&self, namespace: &str, local: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find(|attribute| attribute.namespace == namespace && attribute.local == local)
            .map(|attribute| attribute.value)
    }
}

/// Reads a document: one element, then nothing but line feeds.
///
/// # Errors
/// [`RimError::Xml`] with the offset.
pub(crate) fn parse(bytes: &[u8]) -> Result<Element<'_>, RimError> {
    let fault = |fault, offset| RimError::Xml { fault, offset };
    if bytes.len() > limits::RIM {
        return Err(fault(XmlFault::Limit, 0));
    }
    let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
    if let Some(offset) = bytes.iter().position(|byte| !plain(byte)) {
        return Err(fault(XmlFault::Byte, offset));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| fault(XmlFault::Byte, 0))?;
    let mut reader = Reader {
        all: text,
        rest: text,
        elements: 0,
        scope: Vec::new(),
    };
    let root = reader.element(0)?;
    if reader.rest.bytes().any(|byte| byte != b'\n') {
        return Err(reader.fault(XmlFault::End));
    }
    Ok(root)
}

struct Reader<'a> {
    all: &'a str,
    rest: &'a str,
    elements: usize,
    /// Declarations of the open elements, the innermost last.
    scope: Vec<Declaration<'a>>,
}

/// A start tag: name, declarations, attributes with their prefixes, and whether it is an empty-element tag.
struct Tag<'a> {
    name: (&'a str, &'a str),
    declarations: Vec<Declaration<'a>>,
    attributes: Vec<(&'a str, &'a str, &'a str)>,
    empty: bool,
}

impl<'a> Reader<'a> {
    fn fault(&self, fault: XmlFault) -> RimError {
        RimError::Xml {
            fault,
            offset: self.all.len().saturating_sub(self.rest.len()),
        }
    }

    fn skip(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), RimError> {
        if self.skip(token) {
            return Ok(());
        }
        let fault = if self.rest.is_empty() {
            XmlFault::End
        } else {
            XmlFault::Tag
        };
        Err(self.fault(fault))
    }

    /// All up to, and without, the first of `stops`.
    fn until(&mut self, stops: &[char]) -> Result<&'a str, RimError> {
        let end = self.rest.find(stops).ok_or_else(|| self.fault(XmlFault::End))?;
        let (found, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(found)
    }

    fn element(&mut self, depth: usize) -> Result<Element<'a>, RimError> {
        self.elements = self.elements.saturating_add(1);
        if depth >= limits::XML_DEPTH || self.elements > limits::XML_ELEMENTS {
            return Err(self.fault(XmlFault::Limit));
        }
        self.expect("<")?;
        let tag = self.start_tag()?;
        let outer = self.scope.len();
        self.scope.extend_from_slice(&tag.declarations);
        let children = if tag.empty {
            Vec::new()
        } else {
            self.content(depth, tag.name)?
        };
        let element = self.resolve(tag, children);
        self.scope.truncate(outer);
        element
    }

    fn start_tag(&mut self) -> Result<Tag<'a>, RimError> {
        let name = self.name()?;
        let mut tag = Tag {
            name,
            declarations: Vec::new(),
            attributes: Vec::new(),
            empty: false,
        };
        while self.skip(" ") {
            if tag.declarations.len().saturating_add(tag.attributes.len()) >= limits::XML_ATTRIBUTES {
                return Err(self.fault(XmlFault::Limit));
            }
            self.attribute(&mut tag)?;
        }
        tag.empty = self.skip("/");
        self.expect(">")?;
        Ok(tag)
    }

    fn attribute(&mut self, tag: &mut Tag<'a>) -> Result<(), RimError> {
        let here = self.fault(XmlFault::Namespace);
        let (prefix, local) = self.name()?;
        self.expect("=\"")?;
        let value = self.until(&['"', '<', '&', '\n'])?;
        self.expect("\"")?;
        if value.len() > limits::XML_VALUE {
            return Err(self.fault(XmlFault::Limit));
        }
        let declared = match (prefix, local) {
            ("", "xmlns") => "",
            ("xmlns", declared) => declared,
            _ => {
                tag.attributes.push((prefix, local, value));
                return Ok(());
            }
        };
        let twice = tag.declarations.iter().any(|(known, _)| *known == declared);
        if twice || value.is_empty() || matches!(declared, "xml" | "xmlns") {
            return Err(here);
        }
        tag.declarations.push((declared, value));
        Ok(())
    }

    /// A prefix, empty without one, and a local name.
    fn name(&mut self) -> Result<(&'a str, &'a str), RimError> {
        if self.rest.starts_with(['?', '!']) {
            return Err(self.fault(XmlFault::Construct));
        }
        let name = self.until(&[' ', '=', '/', '>', '"', '<'])?;
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
        };
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        if !part(local) || (name.contains(':') && !part(prefix)) {
            return Err(self.fault(XmlFault::Tag));
        }
        Ok((prefix, local))
    }

    /// What stands between a start tag and its end tag, which is read too.
    fn content(&mut self, depth: usize, name: (&str, &str)) -> Result<Vec<Node<'a>>, RimError> {
        let mut children = Vec::new();
        loop {
            let text = self.until(&['<', '>', '&'])?;
            if !text.is_empty() {
                children.push(Node::Text(text));
            }
            if !self.rest.starts_with('<') {
                return Err(self.fault(XmlFault::Construct));
            }
            if self.skip("</") {
                if self.name()? != name {
                    return Err(self.fault(XmlFault::Tag));
                }
                self.expect(">")?;
                return Ok(children);
            }
            children.push(Node::Element(self.element(depth.saturating_add(1))?));
        }
    }

    fn namespace(&self, prefix: &str) -> Option<&'a str> {
        let bound = self.scope.iter().rev().find(|(known, _)| *known == prefix);
        bound.map(|(_, namespace)| *namespace)
    }

    fn resolve(&self, tag: Tag<'a>, children: Vec<Node<'a>>) -> Result<Element<'a>, RimError> {
        let unbound = || self.fault(XmlFault::Namespace);
        let (prefix, local) = tag.name;
        let mut element = Element {
            prefix,
            local,
            // Every element of a RIM is in a namespace, so an unbound default is refused as any prefix is.
            namespace: self.namespace(prefix).ok_or_else(unbound)?,
            declarations: tag.declarations,
            attributes: Vec::new(),
            children,
        };
        for (prefix, local, value) in tag.attributes {
            let namespace = match prefix {
                "" => "",
                _ => self.namespace(prefix).ok_or_else(unbound)?,
            };
            if element.attribute_in(namespace, local).is_some() {
                return Err(self.fault(XmlFault::RepeatedAttribute));
            }
            element.attributes.push(Attribute {
                prefix,
                local,
                namespace,
                value,
            });
        }
        Ok(element)
    }
}

#[cfg(test)]
mod tests;
