//! Price feeds, from fixtures and from files made here.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use common::instruments;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tollgate_bridge::paper::feed::{
    Fault, Feed, FeedError, FeedSettings, FeedStatistics, Pace, Walk, examine,
};
use tollgate_protocol::instrument::InstrumentIndex;

const BTCUSDT: InstrumentIndex = InstrumentIndex(0);
const EURUSD: InstrumentIndex = InstrumentIndex(1);
const AS_ASKED: Pace = Pace { speed: 0, repeat: false };

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn csv(path: PathBuf, pace: Pace) -> Feed {
    Feed::open(&[FeedSettings::CsvQuotes { path, instrument: EURUSD, pace }], &instruments(), 0).unwrap()
}

fn binance(path: PathBuf) -> Feed {
    Feed::open(&[FeedSettings::BinanceStream { path, pace: AS_ASKED }], &instruments(), 0).unwrap()
}

fn walk(seed: u64, volatility_ppm: u32, walks: Vec<Walk>) -> Result<Feed, FeedError> {
    let settings = FeedSettings::Synthetic { seed, interval_ns: 1_000, volatility_ppm, walks };
    Feed::open(&[settings], &instruments(), 0)
}

/// Instrument, bid and ask of everything that is due now, in bounded time.
fn due(feed: &mut Feed, now_ns: u64) -> Vec<(u16, i64, i64)> {
    let mut quotes = Vec::new();
    while feed.next_due_ns(now_ns).is_some_and(|due_ns| due_ns <= now_ns) {
        let quote = feed.next(now_ns);
        quotes.extend(quote.map(|quote| (quote.instrument.0, quote.bid_ticks, quote.ask_ticks)));
        assert!(quotes.len() < 10_000, "a feed that never ends");
    }
    quotes
}

#[test]
fn both_forms_of_csv_are_played_at_their_pace() {
    for name in ["compact.csv", "written.csv"] {
        for speed in [1, 4] {
            let mut feed = csv(fixture(name), Pace { speed, repeat: false });
            let start_ns = 7_000_000;
            assert_eq!(due(&mut feed, start_ns), [(1, 110_000, 110_012)], "{name}");
            let second_ns = start_ns + 100_000_000 / u64::from(speed);
            assert_eq!(feed.next_due_ns(start_ns), Some(second_ns), "{name}");
            assert_eq!(due(&mut feed, second_ns - 1), [], "{name}");
            assert_eq!(due(&mut feed, second_ns), [(1, 110_001, 110_013)], "{name}");
            assert_eq!(due(&mut feed, start_ns + 300_000_000), [(1, 109_999, 110_010)], "{name}");
            assert_eq!(feed.next_due_ns(u64::MAX), None, "{name}");
            let lines = if name == "written.csv" { 4 } else { 3 };
            let expected = FeedStatistics {
                quotes: 3,
                lines,
                lines_skipped: lines - 3,
                ended: 1,
                ..FeedStatistics::default()
            };
            assert_eq!(feed.statistics(), expected, "{name}");
        }
    }
}

#[test]
fn a_recording_can_start_again() {
    let mut feed = csv(fixture("written.csv"), Pace { speed: 1, repeat: true });
    let all = [(1, 110_000, 110_012), (1, 110_001, 110_013), (1, 109_999, 110_010)];
    let mut now_ns = 0;
    for round in 0..3 {
        let mut quotes = Vec::new();
        while quotes.len() < 3 {
            quotes.extend(
                feed.next(now_ns).map(|quote| (quote.instrument.0, quote.bid_ticks, quote.ask_ticks)),
            );
            now_ns = now_ns.max(feed.next_due_ns(now_ns).unwrap());
        }
        assert_eq!(quotes, all, "round {round}");
    }
    // Before it begins again, it waits as long as between two quotes on average: 150 ms.
    assert_eq!(now_ns, 3 * (300_000_000 + 150_000_000));
    let statistics = feed.statistics();
    assert_eq!((statistics.quotes, statistics.repeats, statistics.ended), (9, 3, 0));
}

