//! Every metric.

use tollgate_protocol::command::Action;
use tollgate_protocol::reject::Code;

use super::Source;
use tollgate_protocol::event::ReportKind;

use super::exposition::{Exposition, LATENCY_BOUNDS_NS, Percent, STAGE_BOUNDS_NS, Seconds};
use super::process::Process;
use super::status::Phase;
use tollgate_core::Stage;
use tollgate_core::metrics::{Counter, Outcome, VenueMetrics};

/// The text of all metrics as they stand.
pub(super) fn render(source: &Source) -> String {
    let mut out = Exposition::default();
    gateway(&mut out, source);
    commands(&mut out, source);
    times(&mut out, source);
    sessions(&mut out, source);
    door(&mut out, source);
    trading(&mut out, source);
    venues(&mut out, source);
    journal(&mut out, source);
    super::door::families(&mut out, source);
    process(&mut out, source);
    out.finish()
}

fn gateway(out: &mut Exposition, source: &Source) {
    let status = &source.status;
    let labels = [("instance_name", status.instance()), ("version", status.version())];
    out.gauge("tollgate_build_info", "What runs here; always 1.").labelled(&labels, 1);
    let mut phases = out.gauge("tollgate_phase", "What the process is about: 1 for the present phase.");
    for phase in Phase::ALL {
        phases.labelled(&[("phase", phase.name())], u8::from(phase == status.phase()));
    }
    out.gauge("tollgate_recovered_records", "Journal records read by recovery.")
        .value(status.recovered_records());
    out.gauge("tollgate_ready", "1 when every readiness check passes.")
        .value(u8::from(super::health::is_ready(source)));
}

fn by_code<'a>(
    out: &'a mut Exposition,
    name: &'static str,
    help: &str,
    table: &[Counter],
) -> super::exposition::Family<'a> {
    let mut family = out.counter(name, help);
    for (code, count) in Code::ALL.iter().zip(table) {
        family.labelled(&[("code", code.name())], count.get());
    }
    family
}

fn commands(out: &mut Exposition, source: &Source) {
    let metrics = &source.metrics;
    let mut family = out.counter("tollgate_commands_total", "Commands by action and what they came to.");
    for (action, counts) in Action::NAMES.iter().zip(&metrics.commands) {
        for (outcome, count) in Outcome::NAMES.iter().zip(counts) {
            family.labelled(&[("action", action), ("outcome", outcome)], count.get());
        }
    }
    by_code(out, "tollgate_rejects_total", "Commands refused, by code.", &metrics.rejects);
    let mut family = out.counter("tollgate_reports_total", "Reports of venues, by kind.");
    for (kind, count) in ReportKind::NAMES.iter().zip(&metrics.reports) {
        family.labelled(&[("kind", kind)], count.get());
    }
    out.gauge("tollgate_dedupe_entries", "Commands in the deduplication window.")
        .value(metrics.dedupe_entries.get());
}

fn times(out: &mut Exposition, source: &Source) {
    let metrics = &source.metrics;
    let mut family = out.histogram(
        "tollgate_stage_seconds",
        "Time of sampled commands, by pipeline stage. Up to eight that came together are authenticated at once, in the time of \
         the first.",
    );
    for (stage, histogram) in Stage::ALL.map(Stage::name).iter().zip(&metrics.stages) {
        family.distribution(&[("stage", stage)], histogram, STAGE_BOUNDS_NS);
    }
    out.histogram(
        "tollgate_command_latency_seconds",
        "Length of the turn that took a frame, once for each: its answer is in the socket before, or, at the disk class, \
         waits for the disk. Turns that were slept before are left out.",
    )
    .distribution(&[], &metrics.command_latency, LATENCY_BOUNDS_NS);
    out.histogram(
        "tollgate_turn_seconds",
        "Length of turns of the hot loop that took frames or reports, and were not slept before.",
    )
    .distribution(&[], &metrics.turn_time, LATENCY_BOUNDS_NS);
    out.counter("tollgate_turns_total", "Turns of the hot loop.").value(metrics.turns.get());
    out.gauge("tollgate_last_turn_timestamp_seconds", "When the hot loop last turned, since the Unix epoch.")
        .value(Seconds(metrics.last_turn_ns.get()));
    out.gauge("tollgate_hot_parked", "1 while the hot thread sleeps until something happens.")
        .value(metrics.parked.get());
}

