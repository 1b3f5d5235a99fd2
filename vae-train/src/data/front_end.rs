//! Front-ends by channel: their names, and windows put through them by the core.

use anyhow::{Context, Result, bail, ensure};
use vae_core::{FrontEnd, Model};

use crate::{data::windows::Windows, words::messages::list};

/// Reads `raw`, `mean`, `statistics`, `bands:N`, `mel:N` or `mel:NxF`, of so many samples a second.
fn parse(text: &str, rate: Option<f64>) -> Result<FrontEnd> {
    Ok(match text.split_once(':') {
        None if text == "raw" => FrontEnd::Raw,
        None if text == "mean" => FrontEnd::Mean,
        None if text == "statistics" => FrontEnd::Statistics,
        Some(("bands", count)) => {
            let count = count.parse().ok().filter(|count| (3..=u8::MAX).contains(count));
            FrontEnd::Bands(count.with_context(|| format!("`{text}`: give 3 to 255 bands, as in bands:16"))?)
        }
        Some(("mel", shape)) => {
            let (bands, frames) = shape.split_once('x').unwrap_or((shape, "1"));
            let count = |digits: &str| digits.parse().ok().filter(|count: &u8| *count > 0);
            let (bands, frames) = count(bands).zip(count(frames)).with_context(|| {
                format!("`{text}`: give 1 to 255 bands of 1 to 255 frames, as in mel:32 or mel:32x5")
            })?;
            FrontEnd::Mel { bands, frames, rate: hertz(text, rate)? }
        }
        _ => bail!(
            "`{text}` is no front-end: give raw, mean, statistics, bands:N, mel:N or mel:NxFRAMES, for one channel as channel=statistics"
        ),
    })
}

/// The sample rate that a front-end needs, in whole Hz.
fn hertz(text: &str, rate: Option<f64>) -> Result<u32> {
    let rate = rate.with_context(|| {
        format!("`{text}` divides the frequencies in Hz, and the data do not say how many rows come a second: give --rate, as in --rate 16000")
    })?;
    let whole = rate.round();
    ensure!(
        (1.0..=f64::from(u32::MAX)).contains(&whole),
        "`{text}` of {rate} rows a second: mel bands are for sound, of 1 to {} rows a second; give bands:N",
        u32::MAX
    );
    Ok(whole as u32)
}

/// Whether a setting of `front_end` needs to know how many samples come a second.
#[must_use]
pub fn needs_rate(settings: &[String]) -> bool {
    let is_mel = |setting: &String| setting.rsplit_once('=').map_or(&**setting, |(_, it)| it).starts_with("mel:");
    settings.iter().any(is_mel)
}

/// The sample rate by which mel bands are computed, in Hz; none where there are no mel bands.
#[must_use]
pub fn rate_of(front_ends: &[FrontEnd]) -> Option<u32> {
    front_ends.iter().find_map(|front_end| match front_end {
        FrontEnd::Mel { rate, .. } => Some(*rate),
        _ => None,
    })
}

/// The name by which `fit --front-end` knows it.
#[must_use]
pub fn name(front_end: FrontEnd) -> String {
    match front_end {
        FrontEnd::Raw => "raw".to_owned(),
        FrontEnd::Mean => "mean".to_owned(),
        FrontEnd::Statistics => "statistics".to_owned(),
        FrontEnd::Bands(bands) => format!("bands:{bands}"),
        FrontEnd::Mel { bands, frames: 1, .. } => format!("mel:{bands}"),
        FrontEnd::Mel { bands, frames, .. } => format!("mel:{bands}x{frames}"),
    }
}

/// The channels' front-ends as the model file has them, and [`FrontEnd::of_record`] reads them; nothing where all see samples.
///
/// # Errors
/// If mel bands are of several sample rates.
pub fn record(front_ends: &[FrontEnd]) -> Result<Vec<u8>> {
    let mut bytes: Vec<u8> = front_ends.iter().map(|front_end| front_end.code()).collect();
    let Some(rate) = rate_of(front_ends) else { return Ok(bytes) };
    for front_end in front_ends {
        if let FrontEnd::Mel { rate: other, .. } = front_end {
            ensure!(
                *other == rate,
                "mel bands of channels at {rate} and at {other} samples a second: channels have one rate"
            );
        }
        bytes.push(front_end.frames());
    }
    bytes.extend(rate.to_le_bytes());
    Ok(bytes)
}