#[test]
fn without_a_pace_every_question_gets_a_quote() {
    let mut feed = csv(fixture("compact.csv"), AS_ASKED);
    assert_eq!(due(&mut feed, 5).len(), 3);
    assert_eq!(feed.next(5), None);
}

#[test]
fn streams_give_their_book_tickers() {
    let mut feed = binance(fixture("binance.txt"));
    // The second is off the grid of 0.1: its bid goes down and its ask up.
    let expected = [(0, 300_001, 300_002), (0, 300_001, 300_003), (0, 300_003, 300_004)];
    assert_eq!(due(&mut feed, 5), expected);
    let expected = FeedStatistics {
        quotes: 3,
        lines: 7,
        lines_skipped: 3,
        unknown_symbols: 1,
        ended: 1,
        ..FeedStatistics::default()
    };
    assert_eq!(feed.statistics(), expected);
}

#[test]
fn instruments_of_other_venues_are_unknown() {
    let settings = [FeedSettings::BinanceStream { path: fixture("binance.txt"), pace: AS_ASKED }];
    let mut feed = Feed::open(&settings, &instruments(), 1).unwrap();
    assert!(due(&mut feed, 5).iter().all(|(instrument, _, _)| *instrument == 2));
    let told = Feed::open(&settings, &instruments(), 9).map(|_| ()).unwrap_err().to_string();
    let expected = "has no quote that can be played in 7 lines; its 4 quotes are of BTCUSDT, ETHUSDT, and no instrument of \
                    this venue has that symbol";
    assert!(told.ends_with(expected), "{told}");
}

#[test]
fn compressed_files_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("binance.txt.gz");
    let plain = fs::read(fixture("binance.txt")).unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&plain).unwrap();
    let compressed = encoder.finish().unwrap();
    fs::write(&path, &compressed).unwrap();
    let (mut feed, mut expected) = (binance(path.clone()), binance(fixture("binance.txt")));
    assert_eq!(due(&mut feed, 5), due(&mut expected, 5));
    assert_eq!(feed.statistics(), expected.statistics());

    let unnamed = folder.path().join("binance.txt");
    fs::rename(&path, &unnamed).unwrap();
    let mut feed = binance(unnamed.clone());
    assert_eq!(due(&mut feed, 5).len(), 3, "compression is seen by the content, not by the name");

    fs::write(&unnamed, &compressed[..compressed.len() / 2]).unwrap();
    let told = refused(&FeedSettings::BinanceStream { path: unnamed, pace: AS_ASKED });
    assert!(told.contains("is damaged: behind line") && told.contains("fetch it again"), "{told}");
}

fn refused(settings: &FeedSettings) -> String {
    let told = Feed::open(std::slice::from_ref(settings), &instruments(), 0).map(|_| ()).unwrap_err();
    assert_eq!(examine(settings, &instruments(), 0).map(|_| ()).unwrap_err().to_string(), told.to_string());
    told.to_string()
}

/// Every wrong file of quotes, and what is said of it before it is played.
#[test]
fn what_cannot_be_played_is_told_before_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotes.csv");
    let utf16 = |text: &str| {
        [&[0xff, 0xfe][..], &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()].concat()
    };
    let line = "20240102 030405006,1.1,1.2,0\n";
    for (content, expected) in [
        (Vec::new(), "is empty"),
        (b"\xef\xbb\xbf".to_vec(), "is empty"),
        (utf16(line), "is UTF-16 text: save it as UTF-8"),
        (utf16(line)[2..].to_vec(), "is UTF-16 text: save it as UTF-8"),
        (b"timestamp,bid,ask\n".to_vec(), "has no quote that can be played in 1 line"),
        (
            b"timestamp,bid,ask\n1577898000065,1.1,1.2\n".to_vec(),
            "line 2: time \"1577898000065\" is a bare number: write it as 2013-01-01 22:00:00.295+00:00",
        ),
        (line.as_bytes().to_vec(), "has 1 quote of one moment alone"),
        (line.repeat(3).into_bytes(), "has 3 quotes of one moment alone"),
        (b"\x1f\x8b\x08garbage".to_vec(), ""),
    ] {
        fs::write(&path, &content).unwrap();
        let pace = Pace { speed: 1, repeat: true };
        let told = refused(&FeedSettings::CsvQuotes { path: path.clone(), instrument: EURUSD, pace });
        assert!(told.contains(expected) && told.contains("quotes.csv"), "{content:?}: {told}");
    }
    let told = refused(&FeedSettings::BinanceStream { path: folder.path().to_owned(), pace: AS_ASKED });
    assert!(told.contains("is not a regular file"), "{told}");
}

