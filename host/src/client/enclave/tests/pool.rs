//! How much is kept: of idle connections, and of an answer whose receipt is still to come.

use super::*;

/// As many questions at once as given; each is answered.
async fn all_at_once(enclave: &Arc<Enclave>, count: usize) {
    let ask = |_| {
        let enclave = Arc::clone(enclave);
        tokio::spawn(async move { enclave.ask(question(false)).await })
    };
    let asked: Vec<_> = (0..count).map(ask).collect();
    let mut exchanges = Vec::new();
    for exchange in asked {
        exchanges.push(exchange.await.unwrap().unwrap());
    }
    for exchange in exchanges {
        assert!(exchange.whole().await.unwrap().receipt.is_some());
    }
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_the_limit() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    let enclave = enclave(fake.endpoint(), &hands);
    let made = || fake.state.connections.load(Ordering::SeqCst);
    let more = limits::POOL + 2;
    all_at_once(&enclave, more).await;
    assert_eq!(made(), more as u64);
    all_at_once(&enclave, more).await;
    assert_eq!(made(), more as u64 + 2, "as many as the limit were used again");
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_leaves_the_identity_as_it_was() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    // Takes the connection and ends it.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = nobody.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let _ = nobody.accept().await;
        }
    });
    let (address, _switch) = switch(vec![fake.address, closed, fake.address]).await;
    let enclave = enclave(at(address), &hands);
    let first = enclave.ask(question(true)).await.unwrap();
    let failed = error(enclave.ask(question(false)).await);
    assert!(matches!(failed, ClientError::Handshake), "{failed}");
    let third = enclave.ask(question(false)).await.unwrap();
    assert!(third.whole().await.unwrap().receipt.is_some());
    let attested = fake
        .seen()
        .iter()
        .filter(|seen| seen.path.ends_with("attestation"))
        .count();
    assert_eq!(attested, 1, "an outage says nothing about the evidence");
    drop(first);
}

/// A receipt comes last, so every event is kept until then: one without a payload is not free.
#[tokio::test]
async fn events_without_a_payload_are_counted_too() {
    let (fake, hands) = (Fake::start(GENUINE).await, Hands::new());
    fake.set(Fault::EmptyEvents);
    let found = error(streamed(&enclave(fake.endpoint(), &hands)).await);
    assert!(matches!(found, ClientError::TooLarge(Stage::Answer)), "{found}");
}