/// The front-ends of so many channels by the model file's record of them; none for an empty one.
#[must_use]
pub fn of_record(record: &[u8], channels: usize) -> Vec<FrontEnd> {
    let count = if record.is_empty() { 0 } else { channels };
    (0..count).map(|channel| FrontEnd::of_record(record, channel, channels)).collect()
}

/// The front-end of each channel, as `front_end` or `channel=front_end` say, later ones before earlier ones; none where all see samples.
/// Mel bands are of samples of this `rate` a second.
///
/// # Errors
/// If one is unknown, names no channel, is not defined for windows of so many samples, or needs a rate that is not known.
pub fn front_ends(settings: &[String], channels: &[String], window: usize, rate: Option<f64>) -> Result<Vec<FrontEnd>> {
    let mut chosen = vec![FrontEnd::Raw; channels.len()];
    for setting in settings {
        match setting.rsplit_once('=') {
            None => chosen.fill(parse(setting, rate)?),
            Some((name, front_end)) => {
                let channel = channels.iter().position(|channel| channel == name);
                let channel = channel.with_context(|| {
                    format!("front_end `{setting}`: there is no channel `{name}`; the channels are {}", list(channels))
                })?;
                chosen[channel] = parse(front_end, rate)?;
            }
        }
    }
    for front_end in &chosen {
        check_window(*front_end, window)?;
    }
    Ok(if chosen.iter().all(|front_end| *front_end == FrontEnd::Raw) { Vec::new() } else { chosen })
}

/// Refuses a front-end that is not defined for windows of so many samples.
fn check_window(front_end: FrontEnd, window: usize) -> Result<()> {
    match front_end {
        FrontEnd::Mel { bands, frames, rate } if front_end.fits(window) => {
            let len = 2 * window / (usize::from(frames) + 1);
            let empty = empty_bands(bands, len, rate);
            ensure!(
                empty == 0,
                "`{}` of frames of {len} samples, {rate} of which come a second: {empty} bands lie between two frequencies; give at most {} \
                 bands, or a longer --window",
                name(front_end),
                (1..bands).rev().find(|fewer| empty_bands(*fewer, len, rate) == 0).unwrap_or(1)
            );
        }
        _ if front_end.fits(window) => {}
        FrontEnd::Bands(bands) => bail!(
            "{bands} bands of windows of {window} samples: give --window as a power of two from 16 to 2048, and at most a quarter as \
             many bands"
        ),
        FrontEnd::Mel { bands, frames, .. } => {
            let halves = usize::from(frames) + 1;
            let windows: Vec<String> = (3..=10).map(|power| (halves << power).to_string()).collect();
            bail!(
                "`{}` of windows of {window} samples: {frames} half overlapping frame(s), each a power of two from 16 to 2048 samples and twice as \
                 many as the {bands} bands or more, need --window as one of {}",
                name(front_end),
                windows[usize::from(bands).next_power_of_two().trailing_zeros().saturating_sub(3) as usize..]
                    .join(", ")
            )
        }
        FrontEnd::Mean => bail!("means of windows of {window} samples: give a --window of at least 2"),
        _ => bail!("statistics of windows of {window} samples: give a --window of at least 7"),
    }
    Ok(())
}

/// Of so many mel bands those that hold none of the frequencies of a frame of `len` samples.
fn empty_bands(bands: u8, len: usize, rate: u32) -> usize {
    // As `vae-core/src/front_end/mel.rs` has the scale.
    let ln_per_mel = libm::log(6.4) / 27.0;
    let most = f64::from(rate) / 2.0;
    let most = if most < 1000.0 { 0.015 * most } else { 15.0 + libm::log(most / 1000.0) / ln_per_mel };
    let edge = |index: u16| {
        let mel = most * f64::from(index) / (f64::from(bands) + 1.0);
        let hertz = if mel < 15.0 { mel / 0.015 } else { 1000.0 * libm::exp(ln_per_mel * (mel - 15.0)) };
        hertz * len as f64 / f64::from(rate)
    };
    let holds_none = |band: &u16| {
        let high = if *band + 1 == u16::from(bands) { len as f64 / 2.0 } else { edge(*band + 2) };
        edge(*band).floor() + 1.0 >= high
    };
    (0..u16::from(bands)).filter(holds_none).count()
}

/// The front-end of each channel of a model; none where it sees samples.
///
/// # Errors
/// If the file is faulty.
pub fn of_model(model: &Model<'_>) -> Result<Vec<FrontEnd>> {
    if !model.has_front_end() {
        return Ok(Vec::new());
    }
    Ok((0..model.channels()).map(|channel| model.front_end(channel)).collect::<Result<_, _>>()?)
}

