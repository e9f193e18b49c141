//! What the demonstration tells at its end. Every figure is counted or measured.

use std::fmt::Write as _;
use std::path::Path;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tollgate_journal::{Reader, Verification};
use tollgate_protocol::Action;
use tollgate_protocol::answer::AnswerBody;
use tollgate_protocol::reject::Code;

use super::super::failure::Failure;
use super::super::http::Response;
use super::super::init::shell_word;
use super::super::output::{Output, Tone};
use super::super::table::Table;
use super::super::{describe, document, moment};
use super::setup::{DemoKey, Setup};
use super::tally::{ACTIONS, Tally};
use tollgate_core::metrics::Outcome;
use tollgate_core::record::{Origin, Record};
use tollgate_gateway::gateway::Gateway;

/// Shares of all latencies that are told, with their names.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
/// Characters of the longest bar of a plot.
const BAR_WIDTH: u64 = 50;

/// What the journal's records say, to be compared with what the clients heard.
#[derive(Default)]
pub(crate) struct JournalCounts {
    records: u64,
    intents: u64,
    refusals: u64,
    reports: u64,
}

impl JournalCounts {
    pub(crate) fn read(directory: &Path) -> Result<Self, Failure> {
        let mut counts = Self::default();
        let mut reader = Reader::open(directory)?;
        while let Some(record) = reader.next()? {
            counts.records += 1;
            match Record::decode(record.sequence, record.kind, record.payload) {
                Ok(Record::Intent(intent)) if intent.origin == Origin::Client => counts.intents += 1,
                Ok(Record::Rejection(_)) => counts.refusals += 1,
                Ok(Record::Report(_)) => counts.reports += 1,
                Ok(_) => {}
                Err(error) => return Err(Failure::operating(error)),
            }
        }
        Ok(counts)
    }
}

/// Everything that was found.
pub(crate) struct Findings {
    pub(crate) total: Tally,
    pub(crate) by_client: Vec<(String, Tally)>,
    pub(crate) forged: Result<Code, String>,
    pub(crate) positions: Vec<AnswerBody>,
    pub(crate) accounts: Vec<AnswerBody>,
    pub(crate) verification: Verification,
    pub(crate) journal: JournalCounts,
    pub(crate) health: Result<Response, String>,
    pub(crate) metrics: Result<Response, String>,
}

/// One thing that must hold.
struct Check {
    what: &'static str,
    holds: bool,
    detail: String,
}

impl Findings {
    /// Prints the report; true when every check held.
    pub(crate) fn tell(
        &self,
        setup: &Setup,
        gateway: &Gateway,
        keys: &[DemoKey],
        output: &Output,
    ) -> Result<bool, Failure> {
        let checks = self.checks();
        let passed = checks.iter().all(|check| check.holds);
        if output.json {
            output.document(&self.document(setup, gateway, keys, &checks))?;
            return Ok(passed);
        }
        let heading = |text: &str| output.line(format_args!("\n{}", output.paint(Tone::Heading, text)));
        heading("Commands by action")?;
        output.text(&self.actions_table(output))?;
        heading("Commands by client")?;
        output.text(&self.clients_table(output))?;
        heading("Refusals by code")?;
        output.text(&self.codes_table(output))?;
        heading("Wrong on purpose")?;
        output.text(&self.wrong_table(output))?;
        heading("Reports of the venue")?;
        output.text(&self.reports_table(output))?;
        heading("Positions")?;
        output.text(&describe::rows(&self.positions, "none", output))?;
        heading("Accounts")?;
        output.text(&describe::rows(&self.accounts, "none", output))?;
        heading("Latency: a signed command on its way to its verified answer")?;
        output.text(&latency_text(&self.total.latency, output))?;
        heading("Checks")?;
        for check in &checks {
            let (word, tone) = if check.holds { ("ok  ", Tone::Good) } else { ("FAIL", Tone::Bad) };
            output.line(format_args!("{}  {}: {}", output.paint(tone, word), check.what, check.detail))?;
        }
        heading("Look for yourself")?;
        output.text(&hints(setup, gateway, keys))?;
        Ok(passed)
    }

