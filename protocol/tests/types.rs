//! The types as JSON for generators, and the tables of the specification: both are what the code's own types say.

#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write as _;

use serde_json::{Value, json};
use support::types::{Shape, Type, Types, Variant};
use support::{bless, compare_with_file, path};
use tollgate_protocol::answer::{Answer, AnswerBody, OrderStatus};
use tollgate_protocol::command::{
    Action, Command, HaltScope, OrderType, Query, Side, Target, TimeInForce, TradingState,
};
use tollgate_protocol::decimal::SCALE_MAX;
use tollgate_protocol::event::{Durability, Event, EventBody, ReportKind};
use tollgate_protocol::frame::{BODY_BYTES_MAX, FRAME_BYTES_MAX, FrameKind, HEADER_BYTES, MAGIC, VERSION};
use tollgate_protocol::logon::{Challenge, Goodbye, Hello, Proof, SECRET_BYTES_MIN, Welcome};
use tollgate_protocol::mac::{MacAlgorithm, TAG_BYTES};
use tollgate_protocol::reject::{Code, Owner};

fn types() -> Types {
    let mut types = Types::default();
    types.add::<Hello>();
    types.add::<Challenge>();
    types.add::<Proof>();
    types.add::<Welcome>();
    types.add::<Goodbye>();
    types.add::<Command>();
    types.add::<Event>();
    types.add::<Answer>();
    // An enum deep in another one is looked at through its first variant alone: so each once more by itself.
    types.add::<MacAlgorithm>();
    types.add::<Durability>();
    types.add::<Action>();
    types.add::<Side>();
    types.add::<OrderType>();
    types.add::<TimeInForce>();
    types.add::<Target>();
    types.add::<HaltScope>();
    types.add::<TradingState>();
    types.add::<Query>();
    types.add::<EventBody>();
    types.add::<ReportKind>();
    types.add::<Owner>();
    types.add::<AnswerBody>();
    types.add::<OrderStatus>();
    types
}

/// Kind, name, who sends it, and the type of its body.
fn frame_kinds() -> Vec<(FrameKind, &'static str, &'static str, &'static str)> {
    let described = |kind| match kind {
        FrameKind::Hello => ("hello", "client", "Hello"),
        FrameKind::Challenge => ("challenge", "gateway", "Challenge"),
        FrameKind::Proof => ("proof", "client", "Proof"),
        FrameKind::Welcome => ("welcome", "gateway", "Welcome"),
        FrameKind::Refusal => ("refusal", "gateway", "Goodbye"),
        FrameKind::Command => ("command", "client", "Command"),
        FrameKind::Event => ("event", "gateway", "Event"),
        FrameKind::Answer => ("answer", "gateway", "Answer"),
        FrameKind::Goodbye => ("goodbye", "either", "Goodbye"),
    };
    let kinds = (0..=u8::MAX).filter_map(FrameKind::from_number);
    kinds
        .map(|kind| {
            let (name, from, body) = described(kind);
            (kind, name, from, body)
        })
        .collect()
}

fn fields_json(fields: &[(&str, Shape)]) -> Value {
    fields.iter().map(|(name, shape)| json!({ "name": name, "type": shape })).collect()
}

fn type_json(found: &Type) -> Value {
    match found {
        Type::Alias(shape) => json!({ "alias": shape }),
        Type::Struct(fields) => json!({ "struct": fields_json(fields) }),
        Type::Enum(variants) => {
            let variants = variants.iter().enumerate().map(|(number, (name, variant))| {
                let variant = variant.as_ref().unwrap_or_else(|| panic!("{name} was not reached"));
                match variant {
                    Variant::Nothing => json!({ "number": number, "name": name }),
                    Variant::Value(shape) => json!({ "number": number, "name": name, "value": shape }),
                    Variant::Fields(fields) => {
                        json!({ "number": number, "name": name, "fields": fields_json(fields) })
                    }
                }
            });
            json!({ "enum": variants.collect::<Value>() })
        }
    }
}

