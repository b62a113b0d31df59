//! Tests of batching: one report for many nonces, each client with its own proof.

mod pipeline;

use anchorhold_attestation::simulated::LaunchRecord;
use anchorhold_attestation::{
    Anchors, Binding, Challenge, DevicesDigest, Endorsements, Evidence, NonceBatch, Platform,
    ReceivedIdentity, Timestamp, verify,
};
use anchorhold_encoding::Digest;

use super::*;

fn attester() -> Arc<Attester> {
    let launch = LaunchRecord {
        measurement: Digest::new([1; 48]),
        host_data: Digest::new([7; 32]),
    };
    Arc::new(Attester::new(Platform::InsecureSimulated, &launch).unwrap())
}

fn service() -> (EvidenceService, Arc<Identity>) {
    let identity = Arc::new(Identity::for_tests());
    (
        EvidenceService::start(attester(), Arc::clone(&identity)),
        identity,
    )
}

fn nonce(number: u16) -> Nonce {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    Nonce::from_random(bytes)
}

/// What the report signs is what a client with this nonce expects.
fn covers(answer: &Answer, nonce: Nonce, identity: &Identity) -> bool {
    let evidence = Evidence::from_json(&answer.evidence).unwrap();
    let now = Timestamp::from_unix(1_800_000_000);
    let verified = verify(&evidence, &Endorsements::none(), &Anchors::compiled(), now).unwrap();
    let single = NonceBatch::collect(vec![nonce]).unwrap();
    if answer.proof.size == 1 {
        let expected = single.report_data(&identity.digest(), &DevicesDigest::of(&[]));
        return verified.get().report_data == expected;
    }
    let received = ReceivedIdentity::parse(identity.bytes()).unwrap();
    let challenge = Challenge::new(*nonce.as_bytes(), now);
    let _: Binding<_> = Binding::client(&challenge, received, &answer.proof, &evidence);
    let leaf = anchorhold_encoding::tree::leaf(nonce.as_bytes());
    let proof = &answer.proof;
    anchorhold_encoding::tree::root_from_path(leaf, proof.index, proof.size, &proof.path).is_some()
}

#[tokio::test]
async fn one_client_alone_gets_evidence_for_its_nonce() {
    let (service, identity) = service();
    let answer = service.evidence_for(nonce(1)).await.unwrap();
    assert_eq!((answer.proof.index, answer.proof.size), (0, 1));
    assert!(covers(&answer, nonce(1), &identity));
    let evidence = Evidence::from_json(&answer.evidence).unwrap();
    assert_eq!(identity.newest_evidence(), evidence.digest());
}

#[tokio::test]
async fn clients_of_one_window_share_one_report() {
    let (service, identity) = service();
    let asks = (0..50).map(|number| {
        let service = service.clone();
        tokio::spawn(async move { (number, service.evidence_for(nonce(number)).await.unwrap()) })
    });
    let asks: Vec<_> = asks.collect();
    let mut roots = Vec::new();
    let mut evidence = Vec::new();
    for ask in asks {
        let (number, answer) = ask.await.unwrap();
        assert_eq!(answer.proof.size, 50);
        assert!(covers(&answer, nonce(number), &identity));
        let leaf = anchorhold_encoding::tree::leaf(nonce(number).as_bytes());
        let proof = &answer.proof;
        roots.push(anchorhold_encoding::tree::root_from_path(
            leaf,
            proof.index,
            proof.size,
            &proof.path,
        ));
        evidence.push(answer.evidence);
    }
    assert!(roots.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(evidence.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn later_clients_get_a_report_of_their_own() {
    let (service, _) = service();
    let one = service.evidence_for(nonce(1)).await.unwrap();
    let two = service.evidence_for(nonce(1)).await.unwrap();
    // The same nonce in two batches of one: the same bytes are signed; another nonce gives others.
    assert_eq!(one.evidence, two.evidence);
    let three = service.evidence_for(nonce(3)).await.unwrap();
    assert_ne!(one.evidence, three.evidence);
}

#[tokio::test]
async fn a_client_that_left_takes_no_leaf() {
    let (service, _) = service();
    let leaver = service.clone();
    let left = tokio::spawn(async move { leaver.evidence_for(nonce(1)).await });
    tokio::task::yield_now().await;
    left.abort();
    assert!(left.await.is_err());
    let answer = service.evidence_for(nonce(2)).await.unwrap();
    assert_eq!(answer.proof.size, 1);
}

#[tokio::test]
async fn a_full_queue_is_said_at_once() {
    let (asks, mut receiver) = mpsc::channel(1);
    let service = EvidenceService { asks };
    let first = tokio::spawn({
        let service = service.clone();
        async move { service.evidence_for(nonce(1)).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(service.evidence_for(nonce(2)).await.err(), Some(NoEvidence::Busy));
    // The attester failed: the sender is dropped.
    drop(receiver.recv().await);
    assert_eq!(first.await.unwrap().err(), Some(NoEvidence::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_stuck_platform() {
    let (asks, _receiver) = mpsc::channel(1);
    let service = EvidenceService { asks };
    assert_eq!(
        service.evidence_for(nonce(1)).await.err(),
        Some(NoEvidence::Unavailable)
    );
}

#[tokio::test(start_paused = true)]
async fn more_clients_than_one_report_covers_get_two() {
    let (service, _) = service();
    let most = limits::BATCH_NONCES as u64;
    let mut asks = Vec::new();
    for number in 0..u16::try_from(most).unwrap() + 100 {
        let service = service.clone();
        asks.push(tokio::spawn(async move {
            service.evidence_for(nonce(number)).await.unwrap().proof.size
        }));
        // Time stands still meanwhile: the window of the first batch is open all along.
        tokio::task::yield_now().await;
    }
    let mut sizes = Vec::new();
    for ask in asks {
        sizes.push(ask.await.unwrap());
    }
    assert_eq!(sizes.iter().filter(|size| **size == most).count() as u64, most);
    assert_eq!(sizes.iter().filter(|size| **size == 100).count(), 100);
}
