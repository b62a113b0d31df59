//! Commands that a TPM takes, and responses that are read with care.

use anchorhold_attestation::azure::Quote;
use anchorhold_encoding::sha256;

use super::fake::fake;
use super::*;

const INDEX: u32 = 0x0140_0002;

#[test]
fn an_index_is_defined_written_and_read() {
    let tpm = fake();
    assert_eq!(nv_size(&tpm, INDEX), Ok(None));
    assert_eq!(nv_read(&tpm, INDEX, 4096), Err(Fault::Missing));
    assert_eq!(nv_write(&tpm, INDEX, &[1; 64]), Err(Fault::Refused));
    nv_define(&tpm, INDEX, 64).unwrap();
    assert_eq!(nv_size(&tpm, INDEX), Ok(Some(64)));
    nv_write(&tpm, INDEX, &[1; 64]).unwrap();
    assert_eq!(nv_read(&tpm, INDEX, 64).unwrap(), [1; 64]);
    assert_eq!(nv_read(&tpm, INDEX, 63), Err(Fault::TooLarge));
    // Defined once; and the attributes let owner and paravisor read and write.
    assert_eq!(nv_define(&tpm, INDEX, 64), Err(Fault::Refused));
    assert_eq!(tpm.state.lock().unwrap().indices[&INDEX].0, 0x0006_0006);
}

#[test]
fn a_large_index_is_read_in_pieces() {
    let tpm = fake();
    let content: Vec<u8> = (0..2600_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let mut indices = tpm.state.lock().unwrap();
    indices.indices.insert(7, (0x0006_0006, content.clone()));
    indices.indices.insert(8, (0x0006_0006, Vec::new()));
    drop(indices);
    assert_eq!(nv_read(&tpm, 7, 2600).unwrap(), content);
    assert!(nv_read(&tpm, 8, 2600).unwrap().is_empty());
    let reads = tpm
        .commands
        .lock()
        .unwrap()
        .iter()
        .filter(|code| **code == CC_NV_READ)
        .count();
    assert_eq!(reads, 6);
}

#[test]
fn a_quote_is_one_that_verifiers_read() {
    let tpm = fake();
    let quoted = quote(&tpm, 0x8100_0003, &sha256(&[b"data"])).unwrap();
    assert_eq!(quoted.registers.len(), 24);
    assert_eq!(quoted.registers[23], Digest::new([23; 32]));
    Quote::parse(&quoted.message, &quoted.signature, &quoted.registers).unwrap();
    assert!(tsm_holds(&quoted.message, sha256(&[b"data"]).as_bytes()));
    assert_eq!(
        quote(&tpm, 0x8100_0004, &sha256(&[])).unwrap_err(),
        Fault::Refused
    );
}

fn tsm_holds(message: &[u8], part: &[u8]) -> bool {
    message.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_register_is_extended_as_the_tpm_does_it() {
    let tpm = fake();
    extend(&tpm, 8, &Digest::new([0xcc; 32])).unwrap();
    let values = registers(&tpm).unwrap();
    assert_eq!(values[8], sha256(&[&[8; 32], &[0xcc; 32]]));
    assert_eq!(values[9], Digest::new([9; 32]));
    assert_eq!(extend(&tpm, 24, &Digest::new([0; 32])), Err(Fault::Refused));
}

#[test]
fn registers_that_change_meanwhile_are_quoted_again() {
    let tpm = fake();
    *tpm.restless.lock().unwrap() = 2;
    let quoted = quote(&tpm, 0x8100_0003, &sha256(&[])).unwrap();
    let values: Vec<&[u8]> = quoted
        .registers
        .iter()
        .map(|value| value.as_bytes().as_slice())
        .collect();
    assert!(quoted.message.ends_with(sha256(&values).as_bytes()));
    assert_eq!(quoted.registers[16], sha256(&[sha256(&[&[16; 32]]).as_bytes()]));
    *tpm.restless.lock().unwrap() = usize::MAX;
    assert_eq!(quote(&tpm, 0x8100_0003, &sha256(&[])), Err(Fault::Disturbed));
}

#[test]
fn a_tpm_that_asks_for_patience_gets_some() {
    for code in RC_LATER {
        let tpm = fake();
        *tpm.codes.lock().unwrap() = vec![code; limits::REPORT_ATTEMPTS - 1];
        assert_eq!(nv_size(&tpm, INDEX), Ok(None));
        *tpm.codes.lock().unwrap() = vec![code; limits::REPORT_ATTEMPTS];
        assert_eq!(nv_size(&tpm, INDEX), Err(Fault::Busy));
    }
    let tpm = fake();
    *tpm.codes.lock().unwrap() = vec![0x101]; // TPM_RC_FAILURE
    assert_eq!(nv_size(&tpm, INDEX), Err(Fault::Refused));
    assert_eq!(tpm.commands.lock().unwrap().len(), 0);
}

#[test]
fn a_bank_that_is_not_there_is_said() {
    let tpm = fake();
    // TPML_PCR_SELECTION of a response without the bank: no bits, no digests.
    let garble = |response: Vec<u8>| {
        if response.len() == 10 + 4 + 10 + 4 + 8 * 34 {
            let mut short = response[..10 + 4 + 7].to_vec();
            short.extend([0, 0, 0, 0, 0, 0, 0]);
            let size = u32::try_from(short.len()).unwrap().to_be_bytes();
            short[2..6].copy_from_slice(&size);
            return short;
        }
        response
    };
    *tpm.garble.lock().unwrap() = Some(Box::new(garble));
    assert_eq!(quote(&tpm, 0x8100_0003, &sha256(&[])), Err(Fault::Unsupported));
}

/// Every response, cut short, made longer or with a bit turned, is refused or read as another of the same form;
/// none makes the reader panic.
#[test]
fn no_response_is_believed_half() {
    let tpm = fake();
    nv_define(&tpm, INDEX, 64).unwrap();
    let ask = |tpm: &dyn Tpm| nv_read(tpm, INDEX, 64);
    assert_eq!(ask(&tpm).unwrap(), [0xff; 64]);
    for cut in 1..90 {
        *tpm.garble.lock().unwrap() = Some(Box::new(move |mut response: Vec<u8>| {
            response.truncate(response.len().saturating_sub(cut));
            response
        }));
        assert_eq!(ask(&tpm), Err(Fault::Malformed), "{cut} bytes less");
    }
    *tpm.garble.lock().unwrap() = Some(Box::new(|response: Vec<u8>| [response, vec![0]].concat()));
    assert_eq!(ask(&tpm), Err(Fault::Malformed));
    *tpm.garble.lock().unwrap() = Some(Box::new(|_| vec![0; limits::TPM_RESPONSE + 1]));
    assert_eq!(ask(&tpm), Err(Fault::TooLarge));
    for bit in 0..(10 + 4 + 2) * 8 {
        *tpm.garble.lock().unwrap() = Some(Box::new(move |mut response: Vec<u8>| {
            if let Some(byte) = response.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            response
        }));
        assert!(ask(&tpm).is_err(), "bit {bit}");
    }
}

#[test]
fn the_real_device_is_a_write_and_a_read() {
    use std::path::Path;
    assert!(Device::open(Path::new("/dev/no-such-tpm")).is_err());
    // A file that takes everything and gives nothing.
    let null = Device::open(Path::new("/dev/null")).unwrap();
    assert!(null.exchange(&[1, 2, 3]).unwrap().is_empty());
    assert_eq!(nv_size(&null, INDEX), Err(Fault::Malformed));
}
