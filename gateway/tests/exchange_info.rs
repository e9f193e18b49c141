//! Instruments from Binance's exchange information.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use tollgate_config::files::{FileError, Privacy};
use tollgate_config::{ConfigErrors, Files, InstrumentSettings, Settings};
use tollgate_gateway::venue_files::VenueFiles;
use tollgate_protocol::instrument::{Capabilities, PercentCollar};
use tollgate_protocol::{Decimal, Money};

struct Served(&'static str);

impl Files for Served {
    fn read(&self, path: &Path, privacy: Privacy, _: u64) -> Result<String, FileError> {
        if path != Path::new("/etc/tollgate/info.json") {
            return Err(FileError::Missing);
        }
        assert_eq!(privacy, Privacy::Public);
        Ok(self.0.to_owned())
    }
}

const INFO: &str = include_str!("../../bridge/tests/data/exchange-info.json");

fn load_from(info: &'static str, venue: &str, rest: &str) -> Result<Settings, ConfigErrors> {
    let text = format!(
        "[[venue]]\nname = \"paper\"\nkind = \"paper\"\nexchange_info = \"info.json\"\n{venue}\n\
         paper.feed = {{ kind = \"binance_stream\", file = \"stream.gz\" }}\n\
         [[account]]\nname = \"main\"\nvenue = \"paper\"\n[[client]]\nname = \"c\"\naccounts = [\"main\"]\n{rest}"
    );
    Settings::parse_with(&text, Path::new("/etc/tollgate"), &|_| None, &VenueFiles::new(Served(info)))
}

fn load(venue: &str, rest: &str) -> Settings {
    load_from(INFO, venue, rest).unwrap()
}

fn symbols(settings: &Settings) -> Vec<&str> {
    settings.instruments.iter().map(|it| it.instrument.symbol.as_str()).collect()
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn money(text: &str) -> Money {
    Money::from_decimal(decimal(text)).unwrap()
}

fn find<'a>(settings: &'a Settings, symbol: &str) -> &'a InstrumentSettings {
    settings.instruments.iter().find(|it| it.instrument.symbol.as_str() == symbol).unwrap()
}

#[test]
fn all_that_trade_are_taken() {
    assert_eq!(symbols(&load("", "")), ["AAAUSDT", "BBBUSDT", "CCCUSDT"]);
    assert_eq!(symbols(&load("symbols = [\"CCCUSDT\", \"AAAUSDT\"]", "")), ["AAAUSDT", "CCCUSDT"]);
}

#[test]
fn spot_rules_are_read() {
    let settings = load("", "");
    let it = &find(&settings, "AAAUSDT").instrument;
    assert_eq!((it.base_asset.as_str(), it.quote_asset.as_str()), ("AAA", "USDT"));
    assert_eq!((it.price.increment(), it.quantity.increment()), (decimal("0.01"), decimal("0.001")));
    assert_eq!((it.price_minimum, it.price_maximum), (1, 500_000));
    assert_eq!((it.quantity_minimum, it.quantity_maximum), (1, 900_000));
    // 12.34567890 lies between two steps.
    assert_eq!((it.market_quantity_minimum, it.market_quantity_maximum), (0, 12_345));
    assert_eq!(it.market_quantity_multiple, 1);
    assert_eq!((it.notional_minimum, it.notional_maximum), (money("10"), Money::ZERO));
    assert!(!it.notional_minimum_for_market);
    assert!(!it.notional_exempts_reduce_only);
    let both = PercentCollar {
        buy_up_ppm: 5_000_000,
        buy_down_ppm: 200_000,
        sell_up_ppm: 5_000_000,
        sell_down_ppm: 200_000,
    };
    assert_eq!(it.percent_collar, both);
    assert_eq!(it.unit_value, money("0.00001"));
    let spot = Capabilities { stop_orders: true, protection: false, hedging: false, good_till_date: false };
    assert_eq!(it.capabilities, spot);
}

#[test]
fn a_rule_of_0_is_none_and_digits_stand_for_an_increment() {
    let settings = load("", "");
    let it = &find(&settings, "BBBUSDT").instrument;
    assert_eq!((it.price.increment(), it.quantity.increment()), (decimal("0.0001"), decimal("0.001")));
    assert_eq!((it.price_minimum, it.price_maximum, it.quantity_minimum, it.quantity_maximum), (0, 0, 0, 0));
    assert_eq!((it.notional_minimum, it.notional_maximum), (money("5"), money("9000000")));
    assert!(it.notional_minimum_for_market);
    assert!(!it.notional_maximum_for_market);
    let by_side = PercentCollar {
        buy_up_ppm: 1_200_000,
        buy_down_ppm: 200_000,
        sell_up_ppm: 5_000_000,
        sell_down_ppm: 800_000,
    };
    assert_eq!(it.percent_collar, by_side);
    assert!(!it.capabilities.stop_orders);
}