/// A recording in milliseconds would be played a million times too fast.
#[test]
fn a_stream_in_another_unit_of_time_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    let ticker = r#"{"e":"bookTicker","s":"BTCUSDT","b":"1.0","a":"2.0"}"#;
    for (time, unit) in
        [("1723161255", "seconds"), ("1723161255030", "milliseconds"), ("1723161255030314", "microseconds")]
    {
        fs::write(&path, format!("{time} {ticker}\n").repeat(2)).unwrap();
        let told = refused(&FeedSettings::BinanceStream { path: path.clone(), pace: AS_ASKED });
        assert!(
            told.contains(&format!("line 1: time {time} is in {unit}: nanoseconds since 1970 are needed")),
            "{told}"
        );
    }
}

#[test]
fn times_that_go_back_are_skipped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotes.csv");
    let line = |second: u32| format!("20240102 0304{second:02}000,1.1{second},1.9,0\n");
    fs::write(&path, [line(10), line(11), line(5), line(6), line(12)].concat()).unwrap();
    let settings = FeedSettings::CsvQuotes {
        path: path.clone(),
        instrument: EURUSD,
        pace: Pace { speed: 1, repeat: false },
    };
    let found = examine(&settings, &instruments(), 0).unwrap().unwrap();
    assert_eq!((found.statistics.quotes, found.span_ns, found.is_whole), (3, 2_000_000_000, true));
    let told = found.warnings(1, &[(EURUSD.0, "EURUSD")]);
    let expected = "2 of its 5 lines cannot be played and are skipped: 2 with a time before that of an earlier line; the \
                    first is line 3: the time is 6000000000 ns before that of an earlier line";
    assert_eq!(told, [expected]);

    let mut feed = csv(path, Pace { speed: 1, repeat: false });
    assert_eq!(due(&mut feed, 1_000), [(1, 111_000, 190_000)].map(|(at, _, ask)| (at, 111_000, ask)));
    assert_eq!(feed.next_due_ns(1_000), Some(1_000 + 1_000_000_000));
    assert_eq!(due(&mut feed, 1_000 + 2_000_000_000).len(), 2);
    assert_eq!(feed.statistics().bad_lines.of(Fault::TimeBack), 2);
}

#[test]
fn what_is_left_out_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    let line = |hour: u64, symbol: &str| {
        let time_ns = 1_700_000_000_000_000_000 + hour * 3_600_000_000_000;
        format!("{time_ns} {{\"e\":\"bookTicker\",\"s\":\"{symbol}\",\"b\":\"1.0\",\"a\":\"2.0\"}}\n")
    };
    let lines = [line(0, "BTCUSDT"), "nonsense\n".to_owned(), line(0, "XYZ"), line(5, "BTCUSDT")];
    fs::write(&path, lines.concat()).unwrap();
    let settings = FeedSettings::BinanceStream { path, pace: AS_ASKED };
    let found = examine(&settings, &instruments(), 0).unwrap().unwrap();
    let names = [(BTCUSDT.0, "BTCUSDT"), (EURUSD.0, "EURUSD")];
    let expected = [
        "1 of its 4 lines cannot be played and is skipped: 1 of another form; the first is line 2: no space between time \
         and message",
        "1 quote of symbols that no instrument of this venue has are skipped, as of XYZ",
        "there is no quote of 1 of this venue's 2 instruments: orders in EURUSD are refused for want of a price",
        "prices stand still for 150 minutes before line 4, at speed 2",
    ];
    assert_eq!(found.warnings(2, &names), expected);
    assert_eq!(found.warnings(0, &names[..1]).len(), 2);
}

