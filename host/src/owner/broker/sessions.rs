//! RCAR sessions: a nonce, then evidence, then resources, each once, within five minutes.
//!
//! Why apart: what is used once is taken out here, under one lock.
//!
//! # Invariants
//! A nonce is taken out when evidence arrives, whatever becomes of it. A resource is taken once a session.
//! A session past its life does not exist. When the table is full the oldest session goes, one without
//! evidence before one with: a flood of strangers cannot lock enclaves out for longer than a retry.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use anchorhold_attestation::{Evidence, HashAlgorithm, ResourcePath, Timestamp};
use anchorhold_encoding::Digest;
use serde_json::Value;

use crate::limits;

/// A session's name in its cookie: a version 4 UUID (RFC 9562, 5.4) in simple form, 122 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionId([u8; 16]);

impl SessionId {
    /// From random bytes.
    #[must_use]
    pub(super) fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// 32 hexadecimal digits; `None` for anything else.
    #[must_use]
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse::<Digest<16>>()
            .ok()
            .map(|digest| Self(*digest.as_bytes()))
    }

    /// The cookie's value.
    #[must_use]
    pub(super) fn to_text(self) -> String {
        Digest::new(self.0).to_string()
    }
}

/// What was asked of an enclave.
#[derive(Debug, Clone)]
pub(super) struct Challenged {
    /// Base64 text, as sent.
    pub(super) nonce: String,
    /// By the broker's clock.
    pub(super) drawn_at: Timestamp,
    /// The `tee` the enclave announced.
    pub(super) tee: kbs_types::Tee,
    /// The hash selected for the session.
    pub(super) algorithm: HashAlgorithm,
}

/// What it answered: kept as bytes, and judged again for each resource.
pub(super) struct Attested {
    /// What was asked.
    pub(super) challenged: Challenged,
    /// Its evidence.
    pub(super) evidence: Evidence,
    /// `tee-pubkey` as received.
    pub(super) tee_pubkey: Value,
    /// `additional_evidence` as received.
    pub(super) additional_evidence: String,
    /// `init-data.body` as received.
    pub(super) init_data: Vec<u8>,
}

enum State {
    Challenged(Challenged),
    /// Evidence is being judged: the nonce is used up.
    Judged,
    Attested {
        answer: Arc<Attested>,
        taken: BTreeSet<String>,
    },
}

struct Session {
    opened: Instant,
    state: State,
}

/// All sessions of a broker.
pub(super) struct Sessions {
    table: HashMap<SessionId, Session>,
    capacity: usize,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

impl Sessions {
    /// None yet; at most [`limits::SESSIONS`].
    #[must_use]
    pub(super) fn new() -> Self {
        Self::with_capacity(limits::SESSIONS)
    }

    fn with_capacity(capacity: usize) -> Self {
        Self {
            table: HashMap::new(),
            capacity,
        }
    }

    /// Opens a session.
    pub(super) fn open(&mut self, id: SessionId, challenged: Challenged, now: Instant) {
        self.make_room(now);
        let session = Session {
            opened: now,
            state: State::Challenged(challenged),
        };
        self.table.insert(id, session);
    }

    fn make_room(&mut self, now: Instant) {
        self.table.retain(|_, session| is_alive(session, now));
        if self.table.len() < self.capacity {
            return;
        }
        let oldest = self
            .table
            .iter()
            .min_by_key(|(_, session)| (matches!(session.state, State::Attested { .. }), session.opened))
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.table.remove(&id);
        }
    }

    /// Takes the nonce out: nobody gets it a second time.
    pub(super) fn take_challenge(&mut self, id: &SessionId, now: Instant) -> Option<Challenged> {
        let session = self.alive(id, now)?;
        match std::mem::replace(&mut session.state, State::Judged) {
            State::Challenged(challenged) => Some(challenged),
            other => {
                session.state = other;
                None
            }
        }
    }

    /// Keeps an answer that was affirmed.
    pub(super) fn keep(&mut self, id: &SessionId, answer: Attested, now: Instant) {
        if let Some(session) = self.alive(id, now)
            && matches!(session.state, State::Judged)
        {
            session.state = State::Attested {
                answer: Arc::new(answer),
                taken: BTreeSet::new(),
            };
        }
    }