#[test]
fn futures_rules_are_read() {
    let settings = load("", "");
    let it = &find(&settings, "CCCUSDT").instrument;
    // 261.15 lies between two ticks.
    assert_eq!((it.price_minimum, it.price_maximum), (2_612, 8_094_840));
    assert_eq!((it.market_quantity_minimum, it.market_quantity_maximum), (10, 120_000));
    assert_eq!(it.market_quantity_multiple, 10);
    assert_eq!(it.notional_minimum, money("100"));
    assert!(it.notional_minimum_for_market && it.notional_exempts_reduce_only);
    let one_sided =
        PercentCollar { buy_up_ppm: 1_050_000, buy_down_ppm: 0, sell_up_ppm: 0, sell_down_ppm: 950_000 };
    assert_eq!(it.percent_collar, one_sided);
    let futures = Capabilities { stop_orders: true, protection: false, hedging: true, good_till_date: true };
    assert_eq!(it.capabilities, futures);
}

#[test]
fn a_table_changes_single_keys() {
    let table = "[[instrument]]\nsymbol = \"CCCUSDT\"\nvenue = \"paper\"\nmax_quantity = \"7\"\n\
                 quote_to_account_rate = \"0.5\"\n[instrument.limits]\nmax_long = 3";
    let settings = load("", table);
    assert_eq!(symbols(&settings), ["CCCUSDT", "AAAUSDT", "BBBUSDT"], "the file's own tables come first");
    let it = &settings.instruments[0];
    assert_eq!((it.instrument.quantity_minimum, it.instrument.quantity_maximum), (1, 7_000));
    assert_eq!(it.limits.max_long, 3_000_000_000_000_000_000);
    // The venue's bound is in the quote asset, the gateway's in the accounts' currency.
    assert_eq!(it.instrument.notional_minimum, money("50"));
    assert_eq!(it.instrument.unit_value, money("0.00005"));
    assert_eq!(it.instrument.notional(2_612, 10), Some(money("1.306")));
}

#[test]
fn an_unknown_symbol_and_one_that_does_not_trade_are_told() {
    let told =
        load_from(INFO, "symbols = [\"AAAUSDC\", \"DDDUSDT\"]", "").map(|_| ()).unwrap_err().to_string();
    assert!(
        told.contains("venue[0].symbols[0] = \"AAAUSDC\": there is no symbol of this name; did you mean"),
        "{told}"
    );
    assert!(
        told.contains("venue[0].symbols[1] = \"DDDUSDT\": does not trade: its status is BREAK"),
        "{told}"
    );
}

#[test]
fn what_is_not_exchange_information_is_told() {
    for (info, problem) in [
        ("", "not JSON"),
        ("{}", "has no array \"symbols\""),
        (r#"{"symbols":[{}]}"#, "symbols[0] has no \"symbol\""),
        (
            r#"{"symbols":[{"symbol":"X","filters":[{"filterType":"PRICE_FILTER","tickSize":0.01}]}]}"#,
            "X: tickSize is 0.01, not a decimal in quotes",
        ),
    ] {
        let told = load_from(info, "", "").map(|_| ()).unwrap_err().to_string();
        let expected = format!("venue[0].exchange_info = \"info.json\": /etc/tollgate/info.json: {problem}");
        assert!(told.contains(&expected), "{told}");
    }
    let told = load_from(r#"{"symbols":[{"symbol":"X"}]}"#, "", "").map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("venue[0].exchange_info[X].tick: is missing"), "{told}");
}

/// The description says what the instruments became, and loads to the same.
#[test]
fn the_description_has_every_instrument() {
    let settings = load("", "");
    let text = settings.describe();
    let again =
        Settings::parse_with(text, Path::new("/"), &|_| None, &VenueFiles::new(Served(INFO))).unwrap();
    assert_eq!(format!("{:?}", settings.instruments), format!("{:?}", again.instruments));
    assert!(text.contains("market_step = \"0.01\"\n"), "{text}");
}