/// The end of a file that has changed since it was looked at: no storm, no silence.
#[test]
fn a_recording_that_shrinks_to_one_moment_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotes.csv");
    let line = |second: u32| format!("20240102 0304{second:02}000,1.1,1.9,0\n");
    fs::write(&path, [line(1), line(2)].concat()).unwrap();
    let mut feed = csv(path.clone(), Pace { speed: 1_000_000, repeat: true });
    fs::write(&path, line(1)).unwrap();
    let quotes: usize = (0..10).map(|second| due(&mut feed, second * 1_000_000_000).len()).sum();
    assert_eq!(quotes, 3, "both of the first time, the one of the second");
    assert_eq!(feed.statistics().ended, 1);
}

#[test]
fn bad_lines_are_counted_and_the_first_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotes.csv");
    let mut text =
        b"\xef\xbb\xbftimestamp,bid,ask\r\n2024-01-02 03:04:05+00:00,1.1,1.2\r\n\r\nnonsense\r\n".to_vec();
    text.extend_from_slice(b"2024-01-02 03:04:06+00:00,\xff,1.2\n");
    text.extend(std::iter::repeat_n(b'9', 3 << 20));
    text.extend_from_slice(b"\n2024-01-02 03:04:07+00:00,1.3,1.4");
    fs::write(&path, text).unwrap();
    let mut feed = csv(path.clone(), AS_ASKED);
    assert_eq!(due(&mut feed, 5), [(1, 110_000, 120_000), (1, 130_000, 140_000)]);
    let statistics = feed.statistics();
    assert_eq!((statistics.lines, statistics.lines_skipped, statistics.bad_lines.total()), (7, 2, 3));
    for fault in [Fault::Form, Fault::Encoding, Fault::Length] {
        assert_eq!(statistics.bad_lines.of(fault), 1, "{fault:?}");
    }
    let first = statistics.first_bad_line.unwrap();
    assert_eq!((&first.path, first.number), (&path, 4));
    assert_eq!(first.reason, "fewer than three fields: time,bid,ask");
}

#[test]
fn files_that_cannot_be_used_are_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotes.csv");
    let open = |path: &Path, instrument| {
        let settings = FeedSettings::CsvQuotes { path: path.to_path_buf(), instrument, pace: AS_ASKED };
        Feed::open(&[settings], &instruments(), 0).map(|_| ()).unwrap_err()
    };
    assert!(matches!(open(&path, EURUSD), FeedError::Io { .. }));
    fs::write(&path, "date;open;close\n").unwrap();
    let error = open(&path, EURUSD);
    assert!(error.to_string().contains("\"date;open;close\""), "{error}");
    assert!(matches!(open(&path, InstrumentIndex(2)), FeedError::UnknownInstrument { .. }));
}

#[test]
fn walks_are_seeded_and_stay_near_their_start() {
    let walks = vec![
        Walk { instrument: BTCUSDT, start_ticks: 600_000, spread_ticks: 1 },
        Walk { instrument: EURUSD, start_ticks: 3, spread_ticks: 2 },
    ];
    let run = |seed| {
        let mut feed = walk(seed, 50_000, walks.clone()).unwrap();
        (0..2_000).flat_map(|turn| due(&mut feed, 5 + turn * 1_000)).collect::<Vec<_>>()
    };
    let quotes = run(1);
    assert_eq!(quotes.len(), 4_000);
    assert_eq!(quotes[..2], [(0, 600_000, 600_001), (1, 3, 5)]);
    assert_eq!(quotes, run(1));
    assert_ne!(quotes, run(2));
    for (instrument, bid, ask) in quotes {
        let (start, spread) = if instrument == 0 { (600_000, 1) } else { (3, 2) };
        assert!((start / 2..=start * 2).contains(&bid) && ask == bid + spread, "{instrument}: {bid} {ask}");
    }
}

