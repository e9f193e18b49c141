//! Binance's exchange information, as served for spot and for USD-M futures, in the words of `[[instrument]]`.

use serde_json::Value;

/// Symbols of a file.
const SYMBOLS_MAX: usize = u16::MAX as usize;

/// A symbol and its rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExchangeSymbol {
    /// Its name.
    pub symbol: String,
    /// `TRADING` when it trades.
    pub status: String,
    /// Keys of an `[[instrument]]` table and their values, each key once. A rule that is absent or 0 has none.
    pub rules: Vec<(&'static str, Rule)>,
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
    let mut rules = Rules { symbol, value, known: Vec::new() };
    rules.put_text("symbol", Some(symbol));
    rules.put_text("base_asset", text("baseAsset"));
    rules.put_text("quote_asset", text("quoteAsset"));
    let filters = value.get("filters").and_then(Value::as_array);
    for filter in filters.into_iter().flatten() {
        rules.put_filter(filter)?;
    }
    rules.put_capabilities();
    let status = text("status").or_else(|| text("contractStatus")).unwrap_or("TRADING");
    Ok(ExchangeSymbol { symbol: symbol.to_owned(), status: status.to_owned(), rules: rules.known })
}

struct Rules<'a> {
    symbol: &'a str,
    value: &'a Value,
    known: Vec<(&'static str, Rule)>,
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
        let text = match filter.get(field) {
            None => return Ok(()),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if number.is_i64() => number.to_string(),
            Some(other) => {
                return Err(format!("{}: {field} is {other}, not a decimal in quotes", self.symbol));
            }
        };
        let zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        if !zero {
            self.put(key, Rule::Text(text));
        }
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
            "MIN_NOTIONAL" => self.put_min_notional(filter),
            "NOTIONAL" => {
                self.put_flag("min_notional_for_market", flag(filter, "applyMinToMarket", true));
                self.put_flag("max_notional_for_market", flag(filter, "applyMaxToMarket", true));
                self.put_decimal("min_notional", filter, "minNotional")?;
                self.put_decimal("max_notional", filter, "maxNotional")
            }
            "PERCENT_PRICE" => self.put_percent_price(filter),
            "PERCENT_PRICE_BY_SIDE" => {
                self.put_decimal("percent_buy_up", filter, "bidMultiplierUp")?;
                self.put_decimal("percent_buy_down", filter, "bidMultiplierDown")?;
                self.put_decimal("percent_sell_up", filter, "askMultiplierUp")?;
                self.put_decimal("percent_sell_down", filter, "askMultiplierDown")
            }
            // Counts of orders and positions are the venue's to hold: it refuses, and the refusal is reported.
            _ => Ok(()),
        }
    }

    /// Spot says `minNotional`; USD-M says `notional`, holds it against the mark price for market orders too, and
    /// lets reduce-only orders pass.
    fn put_min_notional(&mut self, filter: &Value) -> Result<(), String> {
        if filter.get("notional").is_some() {
            self.put_flag("notional_exempts_reduce_only", true);
            self.put_flag("min_notional_for_market", true);
            return self.put_decimal("min_notional", filter, "notional");
        }
        self.put_flag("min_notional_for_market", flag(filter, "applyToMarket", true));
        self.put_decimal("min_notional", filter, "minNotional")
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
            let increment = tollgate_protocol::Decimal::new(1, digits as u8);
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

    #[test]
    fn what_is_no_exchange_information_is_told() {
        assert!(parse("").unwrap_err().contains("not JSON"));
        assert!(parse("{}").unwrap_err().contains("has no array"));
        assert!(parse(r#"{"symbols":[{}]}"#).unwrap_err().contains("symbols[0]"));
    }
}
