//! What a calibration is asked for, as people write it.

use anyhow::{Result, anyhow, ensure};
use vae_core::{MOST_SAMPLES, MOST_VOTES, ScoreKind, Votes};

/// Reads `m/n`: m of the last n windows raise an alarm.
///
/// # Errors
/// If it is anything else, or more votes than the device counts.
pub fn parse_votes(text: &str) -> Result<(u32, u32)> {
    let parsed = text.split_once('/').and_then(|(m, n)| Some((m.trim().parse().ok()?, n.trim().parse().ok()?)));
    let (needed, of) = parsed.ok_or_else(|| anyhow!("give m/n, as in 2/3"))?;
    ensure!(
        Votes::new(needed, of).is_some(),
        "{needed}/{of}: give m/n, m of the last n windows, with 1 ≤ m ≤ n ≤ {MOST_VOTES}"
    );
    Ok((needed, of))
}

/// Reads `channel=least:largest`, the range of a channel's sensor.
///
/// # Errors
/// If it is anything else.
pub fn parse_range(text: &str) -> Result<(String, f32, f32)> {
    let parsed = text.rsplit_once('=').and_then(|(name, range)| {
        let (low, high) = range.split_once(':')?;
        Some((name.to_owned(), low.trim().parse::<f32>().ok()?, high.trim().parse::<f32>().ok()?))
    });
    let parsed = parsed.ok_or_else(|| anyhow!("give channel=least:largest, as in x=-16:16"))?;
    check_range(&parsed)?;
    Ok(parsed)
}

/// Refuses a range, with its channel's name, that is none.
///
/// # Errors
/// If the least value is not below the largest.
pub fn check_range((_, low, high): &(String, f32, f32)) -> Result<()> {
    ensure!(low < high && low.is_finite() && high.is_finite(), "the least value must be below the largest");
    Ok(())
}

/// Reads how the device is to score a window: `mean`, `samples:L` or `importance:K`.
///
/// # Errors
/// If it is anything else.
pub fn parse_score_kind(text: &str) -> Result<ScoreKind> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| (1..=MOST_SAMPLES).contains(number));
    let kind = match text.split_once(':') {
        None if text == "mean" => Some(ScoreKind::AtMean),
        Some(("samples", count)) => number(count).map(ScoreKind::Samples),
        Some(("importance", count)) => number(count).map(ScoreKind::Importance),
        _ => None,
    };
    kind.ok_or_else(|| anyhow!("give mean, samples:L or importance:K, with a number from 1 to {MOST_SAMPLES}"))
}
