//! The real broker and real enclaves, for as long as a test needs them.
//!
//! Why apart: they take seconds to start; tests that run at the same time share them.
//!
//! # Invariants
//! All enclaves of one value have the same configuration and other keys.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anchorhold_attestation::Policy;
use anchorhold_tests::process::Process;
use anchorhold_tests::world::{World, text};

/// A world with a broker and two enclaves.
pub(crate) struct Genuine {
    // Dropped in this order: enclaves, broker, folder. A process handle is only here to end its process.
    _enclaves: Mutex<[Process; 2]>,
    _broker: Mutex<Process>,
    ports: [u16; 2],
    pub(crate) world: World,
}

impl Genuine {
    fn start() -> Self {
        let mut world = World::new(anchorhold_tests::programs!(), &World::demo_model());
        world.configure(|config| config + "\n[anonymous]\nrequests_per_minute = 60000\n");
        let broker = world.start_broker();
        let [one, two] = [world.serve(), world.serve()];
        Self {
            ports: [one.port, two.port],
            _enclaves: Mutex::new([one.process, two.process]),
            _broker: Mutex::new(broker),
            world,
        }
    }

    pub(crate) fn address(&self, which: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[which]))
    }

    /// The path of its policy.
    pub(crate) fn policy_file(&self) -> String {
        text(&self.world.path("policy.toml"))
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy::from_toml(self.world.policy.as_bytes()).expect("a policy")
    }
}

/// One for all tests that run at the same time.
pub(crate) fn shared() -> Arc<Genuine> {
    static SHARED: Mutex<Weak<Genuine>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let genuine = Arc::new(Genuine::start());
        *shared = Arc::downgrade(&genuine);
        genuine
    })
}
