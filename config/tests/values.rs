//! What single values become.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;
use tollgate_config::files::{FileError, Privacy};
use tollgate_config::{ConfigErrors, EXAMPLE, Files, NoFiles, OwnerLimits, Settings};
use tollgate_protocol::event::Durability;
use tollgate_protocol::{Decimal, Money};

const UNIT: i128 = 1_000_000_000_000_000_000;

/// One file that others may read.
struct Shared;

impl Files for Shared {
    fn read(&self, path: &Path, privacy: Privacy, _: u64) -> Result<String, FileError> {
        match path.to_str().unwrap() {
            "/etc/tollgate/level" if privacy == Privacy::Public => Ok("\n 25 \n".to_owned()),
            "/run/idle" => Ok("yield\n".to_owned()),
            _ => Err(FileError::Missing),
        }
    }
}

fn environment(name: &str) -> Option<String> {
    match name {
        "LEVEL" => Some("30".to_owned()),
        "FLAG" => Some("true".to_owned()),
        "FILE" => Some("file:level".to_owned()),
        _ => None,
    }
}

fn parse(from: &str, to: &str) -> Result<Settings, ConfigErrors> {
    assert!(EXAMPLE.contains(from), "{from}");
    let text = EXAMPLE.replacen(from, to, 1);
    Settings::parse_with(&text, Path::new("/etc/tollgate"), &environment, &Shared)
}

fn load(from: &str, to: &str) -> Settings {
    parse(from, to).unwrap()
}

#[test]
fn numbers_and_flags_come_from_variables_and_files() {
    let level = |to: &str| load("slow_percent = 90", to).risk.slow_percent;
    let warn = |to: &str| load("warn_percent = 80", to).risk.warn_percent;
    assert_eq!(warn("warn_percent = \"${LEVEL}\""), 30);
    assert_eq!(warn("warn_percent = \"${NONE:-40}\""), 40);
    assert_eq!(warn("warn_percent = \"file:level\""), 25);
    assert_eq!(warn("warn_percent = \"${FILE}\""), 25);
    assert_eq!(level("slow_percent = \"9${NONE:-1}\""), 91);
    assert!(load("rate_halt_cancels = false", "rate_halt_cancels = \"${FLAG}\"").risk.rate_halt_cancels);
    assert_eq!(load("idle = \"park\"", "idle = \"file:/run/idle\"").hot.idle, tollgate_config::Idle::Yield);
    let symbols = load("restricted_symbols = []", "restricted_symbols = [\"${NONE:-EURUSD}\"]").risk;
    assert_eq!(symbols.restricted_symbols[0].as_str(), "EURUSD");
}

/// A number in quotes is a slip, unless it had to be in quotes.
#[test]
fn a_quoted_integer_is_refused() {
    let errors = parse("warn_percent = 80", "warn_percent = \"80\"").map(|_| ()).unwrap_err();
    assert_eq!(errors.as_slice()[0].problem, "is a string, not an integer");
    assert_eq!(errors.as_slice()[0].advice, "give 1 to 100 (percent)");
}

#[test]
fn words_become_what_they_stand_for() {
    let durability = |word: &str| {
        let to = format!("durability = \"{word}\"");
        load("durability = \"process\"", &to).journal.durability
    };
    assert_eq!(durability("none"), Durability::None);
    assert_eq!(durability("process"), Durability::Process);
    assert_eq!(durability("disk"), Durability::Disk);
    let reset = load("daily_reset = \"00:00:00\"", "daily_reset = \"17:30\"").risk.daily_reset_seconds;
    assert_eq!(reset, 63_000);
}

#[test]
fn every_owner_has_its_limits() {
    let settings =
        load("orders_per_second = 20", "orders_per_second = 20\ncollar_bps = \"12.5\"\nmax_short = 0");
    assert_eq!(settings.risk.firm.max_notional, Money(100_000 * UNIT));
    assert_eq!(settings.risk.firm.max_long, 1_000 * UNIT);
    assert_eq!(settings.risk.firm.collar_ppm, 50_000);
    assert_eq!(settings.instruments[0].limits, OwnerLimits { max_quantity: 2 * UNIT, ..OwnerLimits::NONE });
    let account = OwnerLimits {
        max_gross: Money(500_000 * UNIT),
        max_daily_loss: Money(5_000 * UNIT),
        ..OwnerLimits::NONE
    };
    assert_eq!(settings.accounts[0].limits, account);
    let client = OwnerLimits {
        max_open_orders: 50,
        orders_per_second: 20,
        // Who sets a rate and no burst gets a burst of the rate, not one without limit.
        orders_burst: 20,
        collar_ppm: 1_250,
        max_short: 0,
        ..OwnerLimits::NONE
    };
    assert_eq!(settings.clients[0].limits, client);
    assert_eq!(settings.clients[1].limits, OwnerLimits::NONE);
}

