//! A writer of GGUF files, sound ones and others.
//!
//! Why apart: the parser is tested without the engine, and models are converted with it.
//!
//! # Invariants
//! Writes what it is told: nothing is checked.

/// A value to be written.
pub(crate) enum Setting {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    F32s(Vec<f32>),
    I32s(Vec<i32>),
    /// A type's number and the bytes behind it.
    Raw(u32, Vec<u8>),
}

/// A file to be written.
#[derive(Default)]
pub(crate) struct Written {
    settings: Vec<(String, Setting)>,
    tensors: Vec<Tensor>,
    data: Vec<u8>,
}

struct Tensor {
    name: String,
    /// Outermost first.
    shape: Vec<u64>,
    kind: u32,
    offset: u64,
}

const ALIGNMENT: usize = 32;

impl Written {
    pub(crate) fn set(&mut self, key: &str, value: Setting) {
        self.settings.push((key.to_owned(), value));
    }

    /// Takes a setting away, or writes another in its place.
    pub(crate) fn change(&mut self, key: &str, value: Option<Setting>) {
        self.settings.retain(|(other, _)| other != key);
        self.settings.extend(value.map(|value| (key.to_owned(), value)));
    }

    /// Gives a tensor another name.
    #[cfg(feature = "inference")]
    pub(crate) fn rename(&mut self, name: &str, to: &str) {
        for tensor in self.tensors.iter_mut().filter(|tensor| tensor.name == name) {
            tensor.name = to.to_owned();
        }
    }

    /// A tensor of ggml's type `kind`, its shape outermost first.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[u64], kind: u32, bytes: &[u8]) {
        self.data.resize(self.data.len().next_multiple_of(ALIGNMENT), 0);
        self.tensors.push(Tensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            kind,
            offset: self.data.len() as u64,
        });
        self.data.extend_from_slice(bytes);
    }

    /// Names another place for a tensor than it has.
    pub(crate) fn move_tensor(&mut self, name: &str, by: i64) {
        for tensor in self.tensors.iter_mut().filter(|tensor| tensor.name == name) {
            tensor.offset = tensor.offset.wrapping_add_signed(by);
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.settings.len() as u64).to_le_bytes());
        for (key, value) in &self.settings {
            text(key, &mut file);
            value.write(&mut file);
        }
        for tensor in &self.tensors {
            text(&tensor.name, &mut file);
            file.extend((tensor.shape.len() as u32).to_le_bytes());
            for length in tensor.shape.iter().rev() {
                file.extend(length.to_le_bytes());
            }
            file.extend(tensor.kind.to_le_bytes());
            file.extend(tensor.offset.to_le_bytes());
        }
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        file.extend(&self.data);
        file
    }
}

impl Setting {
    fn write(&self, file: &mut Vec<u8>) {
        let mut list = |kind: u32, count: usize| {
            file.extend(9u32.to_le_bytes());
            file.extend(kind.to_le_bytes());
            file.extend((count as u64).to_le_bytes());
        };
        match self {
            Self::Texts(values) => list(8, values.len()),
            Self::F32s(values) => list(6, values.len()),
            Self::I32s(values) => list(5, values.len()),
            Self::U32(_) => file.extend(4u32.to_le_bytes()),
            Self::F32(_) => file.extend(6u32.to_le_bytes()),
            Self::Bool(_) => file.extend(7u32.to_le_bytes()),
            Self::Text(_) => file.extend(8u32.to_le_bytes()),
            Self::Raw(kind, _) => file.extend(kind.to_le_bytes()),
        }
        match self {
            Self::U32(value) => file.extend(value.to_le_bytes()),
            Self::F32(value) => file.extend(value.to_le_bytes()),
            Self::Bool(value) => file.push(u8::from(*value)),
            Self::Text(value) => text(value, file),
            Self::Texts(values) => values.iter().for_each(|value| text(value, file)),
            Self::F32s(values) => file.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::I32s(values) => file.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::Raw(_, bytes) => file.extend(bytes),
        }
    }
}

fn text(text: &str, file: &mut Vec<u8>) {
    file.extend((text.len() as u64).to_le_bytes());
    file.extend(text.as_bytes());
}
