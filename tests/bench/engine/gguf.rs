//! A writer of GGUF files, version 3.
//!
//! Why apart: llama.cpp and our own loader must be handed the same bytes, made on the spot.
//!
//! # Invariants
//! Offsets are multiples of [`ALIGNMENT`]; a tensor's data has exactly the bytes of its description, or the writer fails.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anchorhold_kernels::BlockFormat;

use super::quantise;
use crate::Failure;

/// What tensors are aligned to unless a file says otherwise.
const ALIGNMENT: usize = 32;

/// A value of the file's metadata.
#[derive(Clone)]
pub(crate) enum Value<'a> {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(&'a str),
    Texts(&'a [String]),
    Numbers(&'a [i32]),
}

/// How one tensor is described.
pub(crate) struct Described<'a> {
    pub(crate) name: &'a str,
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    pub(crate) format: BlockFormat,
}

impl Described<'_> {
    fn bytes(&self) -> Result<usize, Failure> {
        let row = self.format.row_bytes(self.inputs);
        let row = row.ok_or_else(|| format!("{} has rows that are no whole blocks", self.name))?;
        Ok(row * self.outputs)
    }
}

/// Writes a file. `fill` appends the data of the tensor with the given index, in any number of pieces of any length.
pub(crate) fn write(
    path: &Path,
    metadata: &[(&str, Value<'_>)],
    tensors: &[Described<'_>],
    mut fill: impl FnMut(usize, &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut out = Counted {
        inner: BufWriter::with_capacity(1 << 20, File::create(path)?),
        written: 0,
    };
    out.write_all(b"GGUF")?;
    out.write_all(&3_u32.to_le_bytes())?;
    out.write_all(&u64::try_from(tensors.len())?.to_le_bytes())?;
    out.write_all(&u64::try_from(metadata.len())?.to_le_bytes())?;
    for (key, value) in metadata {
        text(&mut out, key)?;
        write_value(&mut out, value)?;
    }
    let mut offset = 0_usize;
    for tensor in tensors {
        text(&mut out, tensor.name)?;
        let sizes = match tensor.outputs {
            1 => vec![tensor.inputs],
            outputs => vec![tensor.inputs, outputs],
        };
        out.write_all(&u32::try_from(sizes.len())?.to_le_bytes())?;
        for size in sizes {
            out.write_all(&u64::try_from(size)?.to_le_bytes())?;
        }
        out.write_all(&quantise::number(tensor.format).to_le_bytes())?;
        out.write_all(&u64::try_from(offset)?.to_le_bytes())?;
        offset += tensor.bytes()?.next_multiple_of(ALIGNMENT);
    }
    pad(&mut out)?;
    for (index, tensor) in tensors.iter().enumerate() {
        let begin = out.written;
        fill(index, &mut |piece| out.write_all(piece))?;
        if out.written - begin != tensor.bytes()? {
            return Err(format!("{} was filled with another number of bytes", tensor.name).into());
        }
        pad(&mut out)?;
    }
    out.flush()?;
    Ok(())
}

fn write_value(out: &mut impl Write, value: &Value<'_>) -> Result<(), Failure> {
    // Numbers of the types in GGUF's specification.
    let kind = |out: &mut dyn Write, number: u32| out.write_all(&number.to_le_bytes());
    match value {
        Value::U32(number) => {
            kind(out, 4)?;
            out.write_all(&number.to_le_bytes())?;
        }
        Value::F32(number) => {
            kind(out, 6)?;
            out.write_all(&number.to_le_bytes())?;
        }
        Value::Bool(flag) => {
            kind(out, 7)?;
            out.write_all(&[u8::from(*flag)])?;
        }
        Value::Text(value) => {
            kind(out, 8)?;
            text(out, value)?;
        }
        Value::Texts(values) => {
            kind(out, 9)?;
            kind(out, 8)?;
            out.write_all(&u64::try_from(values.len())?.to_le_bytes())?;
            for value in *values {
                text(out, value)?;
            }
        }
        Value::Numbers(values) => {
            kind(out, 9)?;
            kind(out, 5)?;
            out.write_all(&u64::try_from(values.len())?.to_le_bytes())?;
            for value in *values {
                out.write_all(&value.to_le_bytes())?;
            }
        }
    }
    Ok(())
}

fn text(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    out.write_all(&u64::try_from(text.len())?.to_le_bytes())?;
    out.write_all(text.as_bytes())?;
    Ok(())
}

fn pad(out: &mut Counted) -> io::Result<()> {
    let zeros = [0; ALIGNMENT];
    let missing = out.written.next_multiple_of(ALIGNMENT) - out.written;
    out.write_all(&zeros[..missing])
}

/// Knows how much it has written.
struct Counted {
    inner: BufWriter<File>,
    written: usize,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.written += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_laid_out_as_the_format_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let metadata = [
            ("general.architecture", Value::Text("qwen3")),
            ("a", Value::Texts(&["b".to_owned()])),
        ];
        let tensor = |name, outputs, inputs, format| Described {
            name,
            outputs,
            inputs,
            format,
        };
        let tensors = [
            tensor("x", 1, 3, BlockFormat::F32),
            tensor("y", 2, 32, BlockFormat::Q8_0),
        ];
        write(&path, &metadata, &tensors, |index, put| {
            for _ in 0..2 {
                put(&[7; 34][..if index == 0 { 6 } else { 34 }])?;
            }
            Ok(())
        })
        .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[..8], b"GGUF\x03\0\0\0");
        assert_eq!(bytes[8..24], [2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        // Keys and values take 28 + 17 and 9 + 25 bytes, descriptions 33 and 41.
        let header = 24_usize + 28 + 17 + 9 + 25 + 33 + 41;
        assert_eq!(bytes[header - 8..header], 32_u64.to_le_bytes());
        let data = header.next_multiple_of(32);
        assert_eq!(bytes[data..data + 12], [7; 12]);
        assert_eq!(bytes[data + 12..data + 32], [0; 20]);
        assert_eq!(bytes[data + 32..data + 100], [7; 68]);
        assert_eq!(bytes.len(), data + 128);
    }

    #[test]
    fn data_of_another_size_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let tensors = [Described {
            name: "x",
            outputs: 1,
            inputs: 3,
            format: BlockFormat::F32,
        }];
        assert!(write(&path, &[], &tensors, |_, put| Ok(put(&[0; 8])?)).is_err());
        assert!(write(&path, &[], &tensors, |_, put| Ok(put(&[0; 12])?)).is_ok());
        let odd = [Described {
            name: "x",
            outputs: 1,
            inputs: 33,
            format: BlockFormat::Q8_0,
        }];
        assert!(write(&path, &[], &odd, |_, _| Ok(())).is_err());
    }
}
