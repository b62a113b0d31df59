//! Outages, ends of validity, spoilt caches and crowds.

use std::fs;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::*;
use crate::endorsements::fake::{
    DAY, Fault, LIST, LIST_PATH, NOW, World, anchors, certificate, crl, forged_crl, vcek,
};
use crate::endorsements::{kds, pem};

fn grace(seconds: u64) -> Grace {
    serde_json::from_str(&seconds.to_string()).unwrap()
}

/// Until the item is kept as `number`, by whoever works behind our back.
async fn until_number(store: &Store, number: &str) {
    for _ in 0..500 {
        let kept = store.inner.cache.read(&LIST).unwrap().unwrap();
        if kept.said.number.as_deref() == Some(number) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("number {number} never came");
}

#[tokio::test]
async fn no_outage_while_a_kept_item_is_valid() {
    let world = World::new().await;
    let until = NOW + 30 * DAY;
    let list = world.list(NOW - DAY, until, 1);
    let store = world.store();
    let first = store.get(&LIST, None).await.unwrap();
    assert_eq!(
        (first.freshness, first.endorsement.body()),
        (Freshness::Fetched, &list[..])
    );
    // Young enough: nobody is asked.
    let second = store.get(&LIST, None).await.unwrap();
    assert_eq!(
        (second.freshness, second.endorsement.body()),
        (Freshness::Kept, &list[..])
    );
    assert_eq!(world.service.requests().len(), 1);

    for fault in [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(404),
        Fault::Status(302),
        Fault::TooMany(1),
        Fault::Hang,
        Fault::Truncated,
        Fault::Oversized,
        Fault::WrongContent,
        Fault::Closes,
    ] {
        world.service.always(Some(fault));
        for now in [NOW, NOW + 29 * DAY, until] {
            world.hands.set(now);
            // A new process each time: it knows nothing but what lies on the disk.
            let store = if fault == Fault::Hang {
                world.hasty_store()
            } else {
                world.store()
            };
            let held = store.get(&LIST, None).await.unwrap();
            assert_eq!(held.endorsement.body(), list, "{fault:?} at {now}");
            let held = store.refresh(&LIST, None).await.unwrap();
            assert!(
                matches!(held.freshness, Freshness::Stale(Some(_))),
                "{fault:?}: {held:?}"
            );
            assert_eq!(held.endorsement.body(), list, "{fault:?} at {now}");
        }
    }
    let World {
        service,
        hands,
        folder,
        pauses,
    } = world;
    service.stop().await;
    let service = crate::endorsements::fake::Service::start().await;
    let unreachable = service.address().to_owned();
    service.stop().await;
    let sources = super::super::vendor::Sources::new(
        Some(&unreachable),
        None,
        None,
        None,
        super::super::origin::PlainHttp::LoopbackOnly,
    );
    let http = super::super::http::Http::new(&[], &hands.clock(), Default::default()).unwrap();
    let pacing = super::super::pacing::Pacing::new(|| 0, |_| Box::pin(std::future::ready(())));
    let vendor = Vendor::new(http, sources.unwrap(), pacing, hands.clock());
    let store = Store::new(
        Cache::open(folder.path()).unwrap(),
        vendor,
        anchors(),
        hands.clock(),
    );
    let held = store.refresh(&LIST, None).await.unwrap();
    assert!(
        matches!(held.freshness, Freshness::Stale(Some(FetchError::Unreachable(_)))),
        "{held:?}"
    );
    assert_eq!(held.endorsement.body(), list);
    drop(pauses);
}

#[tokio::test]
async fn an_expired_item_is_used_under_a_policys_grace_only() {
    let world = World::new().await;
    let until = NOW + 2 * DAY;
    let list = world.list(NOW - DAY, until, 1);
    world.store().get(&LIST, None).await.unwrap();
    world.service.always(Some(Fault::Status(500)));
    world.hands.set(until + 1);
    for attempt in [
        world.store().get(&LIST, None).await,
        world.store().refresh(&LIST, None).await,
    ] {
        let Err(StoreError::Expired { until: end, why, .. }) = attempt else {
            panic!("{attempt:?}")
        };
        assert_eq!(end.unix(), until);
        assert!(matches!(why, FetchError::Failing { status: 500, .. }));
    }
    // A service that hands out its own expired item is no way around.
    world.service.always(None);
    let Err(StoreError::Expired { why, .. }) = world.store().get(&LIST, None).await else {
        panic!("expired")
    };
    assert!(matches!(why, FetchError::NotValid { .. }));

    let held = world.store().get(&LIST, Some(grace(60))).await.unwrap();
    assert!(matches!(held.freshness, Freshness::Expired { until: end, .. } if end.unix() == until));
    assert_eq!(held.endorsement.body(), list);
    world.hands.set(until + 60);
    assert!(world.store().get(&LIST, Some(grace(60))).await.is_ok());
    world.hands.set(until + 61);
    assert!(world.store().get(&LIST, Some(grace(60))).await.is_err());
    assert!(serde_json::from_str::<Grace>("604801").is_err());
    // Nor does an item leave before its time.
    world.hands.set(NOW - DAY - 1);
    assert!(world.store().get(&LIST, Some(grace(60))).await.is_err());
}

#[tokio::test]
async fn a_spoilt_cache_is_noticed_and_never_used() {
    let world = World::new().await;
    world.list(NOW - DAY, NOW + DAY, 1);
    let (store, path) = (world.store(), world.cache().path(&LIST));
    store.get(&LIST, None).await.unwrap();
    let good = fs::read(&path).unwrap();

    let turin = Item::AmdCrl {
        product: anchorhold_attestation::snp::Product::Turin,
    };
    let other = Endorsement::new(EndorsementKind::AmdCrl, crl("ARK-Turin", NOW - DAY, NOW + DAY, 1)).unwrap();
    let cache = world.cache();
    cache.write(&turin, &other, Timestamp::from_unix(NOW)).unwrap();
    let of_turin = fs::read(cache.path(&turin)).unwrap();
    // Whoever can write here can make a right checksum too: the name of another's list under this item's.
    cache.write(&LIST, &other, Timestamp::from_unix(NOW)).unwrap();
    let renamed = fs::read(&path).unwrap();

    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let younger = String::from_utf8(good.clone())
        .unwrap()
        .replace(&NOW.to_string(), &(NOW + 1).to_string());
    assert_ne!(younger.as_bytes(), good);
    for spoilt in [
        flipped,
        good[..good.len() - 1].to_vec(),
        Vec::new(),
        of_turin,
        renamed,
        younger.into_bytes(),
    ] {
        fs::write(&path, &spoilt).unwrap();
        assert!(matches!(cache.read(&LIST), Err(CacheError::Poisoned(found)) if found == path));
        world.service.always(Some(Fault::Status(503)));
        let refused = world.store().get(&LIST, Some(grace(60))).await.unwrap_err();
        let StoreError::Missing { poisoned, .. } = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(poisoned.as_deref(), Some(path.as_path()));
        // The next answer takes its place, and is said to have done so.
        world.service.always(None);
        let held = world.store().get(&LIST, None).await.unwrap();
        assert_eq!(
            (held.freshness, held.poisoned),
            (Freshness::Fetched, Some(path.clone()))
        );
        assert!(cache.read(&LIST).unwrap().is_some());
    }
    fs::write(path.with_file_name("stray.json"), b"{}").unwrap();
    let (kept, poisoned) = cache.all().unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(poisoned, [path.with_file_name("stray.json")]);
}

#[tokio::test]
async fn a_crowd_asks_once_and_shares_the_outcome() {
    let world = World::new().await;
    world.list(NOW - DAY, NOW + DAY, 1);
    let crowd = |store: Store| async move {
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.get(&LIST, None).await.map(|held| held.endorsement) })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        answers
    };
    world.service.always(Some(Fault::Status(500)));
    assert!(crowd(world.store()).await.iter().all(Result::is_err));
    let attempts = usize::try_from(limits::FETCH_ATTEMPTS).unwrap();
    assert_eq!(world.service.requests().len(), attempts);

    world.service.always(None);
    let answers = crowd(world.store()).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(world.service.requests().len(), attempts + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_share_a_folder_never_see_half_a_file() {
    let world = World::new().await;
    world.list(NOW - DAY, NOW + DAY, 1);
    world.store().get(&LIST, None).await.unwrap();
    let refreshers: Vec<_> = (0..4)
        .map(|_| {
            let store = world.store();
            tokio::spawn(async move {
                for _ in 0..20 {
                    store.refresh(&LIST, None).await.unwrap();
                }
            })
        })
        .collect();
    let cache = world.cache();
    while !refreshers.iter().all(JoinHandle::is_finished) {
        assert!(cache.read(&LIST).unwrap().is_some());
        tokio::task::yield_now().await;
    }
    for refresher in refreshers {
        refresher.await.unwrap();
    }
    let left: Vec<_> = fs::read_dir(cache.path(&LIST).parent().unwrap())
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "nothing half-written is left behind");
}