#[test]
fn a_walk_without_volatility_stands() {
    let mut feed = walk(1, 0, vec![Walk { instrument: BTCUSDT, start_ticks: 100, spread_ticks: 0 }]).unwrap();
    assert!((0..100).flat_map(|turn| due(&mut feed, turn * 1_000)).all(|quote| quote == (0, 100, 100)));
}

#[test]
fn a_walk_leaves_out_what_nobody_asked_for() {
    let mut feed =
        walk(1, 10, vec![Walk { instrument: BTCUSDT, start_ticks: 100, spread_ticks: 0 }]).unwrap();
    assert_eq!(due(&mut feed, 1_000_000).len(), 1);
    assert_eq!(due(&mut feed, 9_000_000).len(), 1);
    assert_eq!(feed.next_due_ns(9_000_000), Some(9_001_000));
}

#[test]
fn senseless_walks_are_refused() {
    for (start_ticks, spread_ticks) in [(0, 1), (-5, 1), (5, -1), (i64::MAX, 1)] {
        let walks = vec![Walk { instrument: BTCUSDT, start_ticks, spread_ticks }];
        assert!(matches!(walk(1, 1, walks), Err(FeedError::Setting { .. })), "{start_ticks} {spread_ticks}");
    }
    assert!(matches!(walk(1, 1_000_001, Vec::new()), Err(FeedError::Setting { name: "volatility_ppm", .. })));
}

#[test]
fn several_feeds_take_turns() {
    let settings = [
        FeedSettings::CsvQuotes { path: fixture("compact.csv"), instrument: EURUSD, pace: AS_ASKED },
        FeedSettings::BinanceStream { path: fixture("binance.txt"), pace: AS_ASKED },
    ];
    let mut feed = Feed::open(&settings, &instruments(), 0).unwrap();
    let order: Vec<u16> = due(&mut feed, 5).iter().map(|(instrument, _, _)| *instrument).collect();
    assert_eq!(order, [0, 1, 0, 1, 0, 1]);
    assert_eq!(feed.statistics().ended, 2);
}

proptest! {
    #[test]
    fn no_file_breaks_a_feed(
        bytes in prop::collection::vec(prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            Just(b"\n".to_vec()),
            Just(b"20240102 030405006,1.1,1.2,0\n".to_vec()),
            Just(b"1700000000000000001 {\"e\":\"bookTicker\",\"s\":\"BTCUSDT\",\"b\":\"1\",\"a\":\"2\"}\n".to_vec()),
            Just(b"1700000000000000009 {\"e\":\"bookTicker\",\"s\":\"BTCUSDT\",\"b\":\"1\",\"a\":\"2\"}\n".to_vec()),
            Just(b"20240102 030405007,1.1,1.2,0\n".to_vec()),
        ], 0..60),
        is_compressed: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(if is_compressed { "file.gz" } else { "file" });
        fs::write(&path, bytes.concat()).unwrap();
        for settings in [
            FeedSettings::CsvQuotes { path: path.clone(), instrument: EURUSD, pace: AS_ASKED },
            FeedSettings::BinanceStream { path: path.clone(), pace: AS_ASKED },
        ] {
            if let Ok(mut feed) = Feed::open(&[settings], &instruments(), 0) {
                prop_assert!(due(&mut feed, 5).iter().all(|(_, bid, ask)| *bid > 0 && ask >= bid));
                let statistics = feed.statistics();
                prop_assert_eq!(statistics.ended, 1);
                prop_assert_eq!(statistics.bad_lines.total() > 0, statistics.first_bad_line.is_some());
            }
        }
    }
}
