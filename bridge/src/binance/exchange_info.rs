//! Binance's exchange information, as served for spot and for USD-M futures, in the words of `[[instrument]]`.

use serde_json::Value;
use tollgate_protocol::Decimal;

/// Symbols of a file.
const SYMBOLS_MAX: usize = u16::MAX as usize;

/// Filters that count orders, positions and assets, or are of orders that are never sent from here: the exchange holds
/// them, and its refusal is reported.
const HELD_BY_EXCHANGE: [&str; 10] = [
    "ICEBERG_PARTS",
    "MAX_ASSET",
    "MAX_NUM_ALGO_ORDERS",
    "MAX_NUM_ICEBERG_ORDERS",
    "MAX_NUM_ORDER_AMENDS",
    "MAX_NUM_ORDER_LISTS",
    "MAX_NUM_ORDERS",
    "MAX_POSITION",
    "TRAILING_DELTA",
    "EXCHANGE_MAX_NUM_ORDERS",
];

/// A symbol and its rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExchangeSymbol {
    /// Its name.
    pub symbol: String,
    /// `TRADING` when it trades.
    pub status: String,
    /// Keys of an `[[instrument]]` table and their values, each key once. A rule that is absent or 0 has none.
    pub rules: Vec<(&'static str, Rule)>,
    /// Names of filters that are not known here, each once: only the exchange holds them.
    pub unknown_filters: Vec<String>,
}

/// The value of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// A name, or a decimal as the exchange writes it.
    Text(String),
    /// Whether something holds.
    Flag(bool),
}

/// Every symbol of `text`, an answer to `exchangeInfo` as served; what is wrong with it otherwise.
pub fn parse(text: &str) -> Result<Vec<ExchangeSymbol>, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let symbols = document.get("symbols").and_then(Value::as_array);
    let symbols = symbols.ok_or("has no array \"symbols\"")?;
    if symbols.len() > SYMBOLS_MAX {
        return Err(format!("has {} symbols; {SYMBOLS_MAX} are read at most", symbols.len()));
    }
    symbols.iter().enumerate().map(|(index, symbol)| parse_symbol(index, symbol)).collect()
}

fn parse_symbol(index: usize, value: &Value) -> Result<ExchangeSymbol, String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let symbol = text("symbol").ok_or_else(|| format!("symbols[{index}] has no \"symbol\""))?;
    let mut rules = Rules { symbol, value, known: Vec::new(), unknown_filters: Vec::new() };
    rules.put_text("symbol", Some(symbol));
    rules.put_text("base_asset", text("baseAsset"));
    rules.put_text("quote_asset", text("quoteAsset"));
    let filters = value.get("filters").and_then(Value::as_array);
    for filter in filters.into_iter().flatten() {
        rules.put_filter(filter)?;
    }
    rules.put_capabilities();
    let status = text("status").or_else(|| text("contractStatus")).unwrap_or("TRADING");
    Ok(ExchangeSymbol {
        symbol: symbol.to_owned(),
        status: status.to_owned(),
        rules: rules.known,
        unknown_filters: rules.unknown_filters,
    })
}

struct Rules<'a> {
    symbol: &'a str,
    value: &'a Value,
    known: Vec<(&'static str, Rule)>,
    unknown_filters: Vec<String>,
}

/// Which of two bounds is the stricter.
#[derive(Clone, Copy, PartialEq)]
enum Stricter {
    Higher,
    Lower,
}

