//! Every step of both logons, value by value, and both sides of the crate held to them.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::session::{self, Example, derive, hmac_sha256};
use support::{bless, compare_with_file, counting, hex, path, unhex};
use tollgate_protocol::client::LogonRequest;
use tollgate_protocol::command::Command;
use tollgate_protocol::frame::{FRAME_BYTES_MAX, Frame};
use tollgate_protocol::logon::{Credential, Ephemeral, Secret, Verifier, public_key};
use tollgate_protocol::mac::{FrameMac, MacAlgorithm, TAG_BYTES};
use tollgate_protocol::reject::Code;

const FILE: &str = "golden/derivation.json";

/// What DER libraries want in front of the 32 bytes of a key: PKCS#8 of a private one, SPKI of a public one.
const ED25519_PRIVATE: &str = "302e020100300506032b657004220420";
const ED25519_PUBLIC: &str = "302a300506032b6570032100";
const X25519_PRIVATE: &str = "302e020100300506032b656e04220420";
const X25519_PUBLIC: &str = "302a300506032b656e032100";

const CLIENT_INFO: &[u8] = b"tollgate v1 client to gateway";
const GATEWAY_INFO: &[u8] = b"tollgate v1 gateway to client";

/// The steps of one logon in the making.
struct Steps(Vec<Value>);

impl Steps {
    fn add(&mut self, name: &str, is: &str, value: &[u8]) {
        self.0.push(json!({ "step": name, "is": is, "value": hex(value) }));
    }
}

fn given(example: &Example, label: &str) -> Vec<u8> {
    let block = example.block("given");
    block.pieces.iter().find(|(_, found)| found == label).unwrap().0.clone()
}

fn frame(example: &Example, number: u8) -> Vec<u8> {
    example.block(&format!("frame.{number}")).bytes()
}

/// From the challenge to the last frame, for either type of key.
fn session_steps(steps: &mut Steps, example: &Example, ikm: &[u8], mac: MacAlgorithm) {
    let salt = [given(example, "client_nonce"), given(example, "gateway_nonce")].concat();
    let derived = derive(&frame(example, 1), &frame(example, 2), salt, ikm);
    steps.add("salt", "client_nonce ‖ gateway_nonce", &derived.salt);
    steps.add("ikm", "the input of the session keys", ikm);
    steps.add("prk", "HMAC-SHA256(salt, ikm)", &derived.prk);
    let directions = [
        ("client_to_gateway", CLIENT_INFO, derived.client_key),
        ("gateway_to_client", GATEWAY_INFO, derived.gateway_key),
    ];
    for (name, info, key) in directions {
        let info = [info, &derived.transcript].concat();
        let block = [&info[..], &[1]].concat();
        assert_eq!(hmac_sha256(&derived.prk, &block), key);
        let text = name.replace('_', " ");
        steps.add(&format!("{name}_info"), &format!("\"tollgate v1 {text}\" ‖ transcript"), &info);
        steps.add(&format!("{name}_block"), &format!("{name}_info ‖ 01"), &block);
        steps.add(&format!("{name}_key"), &format!("HMAC-SHA256(prk, {name}_block)"), &key);
    }
    let function = match mac {
        MacAlgorithm::HmacSha256 => "HMAC-SHA256",
        MacAlgorithm::Blake3 => "keyed BLAKE3",
    };
    let mut sealed = vec![("welcome", "gateway_to_client", frame(example, 4))];
    if example.prefix == "hmac" {
        sealed.push(("command", "client_to_gateway", frame(example, 5)));
    }
    for (name, direction, frame) in sealed {
        let (covered, tag) = frame.split_at(frame.len() - TAG_BYTES);
        steps.add(&format!("{name}_covered"), &format!("the {name} frame without its MAC"), covered);
        steps.add(&format!("{name}_mac"), &format!("{function}({direction}_key, {name}_covered)"), tag);
    }
}

fn transcript_steps(steps: &mut Steps, example: &Example) -> Vec<u8> {
    let message = [frame(example, 1), frame(example, 2)].concat();
    let derived = derive(&frame(example, 1), &frame(example, 2), Vec::new(), &[]);
    steps.add("transcript_message", "hello frame ‖ challenge frame", &message);
    steps.add("transcript", "SHA-256(transcript_message)", &derived.transcript);
    steps.add("proof_message", "\"tollgate v1 client proof\" ‖ transcript", &derived.proof_message);
    derived.gateway_message
}

