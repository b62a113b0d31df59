//! A TPM that takes real commands and gives real responses: NV indices, registers and one key.
//!
//! Why apart: what a vTPM sends is bytes, so it is bytes that the code under test must make and read.
//!
//! # Invariants
//! Built for tests only. A command that is not exactly of its form gets an error, as from a real TPM.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use anchorhold_encoding::sha256;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};

use super::Tpm;

/// TPM_RC_COMMAND_CODE, TPM_RC_SIZE, TPM_RC_AUTH_FAIL, TPM_RC_NV_UNINITIALIZED (Part 2, section 6.6).
const RC_COMMAND_CODE: u32 = 0x143;
const RC_SIZE: u32 = 0x1d5;
const RC_AUTH_FAIL: u32 = 0x98e;
const RC_NV_DEFINED: u32 = 0x14c;

/// What reading an index gives: the paravisor makes a report at that moment.
type OnRead = Box<dyn Fn(&State, u16) -> Option<Vec<u8>> + Send>;

/// Makes another response of a right one.
type Garble = Box<dyn Fn(Vec<u8>) -> Vec<u8> + Send>;

/// What the TPM keeps.
pub(in super::super) struct State {
    pub(in super::super) indices: BTreeMap<u32, (u32, Vec<u8>)>,
    pub(in super::super) registers: [[u8; 32]; 24],
}

pub(in super::super) struct FakeTpm {
    pub(in super::super) state: Mutex<State>,
    pub(in super::super) key: KeyPair,
    /// Called before an index is read at offset 0 or later; gives its new content.
    pub(in super::super) on_read: Mutex<BTreeMap<u32, OnRead>>,
    /// Codes to answer with before anything else.
    pub(in super::super) codes: Mutex<Vec<u32>>,
    /// A register is extended after each of so many quotes.
    pub(in super::super) restless: Mutex<usize>,
    /// Alters a response.
    pub(in super::super) garble: Mutex<Option<Garble>>,
    pub(in super::super) commands: Mutex<Vec<u32>>,
}

pub(in super::super) fn fake() -> FakeTpm {
    FakeTpm {
        state: Mutex::new(State {
            indices: BTreeMap::new(),
            registers: std::array::from_fn(|index| [u8::try_from(index).unwrap(); 32]),
        }),
        key: KeyPair::generate(KeySize::Rsa2048).unwrap(),
        on_read: Mutex::default(),
        codes: Mutex::default(),
        restless: Mutex::new(0),
        garble: Mutex::new(None),
        commands: Mutex::default(),
    }
}

/// Takes bytes off the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], u32> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(RC_SIZE)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, u32> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().unwrap()))
    }

    fn u32(&mut self) -> Result<u32, u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().unwrap()))
    }

    fn sized(&mut self) -> Result<&'a [u8], u32> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// An authorisation area with one empty password.
    fn password(&mut self) -> Result<(), u32> {
        let length = self.u32()?;
        let area = self.take(usize::try_from(length).unwrap())?;
        (area == [0x40, 0, 0, 9, 0, 0, 0, 0, 0])
            .then_some(())
            .ok_or(RC_AUTH_FAIL)
    }

    fn end(&self) -> Result<(), u32> {
        self.0.is_empty().then_some(()).ok_or(RC_SIZE)
    }
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

impl FakeTpm {
    /// The modulus of the key: an RSAPublicKey has two headers of four bytes and a zero before it.
    pub(in super::super) fn modulus(&self) -> Vec<u8> {
        self.key.public_key().as_ref()[9..265].to_vec()
    }