impl Rules<'_> {
    fn put(&mut self, key: &'static str, rule: Rule) {
        match self.known.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = rule,
            None => self.known.push((key, rule)),
        }
    }

    fn put_text(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.put(key, Rule::Text(text.to_owned()));
        }
    }

    fn put_flag(&mut self, key: &'static str, flag: bool) {
        self.put(key, Rule::Flag(flag));
    }

    /// A decimal as it stands in the filter. One that is 0 or absent is no rule.
    fn put_decimal(&mut self, key: &'static str, filter: &Value, field: &str) -> Result<(), String> {
        if let Some(text) = self.decimal(filter, field)? {
            self.put(key, Rule::Text(text));
        }
        Ok(())
    }

    /// The text of a decimal; `None` when it is 0 or absent.
    fn decimal(&self, filter: &Value, field: &str) -> Result<Option<String>, String> {
        let text = match filter.get(field) {
            None => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if number.is_i64() => number.to_string(),
            Some(other) => {
                return Err(format!("{}: {field} is {other}, not a decimal in quotes", self.symbol));
            }
        };
        let zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        Ok(Some(text).filter(|_| !zero))
    }

    /// A bound of the notional, and whether it holds for market orders. A symbol may have both `NOTIONAL` and
    /// `MIN_NOTIONAL`, and an order must pass both: the stricter bound stands, and holds for market orders as soon as
    /// one of the two does.
    fn put_notional(
        &mut self,
        (key, market_key): (&'static str, &'static str),
        stricter: Stricter,
        bound: Option<String>,
        for_market: bool,
    ) {
        let Some(bound) = bound else { return };
        let stands = |key| self.known.iter().find(|(known, _)| *known == key).map(|(_, rule)| rule.clone());
        let earlier_for_market = stands(market_key) == Some(Rule::Flag(true));
        let value = |text: &str| text.parse::<Decimal>().ok().and_then(Decimal::to_attos);
        let is_stricter = match stands(key) {
            Some(Rule::Text(earlier)) => match (value(&earlier), value(&bound)) {
                (Some(earlier), Some(bound)) if stricter == Stricter::Higher => bound > earlier,
                (Some(earlier), Some(bound)) => bound < earlier,
                // What is no number stands, so that whoever reads the rules says so.
                (earlier, _) => earlier.is_some(),
            },
            _ => true,
        };
        if is_stricter {
            self.put(key, Rule::Text(bound));
        }
        self.put_flag(market_key, for_market || earlier_for_market);
    }

    fn put_max_notional(&mut self, filter: &Value) -> Result<(), String> {
        let bound = self.decimal(filter, "maxNotional")?;
        let keys = ("max_notional", "max_notional_for_market");
        self.put_notional(keys, Stricter::Lower, bound, flag(filter, "applyMaxToMarket", true));
        Ok(())
    }

    fn put_filter(&mut self, filter: &Value) -> Result<(), String> {
        match filter.get("filterType").and_then(Value::as_str).unwrap_or_default() {
            "PRICE_FILTER" => {
                self.put_decimal("tick", filter, "tickSize")?;
                self.put_precision("tick", &["pricePrecision", "quotePrecision"]);
                self.put_decimal("min_price", filter, "minPrice")?;
                self.put_decimal("max_price", filter, "maxPrice")
            }
            "LOT_SIZE" => {
                self.put_decimal("step", filter, "stepSize")?;
                self.put_precision("step", &["quantityPrecision", "baseAssetPrecision"]);
                self.put_decimal("min_quantity", filter, "minQty")?;
                self.put_decimal("max_quantity", filter, "maxQty")
            }
            "MARKET_LOT_SIZE" => {
                self.put_decimal("market_step", filter, "stepSize")?;
                self.put_decimal("market_min_quantity", filter, "minQty")?;
                self.put_decimal("market_max_quantity", filter, "maxQty")
            }
            // USD-M names the bound differently, holds it for market orders too, and lets reduce-only orders pass.
            "MIN_NOTIONAL" if filter.get("notional").is_some() => {
                self.put_flag("notional_exempts_reduce_only", true);
                self.put_min_notional(filter, "notional", "applyToMarket")
            }
            "MIN_NOTIONAL" => self.put_min_notional(filter, "minNotional", "applyToMarket"),
            "NOTIONAL" => {
                self.put_min_notional(filter, "minNotional", "applyMinToMarket")?;
                self.put_max_notional(filter)
            }
            "PERCENT_PRICE" => self.put_percent_price(filter),
            "PERCENT_PRICE_BY_SIDE" => {
                self.put_decimal("percent_buy_up", filter, "bidMultiplierUp")?;
                self.put_decimal("percent_buy_down", filter, "bidMultiplierDown")?;
                self.put_decimal("percent_sell_up", filter, "askMultiplierUp")?;
                self.put_decimal("percent_sell_down", filter, "askMultiplierDown")
            }
            kind if HELD_BY_EXCHANGE.contains(&kind) => Ok(()),
            kind => {
                let name = if kind.is_empty() { "a filter without filterType" } else { kind };
                if !self.unknown_filters.iter().any(|known| known == name) {
                    self.unknown_filters.push(name.to_owned());
                }
                Ok(())
            }
        }
    }

    fn put_min_notional(&mut self, filter: &Value, field: &str, market: &str) -> Result<(), String> {
        let bound = self.decimal(filter, field)?;
        let keys = ("min_notional", "min_notional_for_market");
        self.put_notional(keys, Stricter::Higher, bound, flag(filter, market, true));
        Ok(())
    }

    /// On spot both bounds hold for both sides; on USD-M a buy has only an upper bound, a sell only a lower one.
    fn put_percent_price(&mut self, filter: &Value) -> Result<(), String> {
        self.put_decimal("percent_buy_up", filter, "multiplierUp")?;
        self.put_decimal("percent_sell_down", filter, "multiplierDown")?;
        if filter.get("multiplierDecimal").is_none() {
            self.put_decimal("percent_sell_up", filter, "multiplierUp")?;
            self.put_decimal("percent_buy_down", filter, "multiplierDown")?;
        }
        Ok(())
    }

    /// Where the increment's rule is switched off, the number of digits is the increment.
    fn put_precision(&mut self, key: &'static str, fields: &[&str]) {
        let digits = fields.iter().find_map(|field| self.value.get(*field).and_then(Value::as_u64));
        let Some(digits) = digits.filter(|digits| *digits <= 18) else { return };
        if self.known.iter().all(|(known, _)| *known != key) {
            let increment = Decimal::new(1, digits as u8);
            self.put_text(key, Some(&increment.to_string()));
        }
    }

    fn put_capabilities(&mut self) {
        let lists = |field: &str, wanted: &dyn Fn(&str) -> bool| {
            let items = self.value.get(field).and_then(Value::as_array);
            items.map(|items| items.iter().filter_map(Value::as_str).any(wanted))
        };
        let stop_orders = lists("orderTypes", &|kind| kind.starts_with("STOP"));
        let good_till_date = lists("timeInForce", &|kind| kind == "GTD").unwrap_or(false);
        let hedging = self.value.get("contractType").is_some();
        self.put_flag("stop_orders", stop_orders.unwrap_or(false));
        self.put_flag("good_till_date", good_till_date);
        self.put_flag("hedging", hedging);
    }
}

