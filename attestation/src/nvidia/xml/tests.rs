//! The XML that is read, all that is not, and the canonical form.

use proptest::prelude::*;

use super::canonical::canonical;
use super::*;

fn fault(text: &str) -> XmlFault {
    match parse(text.as_bytes()).unwrap_err() {
        RimError::Xml { fault, .. } => fault,
        other => panic!("{other:?}"),
    }
}

/// The canonical form of a document.
fn form(text: &str) -> String {
    String::from_utf8(canonical(&parse(text.as_bytes()).unwrap(), &[], |_| false)).unwrap()
}

#[test]
fn elements_attributes_and_text_are_read_with_their_namespaces() {
    let text = "<a xmlns=\"d\" xmlns:p=\"q\" x=\"1\" p:x=\"2\">\n <p:b/>\n</a>\n";
    let root = parse(text.as_bytes()).unwrap();
    assert!(root.is("d", "a"));
    assert_eq!(
        (root.attribute("x"), root.attribute_in("q", "x")),
        (Some("1"), Some("2"))
    );
    assert_eq!(root.attribute("y"), None);
    let children = root.elements().unwrap();
    assert!(children[0].is("q", "b"));
    assert_eq!((children.len(), children[0].text()), (1, None));
    let mixed = parse(b"<a xmlns=\"d\">text<b/></a>").unwrap();
    assert!(mixed.elements().is_none() && mixed.text().is_none());
    assert_eq!(parse(b"<a xmlns=\"d\">text</a>").unwrap().text(), Some("text"));
}

