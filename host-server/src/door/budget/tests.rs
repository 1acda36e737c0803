use std::net::{IpAddr, SocketAddr};

use futures_lite::future;

use super::{Budget, Place, SentAway};
use crate::config::Limits;
use crate::witness::Witness;

fn budget(connections: usize, handshakes: usize, handshakes_per_address: usize) -> Budget {
    let limits = Limits {
        connections,
        handshakes,
        handshakes_per_address,
        ..Limits::default()
    };
    Budget::new(limits, Witness::silent())
}

fn enter(budget: &Budget, address: &str) -> Option<Place> {
    budget
        .enter((address.parse::<IpAddr>().expect("an address"), 1).into())
        .ok()
}

fn sent_away(place: &Place) -> Option<SentAway> {
    future::block_on(future::poll_once(
        place.hold(Box::pin(future::pending::<()>())),
    ))
    .flatten()
}

#[test]
fn the_oldest_stranger_gives_way_and_peers_do_not() {
    let budget = budget(10, 2, 2);
    let places = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| {
        let place = enter(&budget, address).expect("a place");
        if address == "10.0.0.1" {
            assert!(place.settle());
        }
        place
    });
    assert!(places.iter().all(|place| sent_away(place).is_none()));
    let _newest = enter(&budget, "10.0.0.4");
    assert_eq!(sent_away(&places[0]), None, "a peer");
    assert_eq!(sent_away(&places[1]), Some(SentAway::GivesWay));
    assert!(!places[1].settle(), "it is too late to become a peer");
    assert_eq!(sent_away(&places[2]), None);
}

#[test]
fn an_address_pushes_out_only_its_own() {
    let budget = budget(10, 4, 2);
    let other = enter(&budget, "2001:db8::1").expect("a place");
    let first = enter(&budget, "2001:db8:0:1::1").expect("a place");
    let second = enter(&budget, "2001:db8:0:1::2").expect("a place");
    let third = enter(&budget, "2001:db8:0:1:ffff::3").expect("a place");
    assert_eq!(sent_away(&first), Some(SentAway::GivesWay));
    for place in [other, second, third] {
        assert_eq!(sent_away(&place), None);
    }
}

#[test]
fn who_comes_by_a_proxy_counts_as_whom_the_proxy_speaks_for() {
    let budget = budget(10, 8, 2);
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    let by_proxy = || {
        budget
            .enter_by_proxy(SocketAddr::from(([127, 0, 0, 1], 9)))
            .expect("a place")
    };
    let unknown = [(); 3].map(|()| by_proxy());
    assert!(unknown.iter().all(|place| sent_away(place).is_none()));
    assert!(!budget.is_under_load(address("127.0.0.1")));
    drop(unknown);
    let places = [(); 3].map(|()| {
        let place = by_proxy();
        assert_eq!(place.count_as(address("203.0.113.7")), Ok(()));
        // Another request of the same is no other stranger.
        assert_eq!(place.count_as(address("203.0.113.7")), Ok(()));
        assert_eq!(place.network(), address("203.0.113.7"));
        place
    });
    let gone = places.iter().map(sent_away).collect::<Vec<_>>();
    assert_eq!(gone, [Some(SentAway::GivesWay), None, None]);
    let direct = enter(&budget, "203.0.113.7").expect("a place");
    assert_eq!(
        sent_away(&places[1]),
        Some(SentAway::GivesWay),
        "one address, one share"
    );
    let other = by_proxy();
    assert_eq!(other.count_as(address("203.0.113.8")), Ok(()));
    for place in [&places[2], &direct, &other] {
        assert_eq!(sent_away(place), None);
    }
}

#[test]
fn half_of_the_places_are_a_load_for_all_or_for_one_address() {
    let budget = budget(10, 8, 4);
    let load = |address: &str| budget.is_under_load(address.parse().expect("an address"));
    let first = enter(&budget, "10.0.0.1").expect("a place");
    assert!(!load("10.0.0.1"));
    let _second = enter(&budget, "10.0.0.1").expect("a place");
    assert!(load("10.0.0.1") && !load("10.0.0.2"));
    assert!(first.settle(), "a peer is no load");
    assert!(!load("10.0.0.1"));
    let others = ["10.0.0.2", "10.0.0.3", "10.0.0.4"];
    let _others = others.map(|address| enter(&budget, address).expect("a place"));
    assert!(load("10.0.0.1") && load("10.0.0.9"));
}

#[test]
fn new_limits_hold_for_who_comes_and_not_for_who_is_here() {
    let budget = budget(10, 8, 8);
    let first = enter(&budget, "10.0.0.1").expect("a place");
    let second = enter(&budget, "10.0.0.2").expect("a place");
    budget.set_limits(Limits {
        handshakes: 2,
        payload_len: 512,
        ..Limits::default()
    });
    let third = enter(&budget, "10.0.0.3").expect("a place");
    assert_eq!(sent_away(&first), Some(SentAway::GivesWay));
    assert_eq!(sent_away(&second), None);
    assert_eq!(second.limits().payload_len, 4_096);
    assert_eq!(third.limits().payload_len, 512);
}

#[test]
fn places_are_given_up_to_the_limit_and_again_when_they_are_free() {
    let budget = budget(2, 2, 2);
    let first = enter(&budget, "10.0.0.1").expect("a place");
    assert!(first.settle());
    let stranger = enter(&budget, "10.0.0.2").expect("a place");
    let second = enter(&budget, "10.0.0.3").expect("a place");
    assert_eq!(sent_away(&stranger), Some(SentAway::GivesWay));
    assert!(second.settle());
    drop(stranger);
    assert!(enter(&budget, "10.0.0.4").is_none(), "peers have all");
    drop(first);
    assert!(enter(&budget, "10.0.0.4").is_some());
}