fn primitives() -> Value {
    json!({
        "u8": { "encoding": "byte" },
        "bool": { "encoding": "byte", "values": [0, 1] },
        "u16": { "encoding": "varint", "bits": 16, "bytes_max": 3 },
        "u32": { "encoding": "varint", "bits": 32, "bytes_max": 5 },
        "u64": { "encoding": "varint", "bits": 64, "bytes_max": 10 },
        "u128": { "encoding": "varint", "bits": 128, "bytes_max": 19 },
        "i64": { "encoding": "zigzag varint", "bits": 64, "bytes_max": 10 },
    })
}

fn header() -> Value {
    json!([
        { "name": "magic", "offset": 0, "bytes": 2, "value": std::str::from_utf8(&MAGIC).unwrap() },
        { "name": "version", "offset": 2, "bytes": 1, "value": VERSION },
        { "name": "kind", "offset": 3, "bytes": 1 },
        { "name": "length", "offset": 4, "bytes": 4 },
        { "name": "sequence", "offset": 8, "bytes": 8 },
    ])
}

/// An array or object with a line for each of its entries.
fn lines(entries: impl Iterator<Item = String>, marks: [&str; 2]) -> String {
    format!("{}\n  {}\n {}", marks[0], entries.collect::<Vec<_>>().join(",\n  "), marks[1])
}

fn types_document(types: &Types) -> String {
    let limits = json!({
        "header_bytes": HEADER_BYTES, "body_bytes_max": BODY_BYTES_MAX, "mac_bytes": TAG_BYTES,
        "frame_bytes_max": FRAME_BYTES_MAX, "decimal_scale_max": SCALE_MAX, "hmac_secret_bytes_min": SECRET_BYTES_MIN,
    });
    let frames = frame_kinds().into_iter().map(|(kind, name, from, body)| {
        json!({ "kind": kind as u8, "name": name, "from": from, "mac": kind.has_mac(), "body": body })
            .to_string()
    });
    let entries = types.by_name.iter().map(|(name, found)| format!("\"{name}\": {}", type_json(found)));
    let code = std::iter::once("\"Code\": {\"alias\":\"u16\"}".to_owned());
    let codes = Code::ALL.iter().map(|code| {
        json!({ "number": code.number(), "name": code.name(), "meaning": code.meaning() }).to_string()
    });
    let mut out = String::new();
    write!(
        out,
        "{{\n \"version\": {VERSION},\n \"limits\": {limits},\n \"header\": {},\n \"primitives\": {},\n \"frames\": {},\n \
         \"types\": {},\n \"codes\": {}\n}}\n",
        header(),
        primitives(),
        lines(frames, ["[", "]"]),
        lines(code.chain(entries), ["{", "}"]),
        lines(codes, ["[", "]"]),
    )
    .unwrap();
    out
}

#[test]
fn the_types_for_generators_are_the_codes() {
    let document = types_document(&types());
    serde_json::from_str::<Value>(&document).unwrap();
    compare_with_file("golden/types.json", &document);
}

/// The last section with this title, up to the next title.
fn section<'a>(text: &'a str, title: &str) -> &'a str {
    let sections = text.split("\n## ").flat_map(|chapter| chapter.split("\n### "));
    let found = sections.filter(|section| section.starts_with(&format!("{title}\n"))).last();
    found.unwrap_or_else(|| panic!("WIRE.md has no section {title}"))
}

