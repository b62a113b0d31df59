//! The SWID tag of a RIM: exactly the elements and attributes that NVIDIA's have.
//!
//! Why apart: reading a tag needs no key; what was read is worth nothing until its signature is checked.
//!
//! # Invariants
//! Measurements are in the order of their indices, none twice. Each has as many digests as it says, at least one.

use anchorhold_encoding::Digest;

use crate::limits;
use crate::nvidia::error::{RimError, RimField};
use crate::nvidia::xml::{Attribute, Element};

/// ISO/IEC 19770-2:2015.
const SWID: &str = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
/// TCG Reference Integrity Manifest Information Model 1.01.
const TCG_RIM: &str =
    "https://trustedcomputinggroup.org/resource/tcg-reference-integrity-manifest-rim-information-model/";
/// The namespace in which NVIDIA writes digests.
const SHA384: &str = "http://www.w3.org/2001/04/xmlenc#sha384";

/// Characters in a text of a tag that is shown to people.
const TEXT: usize = 128;

/// What a RIM is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// A GPU's driver or VBIOS.
    Gpu,
    /// A switch's BIOS.
    Switch,
}

/// One measurement that a RIM speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RimMeasurement {
    index: u8,
    name: String,
    active: bool,
    alternatives: Vec<Digest<48>>,
}

impl RimMeasurement {
    /// Its index: that of SPDM's block, less one.
    #[must_use]
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// What NVIDIA calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// False when the RIM says nothing of it, though it lists a digest.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active
    }

    /// The digests of which any one is right.
    #[must_use]
    pub fn alternatives(&self) -> &[Digest<48>] {
        &self.alternatives
    }
}

/// A tag as it was read.
#[derive(Debug)]
pub struct Rim {
    tag_id: String,
    edition: Edition,
    product: String,
    version: String,
    revision: String,
    measurements: Vec<RimMeasurement>,
}

