fn main() {
    let seeds: u64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(10);
    let start: u64 = std::env::args().nth(2).and_then(|a| a.parse().ok()).unwrap_or(1);
    for seed in start..start + seeds {
        let r = tollgate_sim::run::run(seed, Default::default());
        if let Some(f) = r.fault { println!("{seed}: {f}"); }
    }
}
