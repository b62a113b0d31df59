//! Nothing to gain and nothing left: no new privileges, no capabilities, no dumps.
//!
//! Why apart: these need no leave of anybody, so that there is no setting to do without them.
//!
//! # Invariants
//! Called before the first thread begins: what is given up here is each thread's own, and the others inherit that it is
//! gone.
//!
//! Sources: capabilities(7); prctl(2), PR_SET_NO_NEW_PRIVS and PR_SET_DUMPABLE; setrlimit(2), RLIMIT_CORE.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits, set_no_new_privs,
};

use super::ConfineError;

/// Programs that are started gain nothing.
pub(super) fn forbid_new() -> Result<(), ConfineError> {
    set_no_new_privs(true).map_err(|_| ConfineError::NoNewPrivs)
}

/// Gives up all capabilities, and every way back to them that this process may close.
pub(super) fn drop_capabilities() -> Result<(), ConfineError> {
    // Without CAP_SETPCAP these two are refused; then there is little to give up, and no_new_privs closes the same way.
    let _ = set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED,
    );
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(one) {
            Ok(true) => {
                let _ = remove_capability_from_bounding_set(one);
            }
            Ok(false) => {}
            // The kernel has no more than this.
            Err(_) => break,
        }
    }
    // Kernels before 4.3 have none.
    match clear_ambient_capability_set() {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(_) => return Err(ConfineError::Capabilities),
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(|_| ConfineError::Capabilities)
}

/// That [`crate::process::prepare`] has forbidden core dumps and debuggers.
pub(super) fn leaves_no_dump() -> Result<(), ConfineError> {
    let core = getrlimit(Resource::Core);
    let none = core.current == Some(0) && core.maximum == Some(0);
    match dumpable_behavior() {
        Ok(DumpableBehavior::NotDumpable) if none => Ok(()),
        _ => Err(ConfineError::Dumps),
    }
}