    fn checks(&self) -> Vec<Check> {
        let mut checks = self.client_checks();
        checks.extend(self.journal_checks());
        checks.extend(self.side_checks());
        if !self.total.problems.is_empty() {
            let detail = self.total.problems.join("; ");
            checks.push(Check { what: "no client had a problem", holds: false, detail });
        }
        checks
    }

    fn client_checks(&self) -> Vec<Check> {
        let total = &self.total;
        let wrong_sent: u64 = total.wrong.values().map(|wrong| wrong.sent).sum();
        let wrong_refused: u64 = total.wrong.values().map(|wrong| wrong.refused).sum();
        vec![
            Check {
                what: "every command answered exactly once",
                holds: total.sent == total.answered && total.unaccounted == 0 && total.sent > 0,
                detail: format!(
                    "{} sent, {} answered, {} unaccounted for",
                    total.sent, total.answered, total.unaccounted
                ),
            },
            Check {
                what: "every repeat got the first answer",
                holds: total.different_repeats == 0,
                detail: format!(
                    "{} repeats, {} with another answer",
                    total.count(Outcome::Repeated),
                    total.different_repeats
                ),
            },
            Check {
                what: "events numbered without gaps",
                holds: total.event_gaps == 0,
                detail: format!("{} missing or twice", total.event_gaps),
            },
            Check {
                what: "wrong commands refused",
                holds: wrong_sent == wrong_refused,
                detail: format!("{wrong_sent} sent on purpose, {wrong_refused} refused"),
            },
            Check {
                what: "a forged MAC ends its session",
                holds: self.forged == Ok(Code::FrameMac),
                detail: match &self.forged {
                    Ok(code) => code.to_string(),
                    Err(problem) => problem.clone(),
                },
            },
        ]
    }

    fn journal_checks(&self) -> Vec<Check> {
        let total = &self.total;
        let (acknowledged, rejected) = (total.count(Outcome::Acknowledged), total.count(Outcome::Rejected));
        let journal = &self.journal;
        vec![
            Check {
                what: "journal intact",
                holds: self.verification.is_intact(),
                detail: format!(
                    "{} records in {} segments, {} places damaged",
                    self.verification.records,
                    self.verification.segments,
                    self.verification.damages.len()
                ),
            },
            Check {
                what: "journal agrees with the clients",
                holds: journal.intents == acknowledged && journal.refusals == rejected,
                detail: format!(
                    "{} intents for {acknowledged} acknowledged, {} refusals for {rejected} rejected",
                    journal.intents, journal.refusals
                ),
            },
        ]
    }

    fn side_checks(&self) -> Vec<Check> {
        let check = |(what, response): (&'static str, &Result<Response, String>)| {
            let (holds, detail) = match response {
                Ok(Response { status, body }) if what == "ready" => {
                    (*status == 200, format!("/readyz says {status} {}", body.trim().replace('\n', "; ")))
                }
                Ok(Response { status, body }) => {
                    let samples = body.lines().filter(|line| !line.starts_with('#')).count();
                    (*status == 200 && samples > 0, format!("/metrics says {status}, {samples} samples"))
                }
                Err(problem) => (false, problem.clone()),
            };
            Check { what, holds, detail }
        };
        [("ready", &self.health), ("metrics served", &self.metrics)].map(check).into()
    }

