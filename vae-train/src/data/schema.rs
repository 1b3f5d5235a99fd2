//! What a model knows of its data.

use serde::{Deserialize, Serialize};
use vae_core::{FrontEnd, format::FeatureFamily};

use crate::{
    data::{front_end::of_record, standardiser::Standardiser},
    words::numbers::number,
};

/// What a line of the model file's card begins with that names a column of categories.
pub(crate) const CATEGORICAL: &str = "categorical ";

/// What a model knows of its data: kept with the run and written into the model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// The columns that are trained on, in order.
    pub channels: Vec<String>,
    /// Columns that were left out, because they were constant or empty.
    pub dropped: Vec<String>,
    /// The columns that the model is conditional on, in order.
    pub conditions: Vec<String>,
    /// The family of each feature, where not all are numbers; else none.
    pub families: Vec<FeatureFamily>,
    /// The columns of categories, for each of which there are channels, or conditions, of zeros and ones.
    pub categorical: Vec<String>,
    /// Samples in a window.
    pub window: usize,
    /// Samples between the starts of successive windows.
    pub hop: usize,
    /// The channels' front-ends, as the model file has them; none where the model sees samples.
    pub front_ends: Vec<u8>,
    /// What was subtracted in 64 bits from each channel, then from each condition, before the values became `f32`; none where nothing was.
    pub origins: Vec<f64>,
    /// CRC-32 of the training table and its number of rows.
    pub data: String,
    /// Fitted on the normal windows.
    pub standardiser: Standardiser,
    /// Fitted on the conditions of the normal windows.
    pub condition_standardiser: Standardiser,
}

impl Schema {
    /// A name for each feature, without the frequencies of bands, which take the rate of the samples.
    #[must_use]
    pub fn feature_names(&self) -> Vec<String> {
        feature_names(&self.channels, &self.front_ends(), self.window)
    }

    /// A name for each feature, with the frequencies that it is of; at so many samples a second, 0 if that is not known.
    pub(crate) fn feature_names_at(&self, rate: f32) -> Vec<String> {
        let front_ends = self.front_ends();
        let edges = front_ends.iter().flat_map(|front_end| {
            let rate = if let FrontEnd::Mel { rate, .. } = front_end { *rate as f32 } else { rate };
            (0..front_end.features(self.window)).map(move |index| (front_end.band_edges(self.window, index), rate))
        });
        let mut names = self.feature_names();
        for (name, edges) in names.iter_mut().zip(edges) {
            if let (Some((low, high)), rate) = edges
                && rate > 0.0
            {
                let hertz = |edge: f32| number(f64::from(edge * rate));
                *name = format!("{name} ({} to {} Hz)", hertz(low), hertz(high));
            }
        }
        names
    }

    /// The channels' front-ends; none where the model sees samples.
    #[must_use]
    pub fn front_ends(&self) -> Vec<FrontEnd> {
        of_record(&self.front_ends, self.channels.len())
    }

    /// The origins as the model file's card has them, a line each.
    pub(crate) fn origin_lines(&self) -> impl Iterator<Item = String> + '_ {
        let named = self.channels.iter().chain(&self.conditions).zip(&self.origins);
        named.filter(|(_, origin)| **origin != 0.0).map(|(name, origin)| format!("origin {origin} {name}"))
    }

    /// The columns of categories as the model file's card has them, a line each.
    pub(crate) fn categorical_lines(&self) -> impl Iterator<Item = String> + '_ {
        self.categorical.iter().map(|column| format!("{CATEGORICAL}{column}"))
    }

    /// A window and its condition in standardised units.
    pub fn standardise(&self, inputs: &[f32]) -> impl Iterator<Item = f32> {
        let (x, condition) = inputs.split_at(self.standardiser.mean.len());
        self.standardiser.apply(x).chain(self.condition_standardiser.apply(condition))
    }
}

/// A name for each feature: of a model of rows the channel's.
pub(crate) fn feature_names(channels: &[String], front_ends: &[FrontEnd], window: usize) -> Vec<String> {
    const STATISTICS: [&str; 6] = ["mean", "ln RMS", "ln peak", "crest factor", "kurtosis", "zero crossings"];
    if front_ends.is_empty() {
        let samples = (0..window).flat_map(|sample| channels.iter().map(move |channel| (sample, channel)));
        let name = |(sample, channel): (usize, &String)| match window {
            1 => channel.clone(),
            _ => format!("{channel}, sample {sample}"),
        };
        return samples.map(name).collect();
    }
    let names = channels.iter().zip(front_ends).flat_map(|(channel, front_end)| {
        (0..front_end.features(window)).map(move |index| match front_end {
            FrontEnd::Raw => format!("{channel}, sample {index}"),
            FrontEnd::Mean => format!("{channel}, mean"),
            FrontEnd::Statistics => format!("{channel}, {}", STATISTICS[index]),
            FrontEnd::Bands(_) => format!("{channel}, band {index}"),
            FrontEnd::Mel { frames: 1, .. } => format!("{channel}, mel band {index}"),
            FrontEnd::Mel { bands, .. } => {
                let (frame, band) = (index / usize::from(*bands), index % usize::from(*bands));
                format!("{channel}, frame {frame}, mel band {band}")
            }
        })
    });
    names.collect()
}