fn sessions(out: &mut Exposition, source: &Source) {
    let metrics = &source.metrics;
    out.gauge("tollgate_sessions", "Sessions that stand.").value(metrics.sessions.get());
    out.gauge("tollgate_sessions_limit", "Sessions that may stand.")
        .value(source.settings.sessions.sessions_max);
    out.counter("tollgate_sessions_begun_total", "Sessions begun.").value(metrics.sessions_begun.get());
    by_code(
        out,
        "tollgate_sessions_ended_total",
        "Sessions that ended without the client's goodbye: by the gateway's code, or CONNECTION_LOST.",
        &metrics.sessions_ended,
    )
    .labelled(&[("code", "CONNECTION_LOST")], metrics.sessions_lost.get());
    out.counter("tollgate_events_replayed_total", "Events sent again from the hot thread's memory.")
        .value(metrics.events_replayed.get());
    out.counter("tollgate_received_bytes_total", "Bytes received from sessions.")
        .value(metrics.bytes_received.get());
    out.counter("tollgate_sent_bytes_total", "Bytes sent to sessions.").value(metrics.bytes_sent.get());
}

fn door(out: &mut Exposition, source: &Source) {
    let metrics = &source.metrics;
    out.gauge("tollgate_door_waiting", "Connections that have not logged on yet.")
        .value(metrics.door_waiting.get());
    out.counter("tollgate_door_accepted_total", "Connections accepted.").value(metrics.door_accepted.get());
    out.counter("tollgate_door_logons_total", "Logons that succeeded.").value(metrics.door_logons.get());
    by_code(
        out,
        "tollgate_door_refused_total",
        "Connections refused before they had a session, by code.",
        &metrics.door_refused,
    );
    out.gauge(
        "tollgate_door_blocked_addresses",
        "Addresses with so many failed logons that wrong proofs from them are answered late.",
    )
    .value(metrics.door_blocked_addresses.get());
    out.counter("tollgate_door_events_replayed_total", "Events replayed from the journal.")
        .value(metrics.door_events_replayed.get());
    out.gauge("tollgate_keys", "Keys in force, revoked and expired ones included.")
        .value(metrics.door_keys.get());
    out.counter("tollgate_keys_reloads_total", "Times the keys changed while running.")
        .value(metrics.door_keys_reloads.get());
    out.counter("tollgate_keys_errors_total", "Times the keys file changed and was not valid.")
        .value(metrics.door_keys_errors.get());
}

fn trading(out: &mut Exposition, source: &Source) {
    let metrics = &source.metrics;
    out.gauge("tollgate_orders_open", "Orders that are open, unknown ones included.")
        .value(metrics.orders_open.get());
    out.gauge("tollgate_orders_open_limit", "Orders that may be open.")
        .value(source.settings.capacity.open_orders_max);
    out.gauge("tollgate_orders_unknown", "Orders whose outcome at the venue is unknown.")
        .value(metrics.orders_unknown.get());
    out.gauge("tollgate_trading_state", "0 active, 1 reducing, 2 halted: the whole gateway.")
        .value(metrics.trading_state.get());
    out.gauge("tollgate_halts", "Accounts and symbols that are halted or reducing.")
        .value(metrics.halts.get());
    out.gauge("tollgate_loss_limit_used_ratio", "Highest used share of a loss limit, over all owners.")
        .value(Percent(metrics.loss_percent.get()));
}

/// Reads one number of a venue.
type Read = fn(&VenueMetrics) -> u64;

