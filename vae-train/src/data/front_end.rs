//! Front-ends by channel: their names, and windows put through them by the core.

use anyhow::{Context, Result, bail, ensure};
use vae_core::{FrontEnd, Model};

use crate::{data::windows::Windows, words::messages::list};

/// Reads `raw`, `mean`, `statistics` or `bands:N`.
fn parse(text: &str) -> Result<FrontEnd> {
    Ok(match text.split_once(':') {
        None if text == "raw" => FrontEnd::Raw,
        None if text == "mean" => FrontEnd::Mean,
        None if text == "statistics" => FrontEnd::Statistics,
        Some(("bands", count)) => {
            let count = count.parse().ok().filter(|count| (3..=u8::MAX).contains(count));
            FrontEnd::Bands(count.with_context(|| format!("`{text}`: give 3 to 255 bands, as in bands:16"))?)
        }
        _ => bail!(
            "`{text}` is no front-end: give raw, mean, statistics or bands:N, for one channel as channel=statistics"
        ),
    })
}

/// The front-end of each channel, as `front_end` or `channel=front_end` say, later ones before earlier ones; none where all see samples.
///
/// # Errors
/// If one is unknown, names no channel, or is not defined for windows of so many samples.
pub fn front_ends(settings: &[String], channels: &[String], window: usize) -> Result<Vec<FrontEnd>> {
    let mut chosen = vec![FrontEnd::Raw; channels.len()];
    for setting in settings {
        match setting.rsplit_once('=') {
            None => chosen.fill(parse(setting)?),
            Some((name, front_end)) => {
                let channel = channels.iter().position(|channel| channel == name);
                let channel = channel.with_context(|| {
                    format!("front_end `{setting}`: there is no channel `{name}`; the channels are {}", list(channels))
                })?;
                chosen[channel] = parse(front_end)?;
            }
        }
    }
    if let Some(front_end) = chosen.iter().find(|front_end| !front_end.fits(window)) {
        match front_end {
            FrontEnd::Bands(bands) => bail!(
                "{bands} bands of windows of {window} samples: give --window as a power of two from 16 to 2048, and at most a quarter as \
                 many bands"
            ),
            FrontEnd::Mean => bail!("means of windows of {window} samples: give a --window of at least 2"),
            _ => bail!("statistics of windows of {window} samples: give a --window of at least 7"),
        }
    }
    Ok(if chosen.iter().all(|front_end| *front_end == FrontEnd::Raw) { Vec::new() } else { chosen })
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
                let own = samples.iter().skip(channel).step_by(channels);
                work.iter_mut().zip(own).for_each(|(slot, sample)| *slot = *sample);
                let start = values.len();
                values.resize(start + front_end.features(window), 0.0);
                front_end.extract(&mut work, &mut values[start..])?;
            }
            values.extend_from_slice(condition);
        }
        Ok(Self { features, values, ..self })
    }
}