#[test]
fn what_a_signature_must_never_meet_is_refused() {
    use XmlFault as F;
    let rows = [
        ("", F::End),
        ("\n<a xmlns=\"d\"/>", F::Tag),
        ("<?xml version=\"1.0\"?><a xmlns=\"d\"/>", F::Construct),
        ("<!DOCTYPE a [<!ENTITY e \"x\">]><a xmlns=\"d\"/>", F::Construct),
        ("<a xmlns=\"d\"><!-- c --></a>", F::Construct),
        ("<a xmlns=\"d\"><![CDATA[x]]></a>", F::Construct),
        ("<a xmlns=\"d\"><?pi?></a>", F::Construct),
        ("<a xmlns=\"d\">&amp;</a>", F::Construct),
        ("<a xmlns=\"d\">></a>", F::Construct),
        ("<a xmlns=\"d\" x=\"&lt;\"/>", F::Tag),
        ("<a xmlns=\"d\" x=\"<\"/>", F::Tag),
        ("<a xmlns=\"d\" x=\"\n\"/>", F::Tag),
        ("<a xmlns='d'/>", F::Tag),
        ("<a xmlns = \"d\"/>", F::Tag),
        ("<a  xmlns=\"d\"/>", F::Tag),
        ("<a xmlns=\"d\" />", F::Tag),
        ("<a xmlns=\"d\"x=\"1\"/>", F::Tag),
        ("<a xmlns=\"d\"></b>", F::Tag),
        ("<a xmlns=\"d\"></a >", F::Tag),
        ("<:a xmlns=\"d\"/>", F::Tag),
        ("<a:b:c xmlns=\"d\"/>", F::Tag),
        ("<1 xmlns=\"d\"/>", F::Tag),
        ("<a xmlns=\"d\">", F::End),
        ("<a xmlns=\"d\"/><a xmlns=\"d\"/>", F::End),
        ("<a xmlns=\"d\"/> ", F::End),
        ("<a xmlns=\"d\">\t</a>", F::Byte),
        ("<a xmlns=\"d\">\r\n</a>", F::Byte),
        ("<a xmlns=\"d\">\u{e9}</a>", F::Byte),
        ("<a/>", F::Namespace),
        ("<a xmlns=\"\"/>", F::Namespace),
        ("<p:a xmlns=\"d\"/>", F::Namespace),
        ("<a xmlns=\"d\" p:x=\"1\"/>", F::Namespace),
        ("<a xmlns=\"d\" xmlns=\"d\"/>", F::Namespace),
        ("<a xmlns=\"d\" xml:lang=\"en\"/>", F::Namespace),
        (
            "<a xmlns=\"d\" xmlns:xml=\"http://www.w3.org/XML/1998/namespace\"/>",
            F::Namespace,
        ),
        ("<a xmlns=\"d\" xmlns:xmlns=\"d\"/>", F::Namespace),
        ("<a xmlns=\"d\"><b xmlns:p=\"q\"/><p:c/></a>", F::Namespace),
        ("<a xmlns=\"d\" x=\"1\" x=\"2\"/>", F::RepeatedAttribute),
        (
            "<a xmlns=\"d\" xmlns:p=\"q\" xmlns:r=\"q\" p:x=\"1\" r:x=\"2\"/>",
            F::RepeatedAttribute,
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn size_depth_width_and_count_are_bounded() {
    let nested = |depth: usize| {
        format!(
            "<a xmlns=\"d\">{}{}</a>",
            "<b>".repeat(depth),
            "</b>".repeat(depth)
        )
    };
    assert!(parse(nested(limits::XML_DEPTH - 1).as_bytes()).is_ok());
    assert_eq!(fault(&nested(limits::XML_DEPTH)), XmlFault::Limit);
    let many = |count: usize| format!("<a xmlns=\"d\">{}</a>", "<b/>".repeat(count));
    assert!(parse(many(limits::XML_ELEMENTS - 1).as_bytes()).is_ok());
    assert_eq!(fault(&many(limits::XML_ELEMENTS)), XmlFault::Limit);
    let wide = |count: usize| {
        let attributes: String = (0..count).map(|n| format!(" x{n}=\"\"")).collect();
        format!("<a xmlns=\"d\"{attributes}/>")
    };
    assert!(parse(wide(limits::XML_ATTRIBUTES - 1).as_bytes()).is_ok());
    assert_eq!(fault(&wide(limits::XML_ATTRIBUTES)), XmlFault::Limit);
    let long = |length: usize| format!("<a xmlns=\"d\" x=\"{}\"/>", "v".repeat(length));
    assert!(parse(long(limits::XML_VALUE).as_bytes()).is_ok());
    assert_eq!(fault(&long(limits::XML_VALUE + 1)), XmlFault::Limit);
    assert_eq!(fault(&"<".repeat(limits::RIM + 1)), XmlFault::Limit);
}

#[test]
fn the_canonical_form_sorts_expands_and_drops_repeated_declarations() {
    let text = "<a xmlns:z=\"z\" b=\"2\" xmlns:p=\"q\" p:a=\"3\" xmlns=\"d\" a=\"1\"><z:c xmlns:p=\"q\" xmlns:z=\"y\"/>t</a>\n";
    let expected = "<a xmlns=\"d\" xmlns:p=\"q\" xmlns:z=\"z\" a=\"1\" b=\"2\" p:a=\"3\">\
                    <z:c xmlns:z=\"y\"></z:c>t</a>";
    assert_eq!(form(text), expected);
    assert_eq!(form(expected), expected);
    // Attributes in a namespace sort by its name, not by their prefix (Canonical XML 1.1 section 2.3).
    let text = "<a xmlns=\"d\" xmlns:p=\"z\" xmlns:q=\"b\" p:x=\"1\" q:y=\"2\"/>";
    assert!(form(text).contains("q:y=\"2\" p:x=\"1\""));
}

#[test]
fn an_inner_apex_gets_what_is_in_scope_around_it_and_omits_only_its_children() {
    let root = parse(b"<a xmlns=\"d\" xmlns:p=\"q\"><b xmlns:p=\"r\"><c/></b><c/></a>").unwrap();
    let inner = root.elements().unwrap()[0];
    let apex = canonical(inner, &root.declarations, |_| false);
    assert_eq!(apex, b"<b xmlns=\"d\" xmlns:p=\"r\"><c></c></b>");
    let without = canonical(&root, &[], |element| element.is("d", "c"));
    assert_eq!(
        without,
        b"<a xmlns=\"d\" xmlns:p=\"q\"><b xmlns:p=\"r\"><c></c></b></a>"
    );
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_read_has_a_canonical_form_that_stays(text in "[a-c:<>/=\" \nxmlns?!&]{0,80}") {
        for text in [text.clone(), format!("<a xmlns=\"d\">{text}</a>"), format!("<a xmlns=\"d\" {text}/>")] {
            if let Ok(root) = parse(text.as_bytes()) {
                let once = canonical(&root, &[], |_| false);
                let again = parse(&once).unwrap();
                prop_assert_eq!(&canonical(&again, &[], |_| false), &once);
            }
        }
    }
}
