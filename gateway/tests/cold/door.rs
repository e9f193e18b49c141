//! Logons, and what is done to those who do not want to log on.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tollgate_gateway::door::Task;
use tollgate_gateway::link::{FromHot, ToHot};
use tollgate_protocol::client::SessionError;
use tollgate_protocol::event::Durability;
use tollgate_protocol::frame::{FRAME_BYTES_MAX, FrameKind, encode};
use tollgate_protocol::logon::{Credential, Ephemeral, Goodbye, Hello, Secret, Transcript, public_key};
use tollgate_protocol::mac::MacAlgorithm;
use tollgate_protocol::reject::Code;
use tollgate_protocol::text::{KeyId, Text};

use crate::support::*;

#[test]
fn a_client_with_an_hmac_key_gets_a_session() {
    let mut house = House::new(|_| {});
    let mut client = house.client();
    let standing = client.log_on(good()).unwrap_or_else(|error| panic!("{error}"));
    let handover = house.session();
    assert_eq!(handover.session_id, standing.welcome.session_id);
    assert_eq!((handover.client, handover.sequence_in, handover.sequence_out), (1, 3, 3));
    assert_eq!((handover.next_event_sequence, standing.welcome.next_event_sequence), (1, 1));
    assert!(handover.grant.trade && handover.grant.read && !handover.grant.cancel && !handover.grant.operate);
    assert_eq!((handover.grant.accounts, handover.grant.symbols_restricted), (0b11, false));
    assert_eq!(handover.grant.expires_at_ns, u64::MAX);
    assert_eq!(handover.address, client.stream.local_addr().unwrap().ip());
    assert_eq!(standing.welcome.durability, Durability::Process);
    assert!(handover.received.is_empty());
    assert_eq!(house.metrics.door_logons.get(), 1);
}

#[test]
fn both_sides_have_the_same_keys_with_either_mac() {
    for mac in [MacAlgorithm::HmacSha256, MacAlgorithm::Blake3] {
        let mut house = House::new(|_| {});
        let mut client = house.client();
        let mut standing =
            client.log_on(tollgate_protocol::client::LogonRequest { mac, ..good() }).ok().unwrap();
        let mut handover = house.session();
        let mut out = [0; FRAME_BYTES_MAX];

        let length = standing.session.goodbye(&mut out);
        let frame = whole(&out[..length]);
        assert_eq!(frame.authenticate(&handover.macs.client_to_gateway, handover.sequence_in), Ok(()));

        let body = Goodbye { code: Code::SessionShutdown, retry_after_ms: 7 };
        let mac = Some(&handover.macs.gateway_to_client);
        let length = encode(FrameKind::Goodbye, handover.sequence_out, &body, mac, &mut out).unwrap();
        handover.stream.0.set_nonblocking(false).unwrap();
        handover.stream.0.write_all(&out[..length]).unwrap();
        let heard = client.incoming(&mut standing.session);
        assert_eq!(heard, Some(tollgate_protocol::client::Incoming::Goodbye(body)));
    }
}

#[test]
fn a_client_with_an_ed25519_key_knows_the_gateway() {
    let identity = Secret::new(vec![42; 32]);
    let seed = identity.clone();
    let mut house = House::new(|settings| {
        settings.gateway.identity = Some(seed);
        settings.keys.push(key("curve", 2, &ed25519_credential(9)));
    });
    let with = |public: [u8; 32]| {
        let mut request = request("curve", ed25519_credential(9));
        request.gateway_public_key = Some(public);
        request
    };
    let standing = house.client().log_on(with(public_key(&identity).unwrap()));
    assert!(standing.is_ok());
    assert_eq!(house.session().client, 2);

    let impostor = public_key(&Secret::new(vec![43; 32])).unwrap();
    assert_eq!(house.client().log_on(with(impostor)).err(), Some(SessionError::GatewayUnverified));
}

#[test]
fn commands_right_behind_the_proof_are_handed_over() {
    let mut house = House::new(|_| {});
    let more: Vec<u8> = (0..200).collect();
    assert!(house.client().log_on_with(good(), &more).is_ok());
    let mut handover = house.session();
    // What had not come yet when the proof was read is still in the socket.
    handover.stream.0.set_nonblocking(false).unwrap();
    let mut rest = vec![0; more.len() - handover.received.len()];
    std::io::Read::read_exact(&mut handover.stream.0, &mut rest).unwrap();
    assert_eq!([handover.received, rest].concat(), more);
}