    fn actions_table(&self, output: &Output) -> String {
        let mut table = Table::new(&[
            "action",
            ">sent",
            ">acknowledged",
            ">rejected",
            ">repeated",
            ">refused",
            ">answered",
        ]);
        let row = |name: &str, counts: [u64; 5]| {
            let sum: u64 = counts.iter().sum();
            let cells = std::iter::once(sum).chain(counts).map(|count| count.to_string());
            std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
        };
        for action in (0..ACTIONS).filter(|action| self.total.of_action(*action) > 0) {
            table.row(row(Action::NAMES[action], self.total.outcomes[action]));
        }
        let mut sums = [0; 5];
        for counts in &self.total.outcomes {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        table.row(row("all", sums));
        let rate = u128::from(self.total.answered) * 1_000 / self.total.busy.as_millis().max(1);
        let seconds = moment::length(u64::try_from(self.total.busy.as_nanos()).unwrap_or(u64::MAX));
        table.render(output)
            + &format!(
                "in {seconds}: {rate} a second, by {} clients that each wait for every answer\n",
                self.by_client.len() - 1
            )
    }

    fn clients_table(&self, output: &Output) -> String {
        let mut table = Table::new(&[
            "client",
            ">sent",
            ">acknowledged",
            ">refused",
            ">other",
            ">reports",
            ">p50",
            ">p99",
        ]);
        for (name, tally) in &self.by_client {
            let (acknowledged, refused) = (
                tally.count(Outcome::Acknowledged),
                tally.count(Outcome::Rejected) + tally.count(Outcome::Refused),
            );
            table.row([
                name.clone(),
                tally.sent.to_string(),
                acknowledged.to_string(),
                refused.to_string(),
                (tally.answered.saturating_sub(acknowledged + refused)).to_string(),
                tally.reports.values().sum::<u64>().to_string(),
                moment::length(tally.latency.value_at_quantile(0.5)),
                moment::length(tally.latency.value_at_quantile(0.99)),
            ]);
        }
        table.render(output)
    }

    fn codes_table(&self, output: &Output) -> String {
        let mut codes: Vec<_> = self.total.codes.iter().collect();
        codes.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), code.number()));
        let mut table = Table::new(&[">number", "code", ">count", "meaning"]);
        for (code, count) in codes {
            let meaning = code.meaning().to_owned();
            table.row([code.number().to_string(), code.to_string(), count.to_string(), meaning]);
        }
        table.render(output)
    }

    fn wrong_table(&self, output: &Output) -> String {
        let mut table = Table::new(&["what", ">sent", ">refused"]);
        for (what, wrong) in &self.total.wrong {
            table.row([(*what).to_owned(), wrong.sent.to_string(), wrong.refused.to_string()]);
        }
        let forged = match &self.forged {
            Ok(code) => format!("session ended: {code}"),
            Err(problem) => problem.clone(),
        };
        table.render(output) + &format!("forged MAC, on a connection of its own: {forged}\n")
    }

    fn reports_table(&self, output: &Output) -> String {
        let mut table = Table::new(&["report", ">count"]);
        for (name, count) in &self.total.reports {
            table.row([(*name).to_owned(), count.to_string()]);
        }
        table.render(output)
    }

    fn document(&self, setup: &Setup, gateway: &Gateway, keys: &[DemoKey], checks: &[Check]) -> Value {
        let actions: serde_json::Map<String, Value> = (0..ACTIONS)
            .map(|action| {
                let counts = Outcome::NAMES.iter().zip(self.total.outcomes[action]);
                let counts = counts.map(|(name, count)| ((*name).to_owned(), Value::from(count))).collect();
                (Action::NAMES[action].to_owned(), Value::Object(counts))
            })
            .collect();
        let codes: serde_json::Map<String, Value> =
            self.total.codes.iter().map(|(code, count)| (code.to_string(), Value::from(*count))).collect();
        let wrong: serde_json::Map<String, Value> = self
            .total
            .wrong
            .iter()
            .map(|(what, it)| ((*what).to_owned(), json!({"sent": it.sent, "refused": it.refused})))
            .collect();
        let latency: serde_json::Map<String, Value> = QUANTILES
            .iter()
            .map(|(name, share)| {
                ((*name).to_owned(), Value::from(self.total.latency.value_at_quantile(*share)))
            })
            .collect();
        let check = |check: &Check| json!({"what": check.what, "holds": check.holds, "detail": check.detail});
        json!({
            "passed": checks.iter().all(|check| check.holds),
            "checks": checks.iter().map(check).collect::<Vec<_>>(),
            "sent": self.total.sent,
            "answered": self.total.answered,
            "elapsed_ms": u64::try_from(self.total.busy.as_millis()).unwrap_or(u64::MAX),
            "actions": actions,
            "codes": codes,
            "wrong_on_purpose": wrong,
            "reports": self.total.reports,
            "positions": self.positions.iter().map(document::row).collect::<Vec<_>>(),
            "accounts": self.accounts.iter().map(document::row).collect::<Vec<_>>(),
            "latency_ns": latency,
            "journal": {
                "directory": setup.settings.journal.directory,
                "records": self.journal.records,
                "intents": self.journal.intents,
                "refusals": self.journal.refusals,
                "reports": self.journal.reports,
            },
            "address": gateway.address().to_string(),
            "side_address": gateway.side_address().to_string(),
            "settings": setup.settings_file,
            "client_files": keys.iter().map(|key| &key.path).collect::<Vec<_>>(),
        })
    }
}