    fn run(&self, command: &[u8]) -> Result<(bool, Vec<u8>), u32> {
        let mut input = Input(command);
        let (tag, size, code) = (input.u16()?, input.u32()?, input.u32()?);
        if usize::try_from(size).unwrap() != command.len() {
            return Err(RC_SIZE);
        }
        self.commands.lock().unwrap().push(code);
        let session = tag == 0x8002;
        let body = match (code, session) {
            (0x169, false) => self.nv_read_public(input)?,
            (0x12a, true) => self.nv_define_space(input)?,
            (0x137, true) => self.nv_write(input)?,
            (0x14e, true) => self.nv_read(input)?,
            (0x17e, false) => self.pcr_read(input)?,
            (0x158, true) => self.quote(input)?,
            (0x182, true) => self.pcr_extend(input)?,
            _ => return Err(RC_COMMAND_CODE),
        };
        Ok((session, body))
    }

    fn nv_read_public(&self, mut input: Input<'_>) -> Result<Vec<u8>, u32> {
        let index = input.u32()?;
        input.end()?;
        let state = self.state.lock().unwrap();
        let (attributes, content) = state.indices.get(&index).ok_or(super::RC_NO_HANDLE)?;
        let public = [
            index.to_be_bytes().as_slice(),
            &[0, 0x0b],
            &attributes.to_be_bytes(),
            &[0, 0],
            &u16::try_from(content.len()).unwrap().to_be_bytes(),
        ]
        .concat();
        Ok([sized(&public), sized(&[9; 34])].concat())
    }

    fn nv_define_space(&self, mut input: Input<'_>) -> Result<Vec<u8>, u32> {
        owner(&mut input)?;
        input.password()?;
        if !input.sized()?.is_empty() {
            return Err(RC_AUTH_FAIL);
        }
        let mut public = Input(input.sized()?);
        input.end()?;
        let (index, hash, attributes) = (public.u32()?, public.u16()?, public.u32()?);
        let policy = public.sized()?;
        let size = public.u16()?;
        public.end()?;
        if hash != 0x0b || !policy.is_empty() {
            return Err(RC_SIZE);
        }
        let content = (attributes, vec![0xff; usize::from(size)]);
        match self.state.lock().unwrap().indices.insert(index, content) {
            None => Ok(Vec::new()),
            Some(_) => Err(RC_NV_DEFINED),
        }
    }

    fn nv_write(&self, mut input: Input<'_>) -> Result<Vec<u8>, u32> {
        owner(&mut input)?;
        let index = input.u32()?;
        input.password()?;
        let bytes = input.sized()?;
        let offset = usize::from(input.u16()?);
        input.end()?;
        let mut state = self.state.lock().unwrap();
        let (attributes, content) = state.indices.get_mut(&index).ok_or(super::RC_NO_HANDLE)?;
        // OWNERWRITE
        if *attributes & 2 == 0 {
            return Err(RC_AUTH_FAIL);
        }
        let room = content.get_mut(offset..offset + bytes.len()).ok_or(RC_SIZE)?;
        room.copy_from_slice(bytes);
        Ok(Vec::new())
    }

    fn nv_read(&self, mut input: Input<'_>) -> Result<Vec<u8>, u32> {
        owner(&mut input)?;
        let index = input.u32()?;
        input.password()?;
        let (size, offset) = (input.u16()?, input.u16()?);
        input.end()?;
        let mut state = self.state.lock().unwrap();
        let renewed = self
            .on_read
            .lock()
            .unwrap()
            .get(&index)
            .and_then(|renew| renew(&state, offset));
        let (_, content) = state.indices.get_mut(&index).ok_or(super::RC_NO_HANDLE)?;
        if let Some(renewed) = renewed {
            *content = renewed;
        }
        let (size, offset) = (usize::from(size), usize::from(offset));
        Ok(sized(content.get(offset..offset + size).ok_or(RC_SIZE)?))
    }

    fn pcr_read(&self, mut input: Input<'_>) -> Result<Vec<u8>, u32> {
        let selection = selection(&mut input)?;
        input.end()?;
        let state = self.state.lock().unwrap();
        // TPML_DIGEST holds eight.
        let read: Vec<usize> = (0..24)
            .filter(|register| selection >> register & 1 == 1)
            .take(8)
            .collect();
        let bits = read.iter().fold(0_u32, |bits, register| bits | 1 << register);
        let mut body = vec![0, 0, 0, 77, 0, 0, 0, 1, 0, 0x0b, 3];
        body.extend(&bits.to_le_bytes()[..3]);
        body.extend(u32::try_from(read.len()).unwrap().to_be_bytes());
        for register in read {
            body.extend(sized(&state.registers[register]));
        }
        Ok(body)
    }