#[test]
fn whoever_is_not_whom_he_says_is_never_told_why() {
    let house = House::new(|settings| {
        let credential = hmac_credential(1);
        let mut revoked = key("revoked", 1, &credential);
        revoked.revoked = true;
        let mut expired = key("expired", 1, &credential);
        expired.expires_at_ns = Some(1_000);
        settings.keys.extend([revoked, expired, key("curve", 1, &ed25519_credential(9))]);
    });
    let cases: [(&str, Credential); 7] = [
        ("good", hmac_credential(2)),
        ("nobody", hmac_credential(1)),
        ("nobody", ed25519_credential(1)),
        ("revoked", hmac_credential(1)),
        ("expired", hmac_credential(1)),
        ("curve", ed25519_credential(8)),
        ("curve", hmac_credential(9)),
    ];
    let count = cases.len() as u64;
    for (name, credential) in cases {
        let result = house.client().log_on(request(name, credential));
        assert_eq!(code(result), Code::LogonFailed, "{name}");
    }
    assert_eq!((house.refused(Code::LogonFailed), house.metrics.door_logons.get()), (count, 0));
}

#[test]
fn an_unknown_key_gets_a_challenge_like_any_other() {
    let house = House::new(|_| {});
    let lengths = ["good", "evil"].map(|name| {
        let mut client = house.client();
        let (_, hello) = request(name, hmac_credential(1)).start(&[3; 64]);
        client.stream.write_all(&hello).unwrap();
        let challenge = client.frame().unwrap();
        assert_eq!(whole(&challenge).header.kind, FrameKind::Challenge);
        challenge.len()
    });
    assert_eq!(lengths[0], lengths[1]);
}

#[test]
fn a_right_proof_is_never_refused_for_what_others_did() {
    let mut house = House::new(|settings| {
        settings.sessions.logon_failures_max = 3;
        settings.sessions.logon_block_seconds = 50;
        settings.keys.push(key("kill-switch", 2, &hmac_credential(4)));
    });
    let mut early = house.client();
    let (hello_sent, hello) = good().start(&[5; 64]);
    early.stream.write_all(&hello).unwrap();
    let challenge = early.frame().unwrap();
    let wrong = |house: &House| {
        let begin = Instant::now();
        let answer = house.client().log_on(request("good", hmac_credential(2)));
        let Err(SessionError::Ended(goodbye)) = answer else { panic!("no refusal") };
        (goodbye.code, goodbye.retry_after_ms, begin.elapsed())
    };
    for _ in 0..3 {
        assert_eq!(wrong(&house).0, Code::LogonFailed);
    }
    let (refused, retry_after_ms, waited) = wrong(&house);
    assert_eq!((refused, retry_after_ms), (Code::LogonBlocked, 50_000));
    assert!(waited >= Duration::from_millis(250), "{waited:?}");

    // Another key, the same key, and a connection from before: all from the address of the wrong ones.
    assert!(house.client().log_on(request("kill-switch", hmac_credential(4))).is_ok());
    assert!(house.client().log_on(good()).is_ok());
    let (proof_sent, proof) = hello_sent.challenged(&whole(&challenge)).ok().unwrap();
    early.stream.write_all(&proof).unwrap();
    assert!(proof_sent.welcomed(&whole(&early.frame().unwrap())).is_ok());
    for _ in 0..3 {
        house.session();
    }
    // A wrong proof of another key is answered late, and not held against that key.
    let begin = Instant::now();
    let other = house.client().log_on(request("kill-switch", hmac_credential(2)));
    assert_eq!(code(other), Code::LogonFailed);
    assert!(begin.elapsed() >= Duration::from_millis(250));
    eventually("the count", || (house.metrics.door_blocked_addresses.get() == 1).then_some(()));
}

#[test]
fn an_hmac_key_with_an_ephemeral_one_is_refused() {
    let house = House::new(|_| {});
    let credential = hmac_credential(1);
    let hello = Hello {
        key_id: KeyId::new("good").unwrap(),
        mac: MacAlgorithm::HmacSha256,
        nonce: [7; 32],
        ephemeral: Some(Ephemeral::new([9; 32]).public()),
        resume_after: None,
        software: Text::new("test 1.0").unwrap(),
    };
    let mut out = [0; FRAME_BYTES_MAX];
    let length = encode(FrameKind::Hello, 1, &hello, None, &mut out).unwrap();
    let hello_frame = out[..length].to_vec();
    let mut client = house.client();
    client.stream.write_all(&hello_frame).unwrap();
    let challenge = client.frame().unwrap();
    let proof = credential.prove(&Transcript::new(&hello_frame, &challenge)).unwrap();
    let length = encode(FrameKind::Proof, 2, &proof, None, &mut out).unwrap();
    client.stream.write_all(&out[..length]).unwrap();
    assert_eq!(client.refusal(), (Code::LogonFailed, 0));
    assert_eq!(house.metrics.door_logons.get(), 0);
}