fn entry(name: &str, mac: MacAlgorithm, example: &Example, steps: &Steps) -> Value {
    let given = example.block("given").pieces.iter();
    let given: serde_json::Map<String, Value> =
        given.map(|(bytes, label)| (label.clone(), hex(bytes).into())).collect();
    let frames = [("hello", 1), ("challenge", 2), ("proof", 3), ("welcome", 4)];
    let frames: serde_json::Map<String, Value> = frames
        .iter()
        .map(|(name, number)| ((*name).to_owned(), hex(&frame(example, *number)).into()))
        .collect();
    json!({ "name": name, "mac": mac.name(), "given": given, "frames": frames, "steps": steps.0 })
}

fn hmac_logon() -> Value {
    let example = session::hmac_session();
    let mut steps = Steps(Vec::new());
    transcript_steps(&mut steps, &example);
    steps.add("proof", "HMAC-SHA256(secret, proof_message)", &frame(&example, 3)[17..]);
    session_steps(&mut steps, &example, &given(&example, "secret"), MacAlgorithm::HmacSha256);
    entry("hmac", MacAlgorithm::HmacSha256, &example, &steps)
}

fn ed25519_logon(name: &str, mac: MacAlgorithm) -> Value {
    let example = session::ed25519_logon(mac);
    let mut steps = Steps(Vec::new());
    for (key, private, public) in [
        ("client", "client_seed", "client_public"),
        ("gateway_identity", "gateway_identity_seed", "gateway_identity_public"),
        ("client_ephemeral", "client_ephemeral_private", "client_ephemeral_public"),
    ] {
        let is_x25519 = key.ends_with("ephemeral");
        let (before_private, before_public) =
            if is_x25519 { (X25519_PRIVATE, X25519_PUBLIC) } else { (ED25519_PRIVATE, ED25519_PUBLIC) };
        let der = |before: &str, label: &str| [unhex(before), given(&example, label)].concat();
        let function = if is_x25519 { "X25519" } else { "Ed25519" };
        steps.add(
            &format!("{key}_pkcs8"),
            &format!("DER: {before_private} ‖ {private}"),
            &der(before_private, private),
        );
        steps.add(public, &format!("the {function} public key of {private}"), &given(&example, public));
        steps.add(
            &format!("{key}_spki"),
            &format!("DER: {before_public} ‖ {public}"),
            &der(before_public, public),
        );
    }
    let gateway_message = transcript_steps(&mut steps, &example);
    steps.add("proof", "Ed25519(client_seed, proof_message), 64 bytes", &frame(&example, 3)[17..]);
    steps.add("gateway_message", "\"tollgate v1 gateway proof\" ‖ transcript", &gateway_message);
    let welcome = frame(&example, 4);
    let signature = &welcome[welcome.len() - TAG_BYTES - 64..welcome.len() - TAG_BYTES];
    steps.add("gateway_signature", "Ed25519(gateway_identity_seed, gateway_message), 64 bytes", signature);
    let own: [u8; 32] = given(&example, "client_ephemeral_private").try_into().unwrap();
    let other: [u8; 32] = given(&example, "gateway_ephemeral_public").try_into().unwrap();
    let shared = Ephemeral::new(own).agree(&other).unwrap();
    steps.add("shared_secret", "X25519(client_ephemeral_private, gateway_ephemeral_public)", shared.expose());
    session_steps(&mut steps, &example, shared.expose(), mac);
    entry(name, mac, &example, &steps)
}

/// JSON with a line for each value.
fn document(logons: &[Value]) -> String {
    let object = |value: &Value| {
        let fields = value.as_object().unwrap().iter();
        fields.map(|(name, value)| format!("   \"{name}\": {value}")).collect::<Vec<_>>().join(",\n")
    };
    let logon = |logon: &Value| {
        let steps = logon["steps"].as_array().unwrap().iter();
        let steps: Vec<String> = steps
            .map(|step| {
                format!(
                    "   {{\"step\": {}, \"is\": {},\n    \"value\": {}}}",
                    step["step"], step["is"], step["value"]
                )
            })
            .collect();
        format!(
            " {{\n  \"name\": {},\n  \"mac\": {},\n  \"given\": {{\n{}\n  }},\n  \"frames\": {{\n{}\n  }},\n  \"steps\": [\n{}\n  ]\n }}",
            logon["name"],
            logon["mac"],
            object(&logon["given"]),
            object(&logon["frames"]),
            steps.join(",\n"),
        )
    };
    format!("[\n{}\n]\n", logons.iter().map(logon).collect::<Vec<_>>().join(",\n"))
}

#[test]
fn the_file_holds_every_step_of_both_logons() {
    let logons = [
        hmac_logon(),
        ed25519_logon("ed25519", MacAlgorithm::HmacSha256),
        ed25519_logon("ed25519_blake3", MacAlgorithm::Blake3),
    ];
    compare_with_file(FILE, &document(&logons));
}

