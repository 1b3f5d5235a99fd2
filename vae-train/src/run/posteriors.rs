//! The posteriors that a run keeps, for the model that was exported from it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use vae_core::Model;

use crate::{
    run::{directory::RunDirectory, lock::Access},
    weights::posteriors::Posteriors,
};

/// The posteriors that a run keeps (`fit --posteriors`), for its own model.
///
/// # Errors
/// If the directory holds no run or no posteriors, or those of another model than this.
pub fn posteriors_for(model: &Model<'_>, run: &Path) -> Result<Posteriors> {
    let (directory, state) = RunDirectory::open(run, Access::Read)?;
    let name = run.display();
    let (card, plan) = (model.card()?, &state.plan);
    ensure!(
        (card.data, card.seed) == (&*plan.schema.data, plan.config.seed)
            && (model.latent(), model.header()?.posterior)
                == (plan.architecture.latent, plan.architecture.posterior.kind()),
        "the model is not of the run in {name}: give the run that it was exported from"
    );
    directory
        .extras()?
        .posteriors
        .with_context(|| format!("the run in {name} keeps no posteriors: fit with --posteriors 256"))
}
