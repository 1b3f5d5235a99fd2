//! What the calibration promises of alarms, on recordings of made-up processes that go on; for many more, by the program `alarms coverage`.

use vae_tests::{
    coverage::{Asked, Outcome, rhythm},
    processes::{Calibrated, Process},
};

/// Of a recording.
const WINDOWS: usize = 20_000;
const VOTES: (u32, u32) = (2, 3);

/// One of five may miss, as 90 % intervals do; four times as many alarms as are raised, or as few, would miss in nearly all.
#[test]
fn interval_holds_the_rate_that_is_raised() {
    const SEEDS: u64 = 5;
    // As many as were asked for; what is counted scatters about its mean by the root of it, of which two are allowed for.
    let expected = Asked::HOURLY.rate * Asked::HOURLY.fresh as f64;
    let slack = |of_asked: f64| 2.0 * (of_asked / expected).sqrt();
    for process in [Process::Independent, Process::Autoregressive(0.5)] {
        let outcome = |seed| Outcome::of((process, seed, WINDOWS), Asked::HOURLY, VOTES).unwrap().unwrap();
        let outcomes: Vec<Outcome> = (0..SEEDS).map(outcome).collect();
        let is_held = |outcome: &&Outcome| {
            let (low, high) = outcome.interval;
            (low - slack(low)..=high + slack(high)).contains(&outcome.raised)
        };
        assert!(outcomes.iter().filter(is_held).count() + 1 >= outcomes.len(), "{process:?}: {outcomes:?}");
        // An interval that says nothing holds everything.
        assert!(outcomes.iter().all(|o| o.interval.1 < 10.0 * o.interval.0), "{process:?}: {outcomes:?}");
    }
}

#[test]
fn a_rhythm_of_which_half_a_cycle_was_recorded_is_refused() {
    for seed in 0..5 {
        let calibrated = Calibrated::new(rhythm(2 * WINDOWS), seed, WINDOWS, Asked::HOURLY.rate, VOTES).unwrap();
        let refusal = calibrated.series.refusal.unwrap();
        assert!(refusal.contains("a rhythm"), "{refusal}");
    }
}