/// What a session held, and what breaks when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a defect, on purpose");
    }
}

#[test]
fn a_task_that_ends_by_a_defect_begins_again_and_is_counted() {
    let mut house = House::new(|settings| settings.sessions.sessions_per_client_max = 1);
    let session_id = house.client().log_on(good()).ok().unwrap().welcome.session_id;
    house.session();
    house.tell(FromHot::Ended { session_id, client: 1, code: None, is_lost: false, remains: Box::new(Bomb) });
    let state = std::sync::Arc::clone(house.door.as_ref().unwrap().state());
    eventually("the restart", || (state.restarts(Task::Listen) == 1).then_some(()));
    let session_id = eventually("the place", || house.client().log_on(good()).ok()).welcome.session_id;
    house.session();
    house.tell(FromHot::Ended { session_id, client: 1, code: None, is_lost: false, remains: Box::new(()) });
    eventually("the place", || house.client().log_on(good()).ok());
    assert!(!state.is_over());
    assert_eq!(Task::ALL.map(|task| state.restarts(task)), [0, 0, 0, 1]);
    drop(house);
    assert!(state.is_over());
}

#[test]
fn who_takes_too_long_is_told_so() {
    let house = House::new(|settings| settings.sessions.logon_timeout_ms = 150);
    let mut silent = house.client();
    let mut half = house.client();
    let (_, hello) = good().start(&[5; 64]);
    half.stream.write_all(&hello[..20]).unwrap();
    assert_eq!(silent.refusal(), (Code::LogonTimeout, 1000));
    assert_eq!(half.refusal(), (Code::LogonTimeout, 1000));
    assert_eq!(house.refused(Code::LogonTimeout), 2);
}

#[test]
fn what_is_no_logon_is_refused_by_its_first_bytes() {
    let header = |kind: u8, length: u32, sequence: u64| {
        [&b"TG\x01"[..], &[kind], &length.to_le_bytes(), &sequence.to_le_bytes()].concat()
    };
    let house = House::new(|_| {});
    let cases: [(Vec<u8>, Code); 8] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Code::FrameMagic),
        (b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), Code::FrameMagic),
        (b"TG\x02".to_vec(), Code::FrameVersion),
        (header(99, 10, 1), Code::FrameKind),
        (header(16, 10, 1), Code::FrameKind),
        (header(1, 193, 1), Code::FrameTooLarge),
        (header(1, u32::MAX, 1), Code::FrameTooLarge),
        (header(1, 10, 2), Code::FrameSequence),
    ];
    for (bytes, expected) in cases {
        let mut client = house.client();
        client.stream.write_all(&bytes).unwrap();
        assert_eq!(client.refusal(), (expected, 0), "{bytes:?}");
    }
    let mut client = house.client();
    client.stream.write_all(&[header(1, 4, 1), vec![0xff; 4]].concat()).unwrap();
    assert_eq!(client.refusal(), (Code::FrameBody, 0));
}

#[test]
fn no_bytes_harm_the_door() {
    let mut house = House::new(|settings| settings.sessions.logon_timeout_ms = 100);
    let (_, hello) = good().start(&[5; 64]);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..300_usize {
        let mut bytes = hello.clone();
        for _ in 0..=round % 3 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (random >> 33) as usize % bytes.len();
            bytes[at] ^= (random >> 24) as u8;
        }
        bytes.extend(std::iter::repeat_n(random as u8, round));
        // It may be refused before all is written.
        let _ = house.client().stream.write_all(&bytes);
    }
    // On a busy machine a logon may take longer than it may here.
    eventually("a logon", || house.client().log_on(good()).ok());
    house.session();
    eventually("the end of all others", || (house.metrics.door_waiting.get() == 0).then_some(()));
}

#[test]
fn a_refusal_reaches_a_client_that_goes_on_sending() {
    let house = House::new(|_| {});
    for _ in 0..20 {
        let mut client = house.client();
        client.stream.write_all(&[b'x'; 8192]).unwrap();
        assert_eq!(client.refusal().0, Code::FrameMagic);
    }
}

/// As many files as the system lets this process have: many systems begin with 1,024.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