fn read() -> Vec<Value> {
    serde_json::from_str(&std::fs::read_to_string(path(FILE)).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(value.as_str().unwrap())
}

fn array(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

fn step(logon: &Value, name: &str) -> Vec<u8> {
    let steps = logon["steps"].as_array().unwrap();
    bytes(
        &steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name}"))["value"],
    )
}

/// The crate's client, given what the file gives, sends the file's frames and takes the gateway's.
#[test]
fn the_client_logs_on_by_the_file() {
    if bless() {
        return;
    }
    for logon in read() {
        let (given, frames) = (&logon["given"], &logon["frames"]);
        let is_hmac = given["secret"].is_string();
        let mac = match logon["mac"].as_str().unwrap() {
            "hmac-sha256" => MacAlgorithm::HmacSha256,
            _ => MacAlgorithm::Blake3,
        };
        let request = LogonRequest {
            key_id: if is_hmac { "desk-1" } else { "desk-2" }.parse().unwrap(),
            credential: if is_hmac {
                Credential::Hmac(Secret::new(bytes(&given["secret"])))
            } else {
                Credential::Ed25519(Secret::new(bytes(&given["client_seed"])))
            },
            mac,
            resume_after: (!is_hmac).then_some(0),
            gateway_public_key: (!is_hmac).then(|| array(&given["gateway_identity_public"])),
            software: "example/1".parse().unwrap(),
        };
        let ephemeral = if is_hmac { counting(0) } else { array(&given["client_ephemeral_private"]) };
        let random = [array(&given["client_nonce"]), ephemeral].concat();
        let (sent, hello) = request.start(&random.try_into().unwrap());
        assert_eq!(hello, bytes(&frames["hello"]), "{}", logon["name"]);
        let challenge = bytes(&frames["challenge"]);
        let (sent, proof) = sent.challenged(&Frame::split(&challenge).unwrap().unwrap()).unwrap();
        assert_eq!(proof, bytes(&frames["proof"]), "{}", logon["name"]);
        let welcome = bytes(&frames["welcome"]);
        let (mut session, _) = sent.welcomed(&Frame::split(&welcome).unwrap().unwrap()).unwrap();
        if is_hmac {
            let frame = [step(&logon, "command_covered"), step(&logon, "command_mac")].concat();
            let command: Command = Frame::split(&frame).unwrap().unwrap().body().unwrap();
            let mut out = [0; FRAME_BYTES_MAX];
            let length = session.sign(&command, &mut out);
            assert_eq!(&out[..length], frame);
        }
    }
}

/// Public keys, tags and the DER forms are the crate's too.
#[test]
fn keys_and_tags_of_the_file_are_the_crates() {
    if bless() {
        return;
    }
    for logon in read() {
        let mac = if logon["mac"] == "blake3" { MacAlgorithm::Blake3 } else { MacAlgorithm::HmacSha256 };
        let key = step(&logon, "gateway_to_client_key").try_into().unwrap();
        let tag = step(&logon, "welcome_mac").try_into().unwrap();
        assert!(FrameMac::new(mac, &key).verify(&step(&logon, "welcome_covered"), &tag));
        if logon["given"]["client_seed"].is_string() {
            let seed = Secret::new(bytes(&logon["given"]["client_seed"]));
            assert_eq!(public_key(&seed).unwrap().to_vec(), step(&logon, "client_public"));
            assert!(matches!(Credential::Ed25519(seed).verifier(), Some(Verifier::Ed25519(_))));
            let private = Ephemeral::new(array(&logon["given"]["client_ephemeral_private"]));
            assert_eq!(private.public().to_vec(), step(&logon, "client_ephemeral_public"));
            for (der, inside) in [
                ("client_pkcs8", "client_seed"),
                ("client_spki", "client_public"),
                ("client_ephemeral_pkcs8", "client_ephemeral_private"),
                ("client_ephemeral_spki", "client_ephemeral_public"),
            ] {
                let der = step(&logon, der);
                assert!(der.ends_with(&bytes(&logon["given"][inside])));
                // The first length counts what follows it.
                assert_eq!((der[0], usize::from(der[1])), (0x30, der.len() - 2));
            }
        }
    }
}

/// A welcome whose tag was made with the other direction's key is refused.
#[test]
fn the_keys_of_the_directions_are_not_each_others() {
    if bless() {
        return;
    }
    let logon = &read()[0];
    let key = step(logon, "client_to_gateway_key").try_into().unwrap();
    let welcome = bytes(&logon["frames"]["welcome"]);
    let frame = Frame::split(&welcome).unwrap().unwrap();
    assert_eq!(frame.authenticate(&FrameMac::new(MacAlgorithm::HmacSha256, &key), 2), Err(Code::FrameMac));
}