fn flag(filter: &Value, field: &str, default: bool) -> bool {
    filter.get(field).and_then(Value::as_bool).unwrap_or(default)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const INFO: &str = include_str!("../../tests/data/exchange-info.json");

    fn rule<'a>(symbol: &'a ExchangeSymbol, key: &str) -> Option<&'a Rule> {
        symbol.rules.iter().find(|(known, _)| *known == key).map(|(_, rule)| rule)
    }

    #[test]
    fn every_symbol_is_read_with_its_state_and_each_rule_once() {
        let symbols = parse(INFO).unwrap();
        let states: Vec<_> = symbols.iter().map(|it| (it.symbol.as_str(), it.status.as_str())).collect();
        let trading = "TRADING";
        let expected =
            [("AAAUSDT", trading), ("BBBUSDT", trading), ("CCCUSDT", trading), ("DDDUSDT", "BREAK")];
        assert_eq!(states, expected);
        assert_eq!(rule(&symbols[0], "tick"), Some(&Rule::Text("0.01000000".to_owned())));
        assert_eq!(rule(&symbols[0], "hedging"), Some(&Rule::Flag(false)));
        assert_eq!(rule(&symbols[1], "min_price"), None, "0 is no rule");
        for symbol in &symbols {
            for (at, (key, _)) in symbol.rules.iter().enumerate() {
                assert!(symbol.rules[..at].iter().all(|(earlier, _)| earlier != key), "{key}");
            }
        }
    }

    fn of_filters(filters: &str) -> ExchangeSymbol {
        parse(&format!(r#"{{"symbols":[{{"symbol":"X","filters":[{filters}]}}]}}"#)).unwrap().remove(0)
    }

    #[test]
    fn both_notional_filters_hold_whichever_comes_last() {
        let one = r#"{"filterType":"MIN_NOTIONAL","minNotional":"10.0","applyToMarket":false}"#;
        let other = r#"{"filterType":"NOTIONAL","minNotional":"5","applyMinToMarket":true,"maxNotional":"900","applyMaxToMarket":false}"#;
        for filters in [format!("{one},{other}"), format!("{other},{one}")] {
            let symbol = of_filters(&filters);
            assert_eq!(rule(&symbol, "min_notional"), Some(&Rule::Text("10.0".to_owned())));
            assert_eq!(rule(&symbol, "min_notional_for_market"), Some(&Rule::Flag(true)));
            assert_eq!(rule(&symbol, "max_notional"), Some(&Rule::Text("900".to_owned())));
            assert_eq!(rule(&symbol, "max_notional_for_market"), Some(&Rule::Flag(false)));
            assert!(symbol.unknown_filters.is_empty());
        }
    }

    #[test]
    fn a_filter_without_a_bound_says_nothing_of_market_orders() {
        let symbol = of_filters(
            r#"{"filterType":"MIN_NOTIONAL","minNotional":"10","applyToMarket":false},
               {"filterType":"NOTIONAL","minNotional":"0.0","applyMinToMarket":true}"#,
        );
        assert_eq!(rule(&symbol, "min_notional"), Some(&Rule::Text("10".to_owned())));
        assert_eq!(rule(&symbol, "min_notional_for_market"), Some(&Rule::Flag(false)));
    }

    #[test]
    fn a_bound_that_is_no_number_is_not_hidden_by_the_other() {
        let (good, bad) = (
            r#"{"filterType":"MIN_NOTIONAL","minNotional":"10"}"#,
            r#"{"filterType":"NOTIONAL","minNotional":"1e3"}"#,
        );
        for filters in [format!("{good},{bad}"), format!("{bad},{good}")] {
            assert_eq!(rule(&of_filters(&filters), "min_notional"), Some(&Rule::Text("1e3".to_owned())));
        }
    }

    #[test]
    fn filters_that_are_not_known_are_named_once() {
        let symbol = of_filters(
            r#"{"filterType":"T_PLUS_SELL","endTime":1},{"filterType":"MAX_NUM_ORDERS","limit":5},
               {"filterType":"T_PLUS_SELL","endTime":2},{"limit":3}"#,
        );
        assert_eq!(symbol.unknown_filters, ["T_PLUS_SELL", "a filter without filterType"]);
    }

    #[test]
    fn what_is_no_exchange_information_is_told() {
        assert!(parse("").unwrap_err().contains("not JSON"));
        assert!(parse("{}").unwrap_err().contains("has no array"));
        assert!(parse(r#"{"symbols":[{}]}"#).unwrap_err().contains("symbols[0]"));
    }
}