#[tokio::test]
async fn an_old_item_is_used_at_once_and_replaced_behind_the_callers_back() {
    let world = World::new().await;
    world.list(NOW - DAY, NOW + 30 * DAY, 1);
    let store = world.store();
    store.get(&LIST, None).await.unwrap();
    world.hands.set(NOW + DAY);
    world.list(NOW, NOW + 31 * DAY, 2);
    let held = store.get(&LIST, None).await.unwrap();
    assert_eq!(
        (held.freshness, held.said.number.as_deref()),
        (Freshness::Stale(None), Some("1"))
    );
    until_number(&store, "2").await;
    let held = store.get(&LIST, None).await.unwrap();
    assert_eq!(
        (held.freshness, held.said.number.as_deref()),
        (Freshness::Kept, Some("2"))
    );
}

#[tokio::test]
async fn a_newer_item_is_never_given_up_for_an_older_one() {
    let world = World::new().await;
    world.list(NOW - DAY, NOW + 30 * DAY, 2);
    let store = world.store();
    store.get(&LIST, None).await.unwrap();
    world.list(NOW - 2 * DAY, NOW + 29 * DAY, 1);
    let held = store.refresh(&LIST, None).await.unwrap();
    assert_eq!(held.freshness, Freshness::Stale(Some(FetchError::Older)));
    assert_eq!(held.said.number.as_deref(), Some("2"));
    // Once it has expired, the older one that is still valid is better than none.
    world.list(NOW - 2 * DAY, NOW + 40 * DAY, 1);
    world.hands.set(NOW + 31 * DAY);
    let held = store.refresh(&LIST, None).await.unwrap();
    assert_eq!(
        (held.freshness, held.said.number.as_deref()),
        (Freshness::Fetched, Some("1"))
    );
}