/// The firm's limits are never absent: even an empty file of them has each.
#[test]
fn the_firm_has_every_limit() {
    let start = EXAMPLE.find("[risk.firm]").unwrap();
    let end = EXAMPLE.find("[[venue]]").unwrap();
    let text = format!("{}{}", &EXAMPLE[..start], &EXAMPLE[end..]);
    let firm = Settings::parse_with(&text, Path::new("/"), &|_| None, &NoFiles).unwrap().risk.firm;
    assert_eq!(firm, OwnerLimits::FIRM);
    let OwnerLimits {
        max_quantity,
        max_notional,
        collar_ppm,
        max_long,
        max_short,
        max_gross,
        max_net,
        max_open_orders,
        max_daily_loss,
        max_drawdown,
        orders_per_second,
        orders_burst,
        max_orders_per_minute,
        max_orders_per_hour,
        max_orders_per_day,
        max_price_age_ms,
    } = firm;
    let amounts = [max_notional, max_gross, max_net, max_daily_loss, max_drawdown];
    assert!(amounts.iter().all(|amount| *amount < Money::MAX));
    assert!([max_quantity, max_long, max_short].iter().all(|quantity| *quantity < i128::MAX));
    assert!(
        [max_open_orders, orders_per_second, orders_burst, max_price_age_ms].iter().all(|it| *it < u32::MAX)
    );
    let counts = [collar_ppm, max_orders_per_minute, max_orders_per_hour, max_orders_per_day];
    assert!(counts.iter().all(|count| *count < u64::MAX));
}

#[test]
fn bounds_between_two_increments_move_inward() {
    let settings =
        load("min_price = \"0.01\"\nmax_price = \"1000000\"", "min_price = \"0.011\"\nmax_price = \"9.999\"");
    let instrument = settings.instruments[0].instrument;
    assert_eq!((instrument.price_minimum, instrument.price_maximum), (2, 999));
}

#[test]
fn the_worth_of_a_unit_is_exact() {
    let settings = load("", "");
    let worth: Vec<String> =
        settings.instruments.iter().map(|it| it.instrument.unit_value.to_decimal().to_string()).collect();
    assert_eq!(worth, ["0.0000001", "0.000001", "0.01"]);
}

#[test]
fn the_trading_hours_of_the_example_hold() {
    let settings = load("", "");
    // 2026-03-07 12:00 UTC, a Saturday; 2026-03-09 12:00 UTC, a Monday.
    let (saturday_ns, monday_ns) = (1_772_884_800_000_000_000, 1_773_057_600_000_000_000);
    assert!(settings.instruments[0].hours.is_open(saturday_ns));
    assert!(!settings.instruments[2].hours.is_open(saturday_ns));
    assert!(settings.instruments[2].hours.is_open(monday_ns));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// `tick × step × contract size × rate`, and the bound on the notional rounded up to the next `10^-18`.
    #[test]
    fn amounts_are_what_arithmetic_says(
        tick in 1_i64..1000, step in 1_i64..1000, rate in 1_i64..100_000, least in 1_i64..1_000_000,
        tick_scale in 0_u8..5, step_scale in 0_u8..5, rate_scale in 0_u8..8,
    ) {
        let (tick, step) = (Decimal::new(tick, tick_scale), Decimal::new(step, step_scale));
        let (rate, least) = (Decimal::new(rate, rate_scale), Decimal::new(least, 15));
        let text = format!(
            "[[venue]]\nname = \"p\"\nkind = \"paper\"\npaper.feed.kind = \"binance_stream\"\npaper.feed.file = \"x\"\n\
             [[instrument]]\nsymbol = \"S\"\nvenue = \"p\"\nbase_asset = \"B\"\nquote_asset = \"Q\"\ntick = \"{tick}\"\n\
             step = \"{step}\"\nquote_to_account_rate = \"{rate}\"\ncontract_size = 10\nmin_notional = \"{least}\"\n\
             [[account]]\nname = \"a\"\nvenue = \"p\"\n[[client]]\nname = \"c\"\naccounts = [\"a\"]\n"
        );
        let settings = Settings::parse_with(&text, Path::new("/"), &|_| None, &NoFiles).unwrap();
        let instrument = settings.instruments[0].instrument;
        let mantissa = i128::from(tick.mantissa) * i128::from(step.mantissa) * i128::from(rate.mantissa) * 10;
        let digits = u32::from(tick.scale + step.scale + rate.scale);
        prop_assert_eq!(instrument.unit_value, Money(mantissa * 10_i128.pow(18 - digits)));
        let divisor = 10_i128.pow(u32::from(rate.scale));
        let exact = i128::from(least.mantissa) * 1000 * i128::from(rate.mantissa);
        prop_assert_eq!(instrument.notional_minimum, Money((exact + divisor - 1) / divisor));
    }
}

/// Both ports are clear text.
#[test]
fn an_address_that_other_machines_reach_is_refused_unless_allowed() {
    for (table, port) in [("gateway", 7000), ("side", 9091)] {
        for address in ["0.0.0.0", "[::]", "192.0.2.1"] {
            let listen = |allowed: &str| {
                let from = format!(
                    "listen = \"127.0.0.1:{port}\"\n# Whether listen may be an address that other machines reach: this port is clear text, and such an address is refused\n# without it. Default false.\nallow_remote = false"
                );
                let to = format!("listen = \"{address}:{port}\"\n{allowed}");
                let text = EXAMPLE.replace(&from, &to);
                assert_ne!(text, EXAMPLE);
                Settings::parse_with(&text, Path::new("/"), &|_| None, &NoFiles)
            };
            let told = listen("").map(|_| ()).unwrap_err().to_string();
            assert!(
                told.contains(&format!(
                    "{table}.listen = \"{address}:{port}\": is reached from other machines, in clear text"
                )),
                "{told}"
            );
            let settings = listen("allow_remote = true").unwrap();
            let warned =
                settings.warnings.iter().filter(|warning| warning.key == format!("{table}.listen")).count();
            assert_eq!(warned, 1);
        }
    }
}