impl Windows {
    /// The windows' features, channel after channel, in the place of their samples; the windows themselves for no front-ends.
    ///
    /// # Errors
    /// If a front-end is not defined for the window.
    pub fn through(self, front_ends: &[FrontEnd]) -> Result<Self> {
        if front_ends.is_empty() {
            return Ok(self);
        }
        let channels = front_ends.len();
        ensure!(self.features.is_multiple_of(channels), "{} values of {channels} channels", self.features);
        let window = self.features / channels;
        let features = front_ends.iter().map(|front_end| front_end.features(window)).sum::<usize>();
        let mut values = Vec::with_capacity(self.len() * (features + self.conditions));
        let mut work = vec![0.0; window];
        for inputs in self.iter() {
            let (samples, condition) = inputs.split_at(self.features);
            for (channel, front_end) in front_ends.iter().enumerate() {
                let start = values.len();
                values.resize(start + front_end.features(window), 0.0);
                front_end.extract(samples, (channel, channels), &mut work, &mut values[start..])?;
            }
            values.extend_from_slice(condition);
        }
        Ok(Self { features, values, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEL: FrontEnd = FrontEnd::Mel { bands: 32, frames: 5, rate: 16_000 };

    fn chosen(settings: &[&str], window: usize, rate: Option<f64>) -> Result<Vec<FrontEnd>> {
        let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(needs_rate(&settings), settings.iter().any(|text| text.contains("mel")));
        front_ends(&settings, &["a".to_owned(), "b".to_owned()], window, rate)
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in ["raw", "mean", "statistics", "bands:16", "mel:32", "mel:32x5"] {
            assert_eq!(name(parse(text, Some(16_000.0)).unwrap()), text);
        }
        assert_eq!(parse("mel:32x5", Some(15_999.6)).unwrap(), MEL);
        assert_eq!(parse("mel:32x1", Some(8000.0)).unwrap(), parse("mel:32", Some(8000.0)).unwrap());
        assert_eq!(chosen(&["mel:32x5", "b=mean"], 3072, Some(16e3)).unwrap(), [MEL, FrontEnd::Mean]);
        for text in ["mel", "mel:", "mel:0", "mel:256", "mel:8x", "mel:8x0", "mel:8x256", "mel:8x2x2", "mel:-1"] {
            assert!(parse(text, Some(8000.0)).is_err(), "{text}");
        }
    }

    #[test]
    fn what_mel_bands_lack_is_said() {
        let message = |settings: &[&str], window, rate| chosen(settings, window, rate).unwrap_err().to_string();
        let unknown = message(&["mel:32x5"], 3072, None);
        assert!(unknown.contains("how many rows come a second: give --rate"), "{unknown}");
        assert!(message(&["b=mel:32x5"], 3072, Some(0.4)).contains("of 0.4 rows a second"));
        let window = message(&["mel:128x5"], 3000, Some(16e3));
        assert!(window.contains("`mel:128x5` of windows of 3000 samples"), "{window}");
        assert!(window.ends_with("need --window as one of 768, 1536, 3072, 6144"), "{window}");
        assert!(message(&["mel:8"], 4096, Some(16e3)).ends_with("one of 16, 32, 64, 128, 256, 512, 1024, 2048"));
        // Of `librosa.filters.mel(sr=16000, n_fft=256, n_mels=n)` 13 rows are empty for n = 128; 95 is the largest n below for which none is.
        let narrow = message(&["mel:128x5"], 768, Some(16e3));
        assert!(narrow.contains("frames of 256 samples, 16000 of which come a second: 13 bands"), "{narrow}");
        assert!(narrow.contains("give at most 95 bands"), "{narrow}");
    }

    #[test]
    fn records_are_read_as_they_are_written() {
        let bands = FrontEnd::Bands(255);
        for front_ends in [vec![bands, FrontEnd::Mean], vec![MEL, bands, FrontEnd::Raw], vec![MEL], vec![]] {
            let bytes = record(&front_ends).unwrap();
            assert_eq!(of_record(&bytes, front_ends.len()), front_ends);
            let is_mel = front_ends.contains(&MEL);
            assert_eq!(bytes.len(), if is_mel { 2 * front_ends.len() + 4 } else { front_ends.len() });
            assert_eq!(rate_of(&front_ends), is_mel.then_some(16_000));
        }
        let other = FrontEnd::Mel { bands: 32, frames: 5, rate: 8000 };
        assert!(record(&[MEL, other]).unwrap_err().to_string().contains("at 16000 and at 8000 samples a second"));
    }
}