#[tokio::test]
async fn a_service_that_fails_is_left_alone_for_a_while() {
    let world = World::new().await;
    world.list(NOW - DAY, NOW + 30 * DAY, 1);
    let store = world.store();
    store.get(&LIST, None).await.unwrap();
    world.hands.set(NOW + 2 * DAY);
    world.service.always(Some(Fault::Status(500)));
    store.refresh(&LIST, None).await.unwrap();
    let asked = world.service.requests().len();
    for _ in 0..10 {
        let held = store.get(&LIST, None).await.unwrap();
        assert_eq!(held.freshness, Freshness::Kept);
    }
    tokio::task::yield_now().await;
    assert_eq!(world.service.requests().len(), asked);
    world.service.always(None);
    world.hands.set(NOW + 2 * DAY + limits::REFRESH_PAUSE_SECONDS);
    world
        .service
        .page(LIST_PATH, crl("ARK-Milan", NOW, NOW + 31 * DAY, 2));
    assert!(matches!(
        store.get(&LIST, None).await.unwrap().freshness,
        Freshness::Stale(_)
    ));
    until_number(&store, "2").await;
}

#[tokio::test]
async fn a_forged_list_never_enters_the_cache() {
    let world = World::new().await;
    let forged = forged_crl("ARK-Milan", NOW, NOW + 90 * DAY, 9);
    world.service.page(LIST_PATH, forged.clone());
    let error = world.store().get(&LIST, None).await.unwrap_err();
    let check = "x509-signature";
    assert!(
        matches!(error, StoreError::Missing { why: FetchError::Unproven { check: found }, .. } if found == check),
        "{error:?}"
    );
    assert_eq!(error.code(), "endorsement-not-proven");
    assert!(world.cache().read(&LIST).unwrap().is_none());
    // Nor does it take the place of one that is kept, newer as it says it is.
    let list = world.list(NOW - DAY, NOW + DAY, 1);
    world.store().get(&LIST, None).await.unwrap();
    world.service.page(LIST_PATH, forged);
    let held = world.store().refresh(&LIST, None).await.unwrap();
    assert_eq!(
        (held.freshness, held.endorsement.body()),
        (Freshness::Stale(Some(FetchError::Unproven { check })), &list[..])
    );
}