#[test]
fn ten_thousand_half_open_connections_lock_nobody_out() {
    raise_file_limit();
    let mut house = House::new(|settings| {
        settings.sessions.unauthenticated_max = 64;
        settings.sessions.unauthenticated_per_address_max = 32;
    });
    let mut idle: Vec<TcpStream> = Vec::new();
    for number in 0..10_000 {
        idle.push(TcpStream::connect(house.address).unwrap());
        if number % 2_500 == 2_499 {
            let begin = Instant::now();
            let mut client = house.client();
            assert!(client.log_on(good()).is_ok());
            assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
            let session_id = house.session().session_id;
            assert!(house.metrics.door_waiting.get() <= 32);
            let ended =
                FromHot::Ended { session_id, client: 1, code: None, is_lost: false, remains: Box::new(()) };
            house.tell(ended);
        }
    }
    eventually("the count of the displaced", || (house.refused(Code::LogonBusy) >= 9_968).then_some(()));
    let mut first = Client::connect(house.address);
    std::mem::swap(&mut first.stream, &mut idle[0]);
    first.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(first.refusal(), (Code::LogonBusy, 1000));
}

#[test]
fn sessions_are_limited_by_client_and_in_all_until_they_end() {
    let mut house = House::new(|settings| {
        settings.sessions.sessions_max = 3;
        settings.sessions.sessions_per_client_max = 2;
        settings.keys.push(key("other", 2, &hmac_credential(4)));
    });
    let log_on = |house: &House, name: &str, number: u8| {
        house.client().log_on(request(name, hmac_credential(number))).map(|it| it.welcome.session_id)
    };
    let limit = Err(SessionError::Ended(Goodbye { code: Code::SessionLimit, retry_after_ms: 1000 }));
    let first = log_on(&house, "good", 1).ok().unwrap();
    log_on(&house, "good", 1).ok().unwrap();
    assert_eq!(log_on(&house, "good", 1), limit);
    log_on(&house, "other", 4).ok().unwrap();
    assert_eq!(log_on(&house, "other", 4), limit);
    for _ in 0..3 {
        house.session();
    }
    let ended = FromHot::Ended {
        session_id: first,
        client: 1,
        code: Some(Code::SessionHeartbeatMissed),
        is_lost: false,
        remains: Box::new(()),
    };
    house.tell(ended);
    eventually("the place", || log_on(&house, "other", 4).ok());
    assert_eq!(log_on(&house, "good", 1), limit);
}

#[test]
fn a_full_lane_to_the_hot_thread_refuses_before_the_welcome() {
    let directory = tempfile::tempdir().unwrap();
    // Two places, one of them reserved: there is room for one session.
    let mut house = House::open(settings(directory.path()), 2);
    assert!(house.client().log_on(good()).is_ok());
    assert_eq!(code(house.client().log_on(good())), Code::SessionLimit);
    house.session();
    assert!(house.client().log_on(good()).is_ok());
}

#[test]
fn closing_refuses_who_waits_and_stops_the_hot_thread() {
    let mut house = House::new(|_| {});
    let mut waiting = house.client();
    eventually("the place", || (house.metrics.door_waiting.get() == 1).then_some(()));
    house.door.as_ref().unwrap().close();
    assert_eq!(waiting.refusal(), (Code::SessionShutdown, 1000));
    assert!(matches!(house.heard(), ToHot::Stop));
    eventually("the closed port", || TcpStream::connect(house.address).is_err().then_some(()));
    assert!(house.door.as_ref().unwrap().is_running(), "it waits for the hot thread");
    house.to_door = None;
    eventually("the end", || (!house.door.as_ref().unwrap().is_running()).then_some(()));
}

#[test]
fn a_digest_is_asked_for_and_answered() {
    let mut house = House::new(|_| {});
    let door = house.door.take().unwrap();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| door.digest(PATIENCE));
        assert!(matches!(house.heard(), ToHot::Digest));
        house.tell(FromHot::Notice(Text::new("about to answer").unwrap()));
        house.tell(FromHot::Digest { hash: [9; 32], sequence: 77 });
        let digest = asked.join().unwrap().unwrap();
        assert_eq!((digest.hash, digest.sequence), ([9; 32], 77));
    });
    house.door = Some(door);
}

#[test]
fn an_address_in_use_is_named() {
    let house = House::new(|_| {});
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.gateway.listen = house.address;
    let metrics = std::sync::Arc::new(tollgate_core::metrics::Metrics::new(1, 9));
    let bell = tollgate_gateway::door::DoorBell::new();
    let (to_hot, _ours) = tollgate_contract::lane::lane(2, 1, bell.bell.clone());
    let (_sender, from_hot) = tollgate_contract::lane::lane(2, 1, bell.bell.clone());
    let links = tollgate_gateway::door::DoorLinks { to_hot, from_hot, bell, history: None };
    let error = tollgate_gateway::door::Door::start(settings.into(), metrics, links).err().unwrap();
    assert!(error.to_string().contains(&house.address.to_string()), "{error}");
}