    /// The session's answer, for a resource it has not asked for before.
    pub(super) fn take_resource(
        &mut self,
        id: &SessionId,
        resource: &ResourcePath,
        now: Instant,
    ) -> Option<Arc<Attested>> {
        match &mut self.alive(id, now)?.state {
            State::Attested { answer, taken } => {
                // Paths are checked against the configuration first: the set cannot grow beyond it.
                taken
                    .insert(resource.as_str().to_owned())
                    .then(|| Arc::clone(answer))
            }
            State::Challenged(_) | State::Judged => None,
        }
    }

    fn alive(&mut self, id: &SessionId, now: Instant) -> Option<&mut Session> {
        if !is_alive(self.table.get(id)?, now) {
            self.table.remove(id);
        }
        self.table.get_mut(id)
    }
}

fn is_alive(session: &Session, now: Instant) -> bool {
    now.duration_since(session.opened) < limits::SESSION_LIFE
}

#[cfg(test)]
mod tests {
    use super::*;
    use anchorhold_attestation::Platform;
    use std::time::Duration;

    fn challenged() -> Challenged {
        Challenged {
            nonce: String::new(),
            drawn_at: Timestamp::from_unix(0),
            tee: kbs_types::Tee::Sample,
            algorithm: HashAlgorithm::Sha384,
        }
    }

    fn attested() -> Attested {
        Attested {
            challenged: challenged(),
            evidence: Evidence::new(Platform::InsecureSimulated, vec![1], vec![]).unwrap(),
            tee_pubkey: Value::Null,
            additional_evidence: String::new(),
            init_data: Vec::new(),
        }
    }

    fn id(number: u8) -> SessionId {
        SessionId::from_random([number; 16])
    }

    #[test]
    fn names_are_version_4_uuids_in_simple_form() {
        let text = SessionId::from_random([0xff; 16]).to_text();
        assert_eq!(text, "ffffffffffff4fffbfffffffffffffff");
        assert!(SessionId::parse(&text) == Some(SessionId::from_random([0xff; 16])));
        assert!(SessionId::parse("ffffffff-ffff-4fff-bfff-ffffffffffff").is_none());
    }

    #[test]
    fn a_nonce_and_a_resource_are_used_once() {
        let (mut sessions, now) = (Sessions::new(), Instant::now());
        let path: ResourcePath = "default/model/demo".parse().unwrap();
        sessions.open(id(1), challenged(), now);
        assert!(
            sessions.take_resource(&id(1), &path, now).is_none(),
            "before evidence"
        );
        assert!(sessions.take_challenge(&id(1), now).is_some());
        assert!(sessions.take_challenge(&id(1), now).is_none());
        assert!(
            sessions.take_resource(&id(1), &path, now).is_none(),
            "while judged"
        );
        sessions.keep(&id(1), attested(), now);
        assert!(sessions.take_challenge(&id(1), now).is_none());
        assert!(sessions.take_resource(&id(1), &path, now).is_some());
        assert!(sessions.take_resource(&id(1), &path, now).is_none());
        assert!(
            sessions
                .take_resource(&id(1), &"default/model/two".parse().unwrap(), now)
                .is_some()
        );
    }

    #[test]
    fn a_session_lives_five_minutes() {
        let (mut sessions, now) = (Sessions::new(), Instant::now());
        sessions.open(id(1), challenged(), now);
        sessions.open(id(2), challenged(), now);
        let last = now + Duration::from_millis(299_999);
        assert!(sessions.take_challenge(&id(1), last).is_some());
        assert!(
            sessions
                .take_challenge(&id(2), now + Duration::from_secs(300))
                .is_none()
        );
    }

    #[test]
    fn a_flood_pushes_out_strangers_before_enclaves() {
        let (mut sessions, now) = (Sessions::with_capacity(2), Instant::now());
        let path: ResourcePath = "default/model/demo".parse().unwrap();
        sessions.open(id(1), challenged(), now);
        assert!(sessions.take_challenge(&id(1), now).is_some());
        sessions.keep(&id(1), attested(), now);
        for number in 2..100 {
            sessions.open(id(number), challenged(), now + Duration::from_secs(1));
        }
        assert_eq!(sessions.table.len(), 2);
        assert!(
            sessions
                .take_resource(&id(1), &path, now + Duration::from_secs(2))
                .is_some()
        );
        assert!(
            sessions
                .take_challenge(&id(99), now + Duration::from_secs(2))
                .is_some()
        );
    }
}