#[tokio::test]
async fn a_forged_list_in_the_cache_is_passed_over_and_fetched_anew() {
    let world = World::new().await;
    let (cache, path) = (world.cache(), world.cache().path(&LIST));
    let poison = || {
        let forged = forged_crl("ARK-Milan", NOW, NOW + 90 * DAY, 9);
        let forged = Endorsement::new(EndorsementKind::AmdCrl, forged).unwrap();
        cache.write(&LIST, &forged, Timestamp::from_unix(NOW)).unwrap();
    };
    poison();
    // It is whole and of its name: only its signature tells.
    assert!(cache.read(&LIST).unwrap().is_some());
    world.service.always(Some(Fault::Status(503)));
    let error = world.store().get(&LIST, Some(grace(60))).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Missing { poisoned: Some(found), .. } if *found == path),
        "{error:?}"
    );
    // The genuine list is older than the forged one says it is, and still takes its place.
    world.service.always(None);
    let list = world.list(NOW - DAY, NOW + DAY, 1);
    for _ in 0..2 {
        poison();
        let held = world.store().fresh(&LIST, None).await.unwrap();
        assert_eq!(
            (held.freshness, held.endorsement.body(), held.poisoned),
            (Freshness::Fetched, &list[..], Some(path.clone()))
        );
    }
    assert_eq!(
        world.store().fresh(&LIST, None).await.unwrap().freshness,
        Freshness::Kept
    );
}

#[tokio::test]
async fn a_certificate_is_kept_only_under_its_authority() {
    use anchorhold_attestation::snp::{Product, Tcb};
    let world = World::new().await;
    let (product, hardware_id) = (Product::Milan, [7; 64]);
    let tcb = Tcb {
        fmc: None,
        boot_loader: 4,
        tee: 0,
        snp: 24,
        microcode: 219,
    };
    let item = Item::AmdVcek {
        product,
        hardware_id,
        tcb,
    };
    let der = vcek(product, &hardware_id, &tcb, NOW + DAY);
    world
        .service
        .page(&kds::vcek_path(product, &hardware_id, &tcb), der.clone());
    let error = world.store().get(&item, None).await.unwrap_err();
    assert_eq!(error.code(), "endorsement-not-proven", "{error}");
    assert!(world.cache().read(&item).unwrap().is_none());

    let chain = ["SEV-Milan", "ARK-Milan"].map(|name| certificate(name, NOW + DAY));
    let path = "/vcek/v1/Milan/cert_chain";
    world.service.page(path, pem::write(&chain).into_bytes());
    let held = world.store().get(&item, None).await.unwrap();
    assert_eq!(
        (held.freshness, held.endorsement.body()),
        (Freshness::Fetched, &der[..])
    );
    // The authority was fetched on the way, and is asked for once.
    let authority = item.authority().unwrap();
    assert!(world.cache().read(&authority).unwrap().is_some());
    let asked = |world: &World| {
        world
            .service
            .requests()
            .iter()
            .filter(|one| one.ends_with(path))
            .count()
    };
    let before = asked(&world);
    assert_eq!(
        world.store().get(&authority, None).await.unwrap().freshness,
        Freshness::Kept
    );
    assert_eq!(asked(&world), before);

    // Somebody else's of the same chip and TCB, in the cache.
    let mut forged = der.clone();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Endorsement::new(EndorsementKind::AmdVek, forged).unwrap();
    let cache = world.cache();
    cache.write(&item, &forged, Timestamp::from_unix(NOW)).unwrap();
    let held = world.store().get(&item, None).await.unwrap();
    assert_eq!(
        (held.freshness, held.endorsement.body()),
        (Freshness::Fetched, &der[..])
    );
    assert_eq!(held.poisoned, Some(cache.path(&item)));
}