impl Rim {
    /// Reads a tag without its signature.
    pub(crate) fn read(root: &Element<'_>) -> Result<Self, RimError> {
        let whole = RimError::Schema(RimField::SoftwareIdentity);
        let tag_id = software_identity(root).ok_or(whole)?;
        let [entity, meta, payload]: [&Element<'_>; 3] =
            root.elements().ok_or(whole)?.try_into().map_err(|_| whole)?;
        check_entity(entity).ok_or(RimError::Schema(RimField::Entity))?;
        let meta = Meta::read(meta).ok_or(RimError::Schema(RimField::Meta))?;
        // A tag says three times which product it is of.
        if root.attribute("name") != Some(&meta.product) {
            return Err(whole);
        }
        Ok(Self {
            tag_id,
            edition: meta.edition,
            product: meta.product,
            version: meta.version,
            revision: meta.revision,
            measurements: measurements(payload)?,
        })
    }

    /// NVIDIA's name for this file.
    #[must_use]
    pub fn tag_id(&self) -> &str {
        &self.tag_id
    }

    /// What it is for.
    #[must_use]
    pub const fn edition(&self) -> Edition {
        self.edition
    }

    /// The chip it is for, such as `GH100`.
    #[must_use]
    pub fn product(&self) -> &str {
        &self.product
    }

    /// The version of the driver or BIOS it describes, as text.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The revision of the RIM.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// All measurements, those that are not active too.
    #[must_use]
    pub fn measurements(&self) -> &[RimMeasurement] {
        &self.measurements
    }
}

/// Text that may be shown.
fn text(value: &str) -> Option<String> {
    (!value.is_empty() && value.len() <= TEXT).then(|| value.to_owned())
}

/// Whether the attributes of an element are exactly these, with these values; `None` is any value.
fn attributes_are(element: &Element<'_>, expected: &[(&str, &str, Option<&str>)]) -> Option<()> {
    let as_expected = |(namespace, local, value): &(&str, &str, Option<&str>)| {
        let found = element.attribute_in(namespace, local);
        found.is_some() && (value.is_none() || found == *value)
    };
    (element.attributes.len() == expected.len() && expected.iter().all(as_expected)).then_some(())
}

/// The tag's id.
fn software_identity(root: &Element<'_>) -> Option<String> {
    let primary = [
        ("", "corpus", Some("false")),
        ("", "name", None),
        ("", "patch", Some("false")),
        ("", "supplemental", Some("false")),
        ("", "tagId", None),
        ("", "tagVersion", Some("0")),
        ("", "version", Some("1.0")),
    ];
    attributes_are(root, &primary)?;
    (root.is(SWID, "SoftwareIdentity"))
        .then(|| text(root.attribute("tagId")?))
        .flatten()
}

fn check_entity(entity: &Element<'_>) -> Option<()> {
    let creator = [
        ("", "name", Some("NVIDIA Corporation")),
        ("", "role", Some("softwareCreator tagCreator")),
    ];
    attributes_are(entity, &creator)?;
    (entity.is(SWID, "Entity") && entity.children.is_empty()).then_some(())
}

struct Meta {
    edition: Edition,
    product: String,
    version: String,
    revision: String,
}

impl Meta {
    fn read(meta: &Element<'_>) -> Option<Self> {
        let product = meta.attribute("product")?;
        let known = [
            ("", "colloquialVersion", None),
            ("", "edition", None),
            ("", "product", None),
            ("", "revision", None),
            ("", "PayloadType", Some("direct")),
            (TCG_RIM, "BindingSpec", Some("RIMIM")),
            (TCG_RIM, "BindingSpecVersion", Some("1.01")),
            // 5703 is NVIDIA's number at IANA.
            (TCG_RIM, "PlatformManufacturerId", Some("5703")),
            (TCG_RIM, "PlatformManufacturerStr", Some("NVIDIA Corporation")),
            (TCG_RIM, "PlatformModel", Some(product)),
            (TCG_RIM, "FirmwareManufacturer", Some("NVIDIA Corporation")),
            (TCG_RIM, "FirmwareManufacturerId", Some("5703")),
        ];
        attributes_are(meta, &known)?;
        if !meta.is(SWID, "Meta") || !meta.children.is_empty() {
            return None;
        }
        Some(Self {
            edition: match meta.attribute("edition")? {
                "GPU" => Edition::Gpu,
                "SWITCH" => Edition::Switch,
                _ => return None,
            },
            product: text(product)?,
            version: text(meta.attribute("colloquialVersion")?)?,
            revision: text(meta.attribute("revision")?)?,
        })
    }
}

fn measurements(payload: &Element<'_>) -> Result<Vec<RimMeasurement>, RimError> {
    let whole = RimError::Schema(RimField::Payload);
    if !payload.is(SWID, "Payload") || !payload.attributes.is_empty() {
        return Err(whole);
    }
    let mut found: Vec<RimMeasurement> = Vec::new();
    for (position, resource) in payload.elements().ok_or(whole)?.into_iter().enumerate() {
        let here = RimError::Schema(RimField::Resource(position));
        let measurement = measurement(resource).ok_or(here)?;
        if found.last().is_some_and(|last| last.index >= measurement.index) {
            return Err(here);
        }
        found.push(measurement);
    }
    // A RIM that says nothing would agree with everything.
    if found.iter().any(RimMeasurement::is_active) {
        return Ok(found);
    }
    Err(whole)
}

/// A decimal number without leading zeros.
fn number(value: &str) -> Option<u8> {
    value
        .parse()
        .ok()
        .filter(|number: &u8| number.to_string() == value)
}

fn measurement(resource: &Element<'_>) -> Option<RimMeasurement> {
    let count = number(resource.attribute("alternatives")?)?;
    let is_digest = |attribute: &&Attribute<'_>| attribute.namespace == SHA384;
    let digests = resource.attributes.iter().filter(is_digest).count();
    // Six without a namespace, and the digests.
    let all = digests.checked_add(6)?;
    if !resource.is(SWID, "Resource") || !resource.children.is_empty() || resource.attributes.len() != all {
        return None;
    }
    if !(1..=limits::RIM_ALTERNATIVES).contains(&digests) || digests != usize::from(count) {
        return None;
    }
    if resource.attribute("type")? != "Measurement" || resource.attribute("size")? != "48" {
        return None;
    }
    let alternative = |number: u8| {
        let value = resource.attribute_in(SHA384, &format!("Hash{number}"))?;
        value.parse().ok()
    };
    Some(RimMeasurement {
        index: number(resource.attribute("index")?)?,
        name: text(resource.attribute("name")?)?,
        active: match resource.attribute("active")? {
            "True" => true,
            "False" => false,
            _ => return None,
        },
        alternatives: (0..count).map(alternative).collect::<Option<_>>()?,
    })
}