fn venues(out: &mut Exposition, source: &Source) {
    let venues: Vec<(&str, &VenueMetrics)> =
        source.settings.venues.iter().map(|it| it.name.as_str()).zip(&source.metrics.venues).collect();
    let gauges: [(&'static str, &str, Read); 3] = [
        ("tollgate_venue_state", "0 down, 1 reconciling, 2 up.", |venue| venue.state.get()),
        ("tollgate_venue_outbox", "Requests that wait in the outbox.", |venue| venue.outbox.get()),
        ("tollgate_venue_lane_free", "Free places of the lane of requests.", |venue| venue.lane_free.get()),
    ];
    let counters: [(&'static str, &str, Read); 5] = [
        ("tollgate_venue_requests_total", "Requests sent.", |venue| venue.requests.get()),
        ("tollgate_venue_reports_total", "Reports taken.", |venue| venue.reports.get()),
        (
            "tollgate_venue_reports_repeated_total",
            "Reports dropped because they said nothing new.",
            |venue| venue.reports_repeated.get(),
        ),
        ("tollgate_venue_quotes_total", "Quotes taken.", |venue| venue.quotes.get()),
        ("tollgate_venue_disconnects_total", "Times the venue went down.", |venue| venue.disconnects.get()),
    ];
    for (name, help, read) in gauges {
        let mut family = out.gauge(name, help);
        for (venue, metrics) in &venues {
            family.labelled(&[("venue", venue)], read(metrics));
        }
    }
    for (name, help, read) in counters {
        let mut family = out.counter(name, help);
        for (venue, metrics) in &venues {
            family.labelled(&[("venue", venue)], read(metrics));
        }
    }
    let mut family = out.histogram(
        "tollgate_venue_round_trip_seconds",
        "From a request on its way to the first report of it.",
    );
    for (venue, metrics) in venues {
        family.distribution(&[("venue", venue)], &metrics.round_trip, LATENCY_BOUNDS_NS);
    }
    out.gauge("tollgate_lane_limit", "Places of each lane, the reserve included.")
        .value(source.settings.capacity.lane_messages);
}

fn journal(out: &mut Exposition, source: &Source) {
    let metrics = &source.metrics;
    out.gauge("tollgate_journal_sequence", "Sequence of the last record.")
        .value(metrics.journal_sequence.get());
    out.gauge("tollgate_journal_durable_sequence", "Every record up to this has the configured durability.")
        .value(metrics.journal_durable_sequence.get());
    out.gauge("tollgate_journal_state", "0 writable, 1 low on space, 2 failed.")
        .value(metrics.journal_state.get());
    out.gauge("tollgate_journal_free_bytes", "Bytes free in the present segment.")
        .value(metrics.journal_free_bytes.get());
    out.gauge("tollgate_journal_segment", "Number of the present segment.")
        .value(metrics.journal_segment.get());
    let Some(statistics) = source.status.journal() else { return };
    out.counter("tollgate_journal_syncs_total", "Syncs that succeeded.").value(statistics.syncs());
    out.counter("tollgate_journal_sync_seconds_total", "Time spent in syncs.")
        .value(Seconds(statistics.sync_ns_total()));
    out.gauge("tollgate_journal_sync_seconds_max", "The longest sync.")
        .value(Seconds(statistics.sync_ns_max()));
    out.counter("tollgate_journal_sync_errors_total", "Syncs that failed; one fails the journal.")
        .value(statistics.sync_errors());
    out.counter("tollgate_journal_prepare_errors_total", "Attempts at preparing a segment that failed.")
        .value(statistics.prepare_errors());
    out.counter("tollgate_journal_segments_prepared_total", "Segments prepared.")
        .value(statistics.segments_prepared());
    out.counter("tollgate_journal_segments_released_total", "Segments closed, synced and unmapped.")
        .value(statistics.segments_released());
}

fn process(out: &mut Exposition, source: &Source) {
    let process = Process::read();
    let mut gauge = |name: &'static str, help: &str, value: Option<u64>| {
        if let Some(value) = value {
            out.gauge(name, help).value(value);
        }
    };
    gauge("process_resident_memory_bytes", "Resident memory.", process.resident_bytes);
    gauge("process_virtual_memory_bytes", "Virtual memory.", process.virtual_bytes);
    gauge("process_open_fds", "Open file descriptors.", process.open_fds);
    gauge("process_max_fds", "File descriptors that may be open.", process.max_fds);
    gauge("process_threads", "Threads.", process.threads);
    if let Some(cpu_ns) = process.cpu_ns {
        out.counter("process_cpu_seconds_total", "Time on the processor, user and system.")
            .value(Seconds(cpu_ns));
    }
    out.gauge("process_start_time_seconds", "When the process started, since the Unix epoch.")
        .value(Seconds(source.status.started_ns()));
}