/// Percentiles, and how the latencies spread.
fn latency_text(latency: &Histogram<u64>, output: &Output) -> String {
    let quantiles: Vec<String> = QUANTILES
        .iter()
        .map(|(name, share)| format!("{name} {}", moment::length(latency.value_at_quantile(*share))))
        .collect();
    let mut text = format!("{}   of {} commands\n", quantiles.join("   "), latency.len());
    let bars = bars(latency);
    let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    for (bound_ns, count) in bars {
        let length = (count * BAR_WIDTH).div_ceil(most);
        let bar = "█".repeat(length as usize);
        let label = format!("≤ {}", moment::length(bound_ns));
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:>12}  {count:>8}  {}", output.paint(Tone::Good, &bar));
    }
    text
}

/// Counts between bounds that each are twice the one before; the emptiness on both sides is left out.
fn bars(latency: &Histogram<u64>) -> Vec<(u64, u64)> {
    let mut bars = Vec::new();
    let mut low = 0;
    let mut bound = 1_000;
    while low < latency.max() {
        bars.push((bound, latency.count_between(low + 1, bound)));
        (low, bound) = (bound, bound * 2);
    }
    let first = bars.iter().position(|(_, count)| *count > 0).unwrap_or(0);
    bars.split_off(first)
}

/// Commands to copy.
fn hints(setup: &Setup, gateway: &Gateway, keys: &[DemoKey]) -> String {
    let program = program();
    let side = gateway.side_address();
    let config = shell_word(&setup.settings_file);
    let account = setup.accounts().first().map(ToString::to_string).unwrap_or_default();
    let symbol = setup.symbol.or_else(|| {
        let instrument = setup.settings.instruments.first();
        instrument.map(|settings| settings.instrument.symbol)
    });
    let symbol = symbol.map(|symbol| symbol.to_string()).unwrap_or_default();
    let key = keys.first().map(|key| shell_word(&key.path)).unwrap_or_default();
    format!(
        "send an order   {program} send --key {key} --account {account} new {symbol} buy 0.01 --wait
see positions   {program} positions --key {key} --account {account}
watch events    {program} watch --key {key} --from 1
the journal     {program} journal list --config {config} --last 20
                {program} journal verify --config {config}
health          http://{side}/health   ({program} status {side})
metrics         http://{side}/metrics
The files stay in {}.
",
        setup.directory.display()
    )
}

/// This program, as it can be called again.
fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let called = Path::new(&called);
    if called.components().count() > 1 {
        std::env::current_exe().map_or_else(|_| shell_word(called), |path| shell_word(&path))
    } else {
        shell_word(called)
    }
}
