//! What an answer has to be: text, or JSON.
//!
//! Why apart: a schema is whole before anything is asked, and goes to the enclave as it was written: the order of its
//! members is that of the answer's.
//!
//! # Invariants
//! A schema is wiped when dropped, and nothing of it is in an error.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// Of an answer, as `response_format` says it. No `Clone` or `Debug`: a schema may tell what is asked.
pub enum Format {
    /// Any JSON object.
    Object,
    /// JSON of this schema.
    Schema(Schema),
}

/// A JSON object, which the enclave reads as JSON Schema.
pub struct Schema(Zeroizing<String>);

impl Schema {
    /// `None` when the text is not one JSON object.
    #[must_use]
    pub fn parse(text: Zeroizing<String>) -> Option<Self> {
        let value: &RawValue = serde_json::from_str(&text).ok()?;
        value.get().starts_with('{').then_some(Self(text))
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            name: &'static str,
            strict: bool,
            schema: &'a Schema,
        }

        let mut format = serializer.serialize_map(None)?;
        match self {
            Self::Object => format.serialize_entry("type", "json_object")?,
            Self::Schema(schema) => {
                format.serialize_entry("type", "json_schema")?;
                let named = Named {
                    name: "answer",
                    strict: true,
                    schema,
                };
                format.serialize_entry("json_schema", &named)?;
            }
        }
        format.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Option<Schema> {
        Schema::parse(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn formats_are_as_the_api_has_them_and_schemas_as_they_were_written() {
        let json = |format: &Format| serde_json::to_string(format).unwrap();
        assert_eq!(json(&Format::Object), r#"{"type":"json_object"}"#);
        let text = "\n{ \"z\": 1.50, \"a\" : [\"\\u00e9\"] }\n";
        let format = Format::Schema(schema(text).unwrap());
        assert_eq!(
            json(&format),
            format!(
                r#"{{"type":"json_schema","json_schema":{{"name":"answer","strict":true,"schema":{}}}}}"#,
                text.trim()
            )
        );
    }

    #[test]
    fn what_is_not_one_object_is_no_schema() {
        for bad in [
            "", "[]", "7", "\"{}\"", "{", "{}{}", "{} x", "{'a':1}", "{\"a\":}",
        ] {
            assert!(schema(bad).is_none(), "{bad}");
        }
    }
}
