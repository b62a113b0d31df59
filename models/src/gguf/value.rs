//! The values of settings.
//!
//! Why apart: lists are looked through once when the file is read and not copied; here is how they are gone through again.
//!
//! # Invariants
//! A text is UTF-8, a truth value is 0 or 1, whatever lists it lies in.

use super::error::GgufError;
use super::reader::Reader;
use crate::limits::gguf as limits;
use crate::shown::ShownName;

const LIST: u32 = 9;

/// One value. No `Debug`: a file's texts are not shown.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(&'a str),
    List(List<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// Values of one type.
#[derive(Clone, Copy)]
pub(crate) struct List<'a> {
    kind: u32,
    count: u64,
    bytes: &'a [u8],
}

impl<'a> Value<'a> {
    /// A type and a value of it.
    pub(super) fn read(reader: &mut Reader<'a>, key: &str) -> Result<Self, GgufError> {
        let kind = reader.u32()?;
        Self::of(kind, reader, key, 0)
    }

    fn of(kind: u32, reader: &mut Reader<'a>, key: &str, depth: usize) -> Result<Self, GgufError> {
        Ok(match kind {
            0 => Self::U8(u8::from_le_bytes(reader.array()?)),
            1 => Self::I8(i8::from_le_bytes(reader.array()?)),
            2 => Self::U16(u16::from_le_bytes(reader.array()?)),
            3 => Self::I16(i16::from_le_bytes(reader.array()?)),
            4 => Self::U32(reader.u32()?),
            5 => Self::I32(i32::from_le_bytes(reader.array()?)),
            6 => Self::F32(f32::from_le_bytes(reader.array()?)),
            7 => match reader.array()? {
                [0] => Self::Bool(false),
                [1] => Self::Bool(true),
                [found] => {
                    return Err(GgufError::NotBool {
                        key: ShownName::new(key),
                        found,
                    });
                }
            },
            8 => Self::Text(reader.utf8(key)?),
            LIST => Self::List(List::read(reader, key, depth + 1)?),
            10 => Self::U64(reader.u64()?),
            11 => Self::I64(i64::from_le_bytes(reader.array()?)),
            12 => Self::F64(f64::from_le_bytes(reader.array()?)),
            found => {
                return Err(GgufError::ValueType {
                    key: ShownName::new(key),
                    found,
                });
            }
        })
    }

    /// A whole number that is not negative, whatever its type.
    pub(crate) fn whole(&self) -> Option<u64> {
        match *self {
            Self::U8(number) => Some(number.into()),
            Self::U16(number) => Some(number.into()),
            Self::U32(number) => Some(number.into()),
            Self::U64(number) => Some(number),
            Self::I8(number) => u64::try_from(number).ok(),
            Self::I16(number) => u64::try_from(number).ok(),
            Self::I32(number) => u64::try_from(number).ok(),
            Self::I64(number) => u64::try_from(number).ok(),
            Self::F32(_) | Self::F64(_) | Self::Bool(_) | Self::Text(_) | Self::List(_) => None,
        }
    }
}

impl<'a> List<'a> {
    fn read(reader: &mut Reader<'a>, key: &str, depth: usize) -> Result<Self, GgufError> {
        if depth > limits::DEPTH {
            return Err(GgufError::Depth {
                key: ShownName::new(key),
                most: limits::DEPTH,
            });
        }
        let kind = reader.u32()?;
        let count = reader.u64()?;
        if count > limits::ELEMENTS {
            return Err(GgufError::TooMany {
                what: "elements of a list",
                found: count,
                most: limits::ELEMENTS,
            });
        }
        // An empty list has a type too.
        if count == 0 && kind > 12 {
            return Err(GgufError::ValueType {
                key: ShownName::new(key),
                found: kind,
            });
        }
        let bytes = reader.span(|reader| {
            for _ in 0..count {
                Value::of(kind, reader, key, depth)?;
            }
            Ok(())
        })?;
        Ok(Self { kind, count, bytes })
    }

    /// How many values.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// The values in order; none that was not looked at when the file was read.
    pub(crate) fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let kind = self.kind;
        let mut reader = Reader::new(self.bytes, self.bytes.len() as u64);
        (0..self.count).map_while(move |_| Value::of(kind, &mut reader, "", 0).ok())
    }
}
