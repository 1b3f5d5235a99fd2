//! Which family each channel of a table has.

use anyhow::{Result, ensure};
use vae_core::format::FeatureFamily;

use crate::{
    config::{
        Config,
        data::{ColumnFamily, DataConfig},
    },
    tables::category::category_of,
    weights::family::Likelihood,
};

/// The family of each channel, where one of them is no number; else none. A category that none of `rows` normal rows has is taken to have a chance
/// of 1 in `rows + 2`.
///
/// # Errors
/// If a column is not there, or what is asked beside it is for numbers only.
///
/// # Source
/// The chance of what has not come in n trials: Laplace's rule of succession (1774).
pub(crate) fn families(channels: &[String], config: &Config, rows: usize) -> Result<Vec<FeatureFamily>> {
    let DataConfig { condition, front_end, drift, .. } = &config.data;
    let log_other = -libm::log(rows as f64 + 2.0) as f32;
    let mut families = vec![FeatureFamily::Gaussian; channels.len()];
    for (name, family) in config.data.column_families()? {
        let is_own = |channel: &str| match family {
            ColumnFamily::Categorical => category_of(channel, &name).is_some(),
            ColumnFamily::Gaussian | ColumnFamily::Bernoulli => channel == name,
        };
        ensure!(
            channels.iter().chain(condition).any(|channel| is_own(channel)),
            "the data have no column `{name}` to be trained on, which --column names"
        );
        let own = families.iter_mut().zip(channels).filter(|(_, channel)| is_own(channel));
        for (place, (own, _)) in own.enumerate() {
            *own = match family {
                ColumnFamily::Gaussian => FeatureFamily::Gaussian,
                ColumnFamily::Bernoulli => FeatureFamily::Bernoulli,
                ColumnFamily::Categorical if place == 0 => FeatureFamily::FirstCategory { log_other },
                ColumnFamily::Categorical => FeatureFamily::NextCategory,
            };
        }
    }
    if !families.iter().any(|family| family.is_discrete()) {
        return Ok(Vec::new());
    }
    ensure!(
        config.model.likelihood == Likelihood::Gaussian,
        "--column says which columns are no numbers, and the others are gaussian: leave out --likelihood"
    );
    ensure!(
        front_end.is_empty(),
        "--column and --front-end: a front-end makes features of numbers; leave one of them out"
    );
    ensure!(*drift == 0.0, "--column and --drift: states do not drift; leave one of them out");
    Ok(families)
}

/// Whether a feature of this place is of zeros and ones.
pub(crate) fn is_discrete(families: &[FeatureFamily], feature: usize) -> bool {
    families.get(feature).is_some_and(|family| family.is_discrete())
}
