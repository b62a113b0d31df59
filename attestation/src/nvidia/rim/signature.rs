//! The signature inside a RIM: XML-DSig in the one form NVIDIA uses.
//!
//! Why apart: XML-DSig lets a document choose what is signed and how. Here nothing is chosen: what differs from the
//! one form is refused before anything is computed.
//!
//! # Invariants
//! One `Signature`, a child of the root; one reference, to the whole document without that signature; fixed algorithms
//! (W3C XML Signature 1.1, RFC 6931). Four certificates, the last of which is the pinned root.

use anchorhold_encoding::{Digest, sha384};

use crate::base64_text::decode_standard;
use crate::nvidia::error::RimError;
use crate::nvidia::identity::{PathError, pinned_path};
use crate::nvidia::xml::canonical::canonical;
use crate::nvidia::xml::{Declaration, Element};
use crate::signature::Scheme;
use crate::time::Timestamp;
use crate::x509::{Anchor, Certificate, VerifiedChain};

const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const C14N_1_1: &str = "http://www.w3.org/2006/12/xml-c14n11";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#sha384";
const ECDSA_SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384";

/// Certificates of a RIM's signer: signer, its authority, the family's authority, root.
pub(in crate::nvidia) const CHAIN_LENGTH: usize = 4;

/// What a signature covers, and who made it.
pub(in crate::nvidia) struct Signed {
    /// The document without its signature, in canonical form.
    pub(super) canonical: Vec<u8>,
    pub(super) chain: VerifiedChain,
}

/// The parts of a signature of the right form.
struct Parts<'a> {
    signature: &'a Element<'a>,
    signed_info: &'a Element<'a>,
    digest: Digest<48>,
    value: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

/// Checks the signature in `document` under `anchor` as of `now`.
pub(in crate::nvidia) fn verify(
    document: &Element<'_>,
    anchor: &Anchor,
    now: Timestamp,
) -> Result<Signed, RimError> {
    let parts = parts(document).ok_or(RimError::SignatureForm)?;
    // What needs no key comes first.
    let document_form = canonical(document, &[], is_signature);
    if sha384(&[&document_form]) != parts.digest {
        return Err(RimError::Digest);
    }
    let (leaf, authorities) =
        pinned_path(&parts.certificates, anchor, CHAIN_LENGTH).map_err(|error| match error {
            PathError::Length => RimError::ChainLength,
            PathError::Root => RimError::Root,
            PathError::Certificate(error) => RimError::Certificate(error),
        })?;
    let chain = VerifiedChain::verify(leaf, authorities, anchor, &[], now).map_err(RimError::Certificate)?;
    let inherited = in_scope(&[document, parts.signature]);
    let signed_info = canonical(parts.signed_info, &inherited, |_| false);
    chain
        .key()
        .verify(Scheme::EcdsaP384Fixed, &signed_info, &parts.value)
        .ok_or(RimError::Signature)?;
    Ok(Signed {
        canonical: document_form,
        chain,
    })
}

/// The document without its signature, and the dates of its certificates: nothing is proven.
pub(super) fn said(document: &Element<'_>) -> Result<(Vec<u8>, Timestamp, Timestamp), RimError> {
    let parts = parts(document).ok_or(RimError::SignatureForm)?;
    let (mut from, mut until) = (Timestamp::from_unix(0), Timestamp::MAX);
    for der in &parts.certificates {
        let certificate = Certificate::parse(der).map_err(|_| RimError::SignatureForm)?;
        from = from.max(certificate.not_before());
        until = until.min(certificate.not_after());
    }
    Ok((canonical(document, &[], is_signature), from, until))
}

/// The certificates of its signature: nothing is proven.
pub(super) fn said_certificates(document: &Element<'_>) -> Result<Vec<Vec<u8>>, RimError> {
    Ok(parts(document).ok_or(RimError::SignatureForm)?.certificates)
}

fn is_signature(element: &Element<'_>) -> bool {
    element.is(DSIG, "Signature")
}

/// The declarations that nested elements leave in scope, the outermost first.
fn in_scope<'a>(elements: &[&Element<'a>]) -> Vec<Declaration<'a>> {
    let mut scope: Vec<Declaration<'a>> = Vec::new();
    for (prefix, namespace) in elements.iter().flat_map(|element| &element.declarations) {
        scope.retain(|(known, _)| known != prefix);
        scope.push((prefix, namespace));
    }
    scope
}

fn parts<'a>(document: &'a Element<'a>) -> Option<Parts<'a>> {
    let children = document.elements()?;
    let mut signatures = children.into_iter().filter(|child| is_signature(child));
    let signature = signatures.next()?;
    if signatures.next().is_some() || !signature.attributes.is_empty() {
        return None;
    }
    let [signed_info, value, key_info] = children_of(signature, "Signature")?;
    let [method, signature_method, reference] = children_of(signed_info, "SignedInfo")?;
    algorithm(method, "CanonicalizationMethod", C14N_1_1)?;
    algorithm(signature_method, "SignatureMethod", ECDSA_SHA384)?;
    Some(Parts {
        signature,
        signed_info,
        digest: reference_digest(reference)?,
        value: decode_standard(leaf_text(value, "SignatureValue")?)?,
        certificates: certificates(key_info)?,
    })
}

/// The element children of an element of this name, when it has no attributes and exactly `N` of them.
fn children_of<'a, const N: usize>(element: &'a Element<'a>, local: &str) -> Option<[&'a Element<'a>; N]> {
    if !element.is(DSIG, local) || !element.attributes.is_empty() {
        return None;
    }
    element.elements()?.try_into().ok()
}

/// An element of this name that holds nothing but this algorithm.
fn algorithm(element: &Element<'_>, local: &str, uri: &str) -> Option<()> {
    let alone = element.attributes.len() == 1 && element.children.is_empty();
    (element.is(DSIG, local) && alone && element.attribute("Algorithm")? == uri).then_some(())
}

/// The text of an element of this name that holds nothing else.
fn leaf_text<'a>(element: &Element<'a>, local: &str) -> Option<&'a str> {
    (element.is(DSIG, local) && element.attributes.is_empty())
        .then(|| element.text())
        .flatten()
}

/// The digest of the one reference: the whole document, without the signature, canonical.
fn reference_digest<'a>(reference: &'a Element<'a>) -> Option<Digest<48>> {
    let whole = reference.attributes.len() == 1 && reference.attribute("URI")?.is_empty();
    if !reference.is(DSIG, "Reference") || !whole {
        return None;
    }
    let [transforms, method, value]: [&Element<'_>; 3] = reference.elements()?.try_into().ok()?;
    let [enveloped, canonical] = children_of(transforms, "Transforms")?;
    algorithm(enveloped, "Transform", ENVELOPED)?;
    algorithm(canonical, "Transform", C14N_1_1)?;
    algorithm(method, "DigestMethod", SHA384)?;
    Digest::from_slice(&decode_standard(leaf_text(value, "DigestValue")?)?)
}

/// Certificates in base64 in lines of 64 characters.
fn certificates<'a>(key_info: &'a Element<'a>) -> Option<Vec<Vec<u8>>> {
    let [data] = children_of(key_info, "KeyInfo")?;
    if !data.is(DSIG, "X509Data") || !data.attributes.is_empty() {
        return None;
    }
    let certificate = |element: &&Element<'_>| {
        let text = leaf_text(element, "X509Certificate")?;
        decode_standard(&text.replace('\n', ""))
    };
    data.elements()?.iter().map(certificate).collect()
}