/// Names that the tables have for plain types.
fn plain(types: &Types, shape: &Shape) -> Vec<String> {
    match shape {
        Value::String(name) => match (name.as_str(), types.by_name.get(name.as_str())) {
            ("CommandId", _) => vec!["`command_id`".to_owned()],
            ("OrderId", _) => vec!["`order_id`".to_owned()],
            ("Decimal", _) => vec!["`decimal`".to_owned()],
            ("Code", _) => vec!["`u16`".to_owned()],
            ("MacAlgorithm", _) => vec!["enum [MAC]".to_owned()],
            (_, Some(Type::Enum(_))) => vec![format!("enum [{name}]")],
            (_, Some(_)) => vec![format!("[{name}]")],
            _ => vec![format!("`{name}`")],
        },
        Value::Object(parts) if parts.contains_key("text") => {
            let size = &parts["text"];
            let known = [(31, "symbol"), (15, "account"), (63, "remark")];
            let named = known.iter().filter(|(bytes, _)| size == bytes).map(|(_, name)| format!("`{name}`"));
            std::iter::once(format!("`text({size})`")).chain(named).collect()
        }
        Value::Object(parts) if parts.contains_key("bytes") => vec![format!("`bytes{}`", parts["bytes"])],
        Value::Object(parts) => {
            let inner = plain(types, &parts["optional"]);
            inner
                .iter()
                .map(|name| match name.strip_suffix('`') {
                    Some(name) => format!("{name}?`"),
                    None => format!("{name}?"),
                })
                .collect()
        }
        _ => panic!("{shape} is no shape"),
    }
}

/// A cell of a table without the address of its link.
fn without_address(cell: &str) -> String {
    let Some((before, rest)) = cell.split_once("](") else { return cell.to_owned() };
    let after = rest.split_once(')').map_or("", |(_, after)| after);
    format!("{before}]{after}")
}

/// The tables of structs have the fields of the code, in its order, of its types.
#[test]
fn tables_of_fields_are_the_codes() {
    let text = if bless() { return } else { std::fs::read_to_string(path("WIRE.md")).unwrap() };
    let types = types();
    for (name, found) in &types.by_name {
        let Type::Struct(fields) = found else { continue };
        let rows: Vec<Vec<&str>> = section(&text, name)
            .lines()
            .filter(|line| line.starts_with('`') && line.contains("` | "))
            .map(|line| line.split(" | ").collect())
            .collect();
        let names: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
        let expected: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
        assert_eq!(names, expected, "the table of {name} in WIRE.md (left) is not the code's (right)");
        for (row, (field, shape)) in rows.iter().zip(fields) {
            let allowed = plain(&types, shape);
            let written = without_address(row[1].trim());
            assert!(
                allowed.contains(&written),
                "{name}.{field}: WIRE.md says {written}, the code {allowed:?}"
            );
        }
    }
}

/// The tables of enums have the variants of the code, with its numbers and what each holds.
#[test]
fn tables_of_variants_are_the_codes() {
    let text = if bless() { return } else { std::fs::read_to_string(path("WIRE.md")).unwrap() };
    let types = types();
    for (name, found) in &types.by_name {
        let Type::Enum(variants) = found else { continue };
        let is_mac = *name == "MacAlgorithm";
        let table = section(&text, if is_mac { "4. MAC" } else { name });
        let has_fields = table.contains(" | Fields | ");
        let rows = table.lines().filter_map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            let number: usize = cells.first()?.trim().parse().ok()?;
            let fields = if has_fields { without_address(cells[2].trim()) } else { "none".to_owned() };
            Some((number, cells[1].trim().trim_matches('`').to_owned(), fields))
        });
        for ((number, variant, fields), (expected, (code, held))) in
            rows.clone().zip(variants.iter().enumerate())
        {
            assert_eq!(
                (number, variant.as_str()),
                (expected, *code),
                "{name} in WIRE.md (left), the code's (right)"
            );
            let allowed = match held.as_ref().unwrap() {
                Variant::Nothing => vec!["none".to_owned()],
                Variant::Value(shape) => plain(&types, shape),
                Variant::Fields(fields) => vec![written_fields(&types, fields)],
            };
            assert!(allowed.contains(&fields), "{name}::{code}: WIRE.md says {fields}, the code {allowed:?}");
        }
        assert_eq!(rows.count(), variants.len(), "{name} has another number of variants in WIRE.md (left)");
    }
}

/// Fields of a variant as the tables have them: `name` `type`, and so on. Where a type has several names, the last.
fn written_fields(types: &Types, fields: &[(&str, Shape)]) -> String {
    let written = fields
        .iter()
        .map(|(name, shape)| format!("`{name}` {}", plain(types, shape).last().cloned().unwrap_or_default()));
    written.collect::<Vec<_>>().join(", ")
}