    fn pcr_extend(&self, mut input: Input<'_>) -> Result<Vec<u8>, u32> {
        let register = usize::try_from(input.u32()?).unwrap();
        input.password()?;
        if (input.u32()?, input.u16()?) != (1, 0x0b) {
            return Err(RC_SIZE);
        }
        let digest = input.take(32)?;
        input.end()?;
        let mut state = self.state.lock().unwrap();
        let value = state.registers.get_mut(register).ok_or(super::RC_NO_HANDLE)?;
        *value = *sha256(&[value.as_slice(), digest]).as_bytes();
        Ok(Vec::new())
    }

    fn quote(&self, mut input: Input<'_>) -> Result<Vec<u8>, u32> {
        let key = input.u32()?;
        input.password()?;
        let qualifying_data = input.sized()?;
        let scheme = input.u16()?;
        let selection = selection(&mut input)?;
        input.end()?;
        if key != 0x8100_0003 || scheme != 0x10 {
            return Err(super::RC_NO_HANDLE);
        }
        let mut state = self.state.lock().unwrap();
        let values: Vec<&[u8]> = (0..24)
            .filter(|register| selection >> register & 1 == 1)
            .map(|register: usize| state.registers[register].as_slice())
            .collect();
        let message = [
            [0xff, 0x54, 0x43, 0x47, 0x80, 0x18, 0, 34, 0, 0x0b].as_slice(),
            &[5; 32],
            &sized(qualifying_data),
            &[0; 16],
            &[1],
            &[0; 8],
            &[0, 0, 0, 1, 0, 0x0b, 3],
            &selection.to_le_bytes()[..3],
            &sized(sha256(&values).as_bytes()),
        ]
        .concat();
        let mut signature = vec![0; 256];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature)
            .unwrap();
        let mut restless = self.restless.lock().unwrap();
        if *restless > 0 {
            *restless -= 1;
            state.registers[16] = *sha256(&[&state.registers[16]]).as_bytes();
        }
        Ok([sized(&message), vec![0, 0x14, 0, 0x0b], sized(&signature)].concat())
    }
}

fn owner(input: &mut Input<'_>) -> Result<(), u32> {
    (input.u32()? == 0x4000_0001).then_some(()).ok_or(RC_AUTH_FAIL)
}

/// One bank of SHA-256 and three bytes of bits.
fn selection(input: &mut Input<'_>) -> Result<u32, u32> {
    if input.take(7)? != [0, 0, 0, 1, 0, 0x0b, 3] {
        return Err(RC_SIZE);
    }
    let bits = input.take(3)?;
    Ok(u32::from_le_bytes([bits[0], bits[1], bits[2], 0]))
}

impl Tpm for FakeTpm {
    fn exchange(&self, command: &[u8]) -> io::Result<Vec<u8>> {
        let outcome = match self.codes.lock().unwrap().pop() {
            Some(code) => Err(code),
            None => self.run(command),
        };
        let (tag, code, body) = match outcome {
            Err(code) => (0x8001_u16, code, Vec::new()),
            Ok((false, body)) => (0x8001, 0, body),
            Ok((true, body)) => {
                let length = u32::try_from(body.len()).unwrap().to_be_bytes();
                (0x8002, 0, [&length, body.as_slice(), &[0, 0, 1, 0, 0]].concat())
            }
        };
        let size = u32::try_from(10 + body.len()).unwrap();
        let mut response = tag.to_be_bytes().to_vec();
        response.extend(size.to_be_bytes());
        response.extend(code.to_be_bytes());
        response.extend(body);
        Ok(match &*self.garble.lock().unwrap() {
            None => response,
            Some(garble) => garble(response),
        })
    }
}
